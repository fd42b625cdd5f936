"""Functional groups of enhanced images: one table for the shared and the per-frame ones.

PS3.3 C.7.6.16.2; a group is a sequence of one item. The IODs' own are in the modules beside.
"""

from __future__ import annotations

from ..checks import (
    Entry,
    Essential,
    Moment,
    number,
    numbers,
    pattern,
    terms,
    type1,
    type1c,
    type2,
)
from ..tables import CodeItems, Items, Table
from . import terms as t
from .frame_groups_ct import CT
from .frame_groups_mr import MR
from .frame_groups_pet_xray import PET, X_RAY
from .frame_kind import (
    FRAME_TYPE,
    FRAME_TYPE_DUMMY,
    VOLUME_TECHNIQUE,
    VOLUMETRIC,
    group,
)
from .general import ANATOMY, MODALITY_LUT, REAL_WORLD_VALUES, REFERENCE, RESCALE_TYPES, VOI

_N = number
_CYCLE = terms("END_SYSTOLE END_DIASTOLE UNDETERMINED START_RESPIR END_RESPIR")


GENERAL: dict[str, Entry] = {
    "PixelMeasuresSequence": group(
        {"PixelSpacing": t.SPACING_MM, "SliceThickness": _N(0, 1000),
         "SpacingBetweenSlices": _N(-1000, 1000)}
    ),
    "PlanePositionSequence": group({"ImagePositionPatient": t.POSITION_MM}),
    "PlaneOrientationSequence": group({"ImageOrientationPatient": t.COSINES}),
    "PlanePositionVolumeSequence": group({"ImagePositionVolume": t.POSITION_MM}),
    "PlaneOrientationVolumeSequence": group({"ImageOrientationVolume": t.COSINES}),
    "PatientOrientationInFrameSequence": group({"PatientOrientation": t.ORIENTATION}),
    "FrameContentSequence": group(
        {
            "FrameAcquisitionNumber": t.COUNT,
            "FrameReferenceDateTime": Moment("DT"),
            "FrameAcquisitionDateTime": Moment("DT"),
            "FrameAcquisitionDuration": _N(0, 1e9),
            "CardiacCyclePosition": _CYCLE,
            "RespiratoryCyclePosition": _CYCLE,
            "DimensionIndexValues": numbers(0, 1_000_000, 1, 32),
            "TemporalPositionIndex": _N(0, 1_000_000),
            "StackID": type1c(pattern("[0-9]{1,4}"), "1"),
            "InStackPositionNumber": _N(0, 1_000_000),
        }
    ),
    "FrameAnatomySequence": group(ANATOMY, {"FrameLaterality": type1(t.SIDES, "U")}),
    "FrameVOILUTSequence": group(VOI),
    "PixelValueTransformationSequence": group(
        MODALITY_LUT, {"RescaleType": type1(RESCALE_TYPES, "US")}
    ),
    "RealWorldValueMappingSequence": REAL_WORLD_VALUES,
    "ReferencedImageSequence": Items(REFERENCE, most=1000),
    "DerivationImageSequence": group(
        {
            "DerivationCodeSequence": CodeItems(),
            "SourceImageSequence": Items(REFERENCE, most=1000),
        }
    ),
    "ConversionSourceAttributesSequence": Items(REFERENCE),
    "CardiacSynchronizationSequence": group(
        {
            "NominalPercentageOfCardiacPhase": t.PERCENT,
            "NominalCardiacTriggerDelayTime": type1(_N(0, 1e7), 0.0),
            "ActualCardiacTriggerDelayTime": _N(-1e7, 1e7),
            "IntervalsAcquired": t.COUNT,
            "IntervalsRejected": t.COUNT,
            "HeartRate": _N(0, 1000),
            "RRIntervalTimeNominal": _N(0, 1e7),
            "LowRRValue": _N(0, 100_000),
            "HighRRValue": _N(0, 100_000),
        }
    ),
    "RespiratorySynchronizationSequence": group(
        {
            "NominalPercentageOfRespiratoryPhase": t.PERCENT,
            "NominalRespiratoryTriggerDelayTime": type1(_N(0, 1e7), 0.0),
            "ActualRespiratoryTriggerDelayTime": _N(-1e7, 1e7),
            "StartingRespiratoryAmplitude": t.PERCENT,
            "EndingRespiratoryAmplitude": t.PERCENT,
            "StartingRespiratoryPhase": terms("INSPIRATION MAXIMUM EXPIRATION MINIMUM"),
            "EndingRespiratoryPhase": terms("INSPIRATION MAXIMUM EXPIRATION MINIMUM"),
            "RespiratoryIntervalTime": _N(0, 1e7),
        }
    ),
    "ContrastBolusUsageSequence": group(
        {
            "ContrastBolusAgentNumber": Essential(t.COUNT),
            "ContrastBolusAgentAdministered": type1(t.YES_NO, "NO"),
            "ContrastBolusAgentDetected": type2(t.YES_NO),
            "ContrastBolusAgentPhase": terms("PRE_CONTRAST POST_CONTRAST IMMEDIATE DYNAMIC "
                                             "STEADY_STATE DELAYED ARTERIAL CAPILLARY VENOUS "
                                             "PORTAL_VENOUS"),
        }
    ),
    "TemporalPositionSequence": group({"TemporalPositionTimeOffset": _N(-1e9, 1e9)}),
    "ImageDataTypeSequence": group(
        {
            "DataType": type1(
                terms("TISSUE_INTENSITY TISSUE_VELOCITY FLOW_VELOCITY FLOW_POWER FLOW_VARIANCE "
                      "ELASTICITY PERFUSION SOUND_SPEED ATTENUATION"), "TISSUE_INTENSITY"
            ),
            "AliasedDataType": type1(t.YES_NO, "NO"),
            "ZeroVelocityPixelValue": _N(0, 0xFFFF),
        }
    ),
    "USImageDescriptionSequence": group(
        {
            "FrameType": type1(FRAME_TYPE, *FRAME_TYPE_DUMMY),
            "VolumetricProperties": type1(VOLUMETRIC, "SAMPLED"),
            "VolumeBasedCalculationTechnique": type1(VOLUME_TECHNIQUE, "NONE"),
        }
    ),
}  # fmt: skip


GROUP = Table(GENERAL, CT, MR, PET, X_RAY)
