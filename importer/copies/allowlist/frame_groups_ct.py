"""Functional groups of enhanced CT (PS3.3 C.8.15.3)."""

from __future__ import annotations

from ..checks import (
    Entry,
    Identifier,
    number,
    numbers,
    terms,
    type1,
    type2,
)
from ..tables import CodeItems
from . import terms as t
from .frame_kind import (
    FRAME_KIND,
    group,
)

_N = number
CT: dict[str, Entry] = {
    "CTImageFrameTypeSequence": group(FRAME_KIND),
    "CTAcquisitionTypeSequence": group(
        {
            "AcquisitionType": type1(
                terms("SEQUENCED SPIRAL CONSTANT_ANGLE STATIONARY FREE"), "SPIRAL"
            ),
            "TubeAngle": t.ANGLE_DEG,
            "ConstantVolumeFlag": t.YES_NO,
            "FluoroscopyFlag": t.YES_NO,
        }
    ),
    "CTAcquisitionDetailsSequence": group(
        {
            "RotationDirection": terms("CW CC"),
            "RevolutionTime": _N(0, 1000),
            "SingleCollimationWidth": t.LENGTH_MM,
            "TotalCollimationWidth": t.LENGTH_MM,
            "TableHeight": t.OFFSET_MM,
            "GantryDetectorTilt": t.ANGLE_DEG,
            "DataCollectionDiameter": t.LENGTH_MM,
            "ReferencedPathIndex": t.COUNT,
        }
    ),
    "CTTableDynamicsSequence": group(
        {
            "TableSpeed": _N(-10_000, 10_000),
            "TableFeedPerRotation": _N(-10_000, 10_000),
            "SpiralPitchFactor": _N(0, 100),
        }
    ),
    "CTPositionSequence": group(
        {
            "TablePosition": t.OFFSET_MM,
            "DataCollectionCenterPatient": t.POSITION_MM,
            "ReconstructionTargetCenterPatient": t.POSITION_MM,
        }
    ),
    "CTGeometrySequence": group(
        {
            "DistanceSourceToDetector": t.LENGTH_MM,
            "DistanceSourceToDataCollectionCenter": t.LENGTH_MM,
            "ReferencedPathIndex": t.COUNT,
        }
    ),
    "CTReconstructionSequence": group(
        {
            "ReconstructionAlgorithm": terms("FILTER_BACK_PROJ ITERATIVE"),
            "ConvolutionKernel": t.KERNEL,
            "ConvolutionKernelGroup": terms("BRAIN SOFT_TISSUE LUNG BONE CONSTANT_ANGLE"),
            "ReconstructionDiameter": t.LENGTH_MM,
            "ReconstructionFieldOfView": numbers(0, 10_000, 2),
            "ReconstructionPixelSpacing": t.SPACING_MM,
            "ReconstructionAngle": t.ANGLE_DEG,
        }
    ),
    "CTExposureSequence": group(
        {
            "ExposureTimeInms": _N(0, 1e9),
            "XRayTubeCurrentInmA": _N(0, 1e6),
            "ExposureInmAs": _N(0, 1e9),
            "ExposureModulationType": terms("NONE XYZ_EC XY_EC Z_EC ANGULAR ORGAN_BASED", 4),
            "CTDIvol": type2(_N(0, 1e5)),
            "CTDIPhantomTypeCodeSequence": CodeItems(),
            "WaterEquivalentDiameter": t.LENGTH_MM,
            "ReferencedXRaySourceIndex": t.COUNT,
        }
    ),
    "CTXRayDetailsSequence": group(
        {
            "KVP": t.KILOVOLTS,
            "FocalSpots": numbers(0, 100, 1, 8),
            "FilterType": t.FILTER_TYPES,
            "FilterMaterial": t.FILTER_MATERIALS,
            "ReferencedPathIndex": t.COUNT,
        }
    ),
    "IrradiationEventIdentificationSequence": group({"IrradiationEventUID": Identifier()}),
}  # fmt: skip
