"""Functional groups of enhanced MR (PS3.3 C.8.13.5)."""

from __future__ import annotations

from ..checks import (
    Entry,
    Essential,
    number,
    numbers,
    terms,
    type1,
    type1c,
    type2,
)
from . import terms as t
from .frame_kind import (
    FRAME_KIND,
    MR_KIND,
    group,
)

_N = number
_B_MATRIX: dict[str, Entry] = {
    f"DiffusionBValue{axes}": type1(_N(-1e6, 1e6), 0.0)
    for axes in ("XX", "XY", "XZ", "YY", "YZ", "ZZ")
}
MR: dict[str, Entry] = {
    "MRImageFrameTypeSequence": group(FRAME_KIND, MR_KIND),
    "MRTimingAndRelatedParametersSequence": group(
        {
            "RepetitionTime": _N(0, 1e6),
            "FlipAngle": _N(-360, 360),
            "EchoTrainLength": _N(0, 100_000),
            "RFEchoTrainLength": _N(0, 65_535),
            "GradientEchoTrainLength": _N(0, 65_535),
            "GradientOutputType": terms("DB_DT ELECTRIC_FIELD PER_NERVE_STIM"),
            "GradientOutput": _N(0, 1e6),
            "SpecificAbsorptionRateSequence": group(
                {
                    "SpecificAbsorptionRateDefinition": Essential(
                        terms("IEC_WHOLE_BODY IEC_PARTIAL_BODY IEC_HEAD IEC_LOCAL")
                    ),
                    "SpecificAbsorptionRateValue": Essential(_N(0, 1000)),
                }
            ),
            "OperatingModeSequence": group(
                {
                    "OperatingModeType": Essential(
                        terms("GRADIENT RF", phrases=["STATIC FIELD"])
                    ),
                    "OperatingMode": Essential(
                        terms("IEC_NORMAL IEC_FIRST_LEVEL IEC_SECOND_LEVEL")
                    ),
                }
            ),
        }
    ),
    "MREchoSequence": group({"EffectiveEchoTime": _N(0, 1e6)}),
    "MRAveragesSequence": group({"NumberOfAverages": _N(0, 10_000)}),
    "MRFOVGeometrySequence": group(
        {
            "InPlanePhaseEncodingDirection": terms("ROW COLUMN OTHER"),
            "MRAcquisitionFrequencyEncodingSteps": _N(0, 65_535),
            "MRAcquisitionPhaseEncodingStepsInPlane": _N(0, 65_535),
            "MRAcquisitionPhaseEncodingStepsOutOfPlane": _N(0, 65_535),
            "PercentSampling": t.PERCENT,
            "PercentPhaseFieldOfView": t.PERCENT,
        }
    ),
    "MRModifierSequence": group(
        {
            "InversionRecovery": t.YES_NO,
            "InversionTimes": numbers(0, 1e6, 1, 32),
            "FlowCompensation": terms("ACCELERATION VELOCITY OTHER NONE"),
            "FlowCompensationDirection": terms("PHASE FREQUENCY SLICE_SELECT SLICE_AND_FREQ "
                                               "SLICE_FREQ_PHASE PHASE_AND_FREQ SLICE_AND_PHASE "
                                               "OTHER"),
            "Spoiling": terms("RF GRADIENT RF_AND_GRADIENT NONE"),
            "T2Preparation": t.YES_NO,
            "SpectrallySelectedExcitation": terms("WATER FAT NONE"),
            "SpatialPresaturation": terms("SLAB NONE"),
            "PartialFourier": t.YES_NO,
            "PartialFourierDirection": terms("PHASE FREQUENCY SLICE_SELECT COMBINATION"),
            "ParallelAcquisition": t.YES_NO,
            "ParallelAcquisitionTechnique": terms("PILS SENSE SMASH OTHER"),
            "ParallelReductionFactorInPlane": _N(0, 1000),
            "ParallelReductionFactorOutOfPlane": _N(0, 1000),
            "ParallelReductionFactorSecondInPlane": _N(0, 1000),
        }
    ),
    "MRImagingModifierSequence": group(
        {
            "MagnetizationTransfer": terms("ON_RESONANCE OFF_RESONANCE NONE"),
            "BloodSignalNulling": t.YES_NO,
            "Tagging": terms("GRID LINE NONE"),
            "TransmitterFrequency": numbers(0, 10_000, 1, 2),
            "PixelBandwidth": _N(0, 1e7),
        }
    ),
    "MRReceiveCoilSequence": group(
        {
            "ReceiveCoilType": terms("BODY VOLUME SURFACE MULTICOIL"),
            "QuadratureReceiveCoil": t.YES_NO,
            "ReceiveCoilName": type1c(terms("UNKNOWN"), "UNKNOWN"),
            "ReceiveCoilManufacturerName": type2(terms("UNKNOWN")),
        }
    ),
    "MRTransmitCoilSequence": group(
        {
            "TransmitCoilType": terms("BODY VOLUME SURFACE"),
            "TransmitCoilName": type1c(terms("UNKNOWN"), "UNKNOWN"),
            "TransmitCoilManufacturerName": type2(terms("UNKNOWN")),
        }
    ),
    "MRDiffusionSequence": group(
        {
            "DiffusionBValue": _N(0, 1e6),
            "DiffusionDirectionality": terms("DIRECTIONAL BMATRIX ISOTROPIC NONE"),
            "DiffusionAnisotropyType": terms("FRACTIONAL RELATIVE VOLUME_RATIO"),
            "DiffusionGradientDirectionSequence": group(
                {"DiffusionGradientOrientation": Essential(numbers(-1.0001, 1.0001, 3))}
            ),
            "DiffusionBMatrixSequence": group(_B_MATRIX),
        }
    ),
    "MRVelocityEncodingSequence": group(
        {
            "VelocityEncodingDirection": numbers(-1.0001, 1.0001, 3),
            "VelocityEncodingMinimumValue": _N(-1e6, 1e6),
            "VelocityEncodingMaximumValue": _N(-1e6, 1e6),
        }
    ),
    "MRSpatialSaturationSequence": group(
        {
            "SlabThickness": Essential(_N(0, 10_000)),
            "SlabOrientation": Essential(numbers(-1.0001, 1.0001, 3)),
            "MidSlabPosition": Essential(t.POSITION_MM),
        }
    ),
}  # fmt: skip
