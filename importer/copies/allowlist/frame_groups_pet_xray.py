"""Functional groups of enhanced PET and X-ray (PS3.3 C.8.22.5, C.8.19.6, C.8.21.5)."""

from __future__ import annotations

from ..checks import (
    Entry,
    number,
    numbers,
    terms,
    type1,
)
from . import terms as t
from .frame_groups_ct import CT
from .frame_kind import (
    FRAME_KIND,
    FRAME_TYPE,
    FRAME_TYPE_DUMMY,
    group,
)

_N = number
PET: dict[str, Entry] = {
    "PETFrameTypeSequence": group(FRAME_KIND),
    "PETFrameAcquisitionSequence": group(
        {
            "TableHeight": t.OFFSET_MM,
            "GantryDetectorTilt": t.ANGLE_DEG,
            "GantryDetectorSlew": t.ANGLE_DEG,
            "DataCollectionDiameter": t.LENGTH_MM,
        }
    ),
    "PETDetectorMotionDetailsSequence": group(
        {"RotationDirection": terms("CW CC"), "RevolutionTime": _N(0, 1000)}
    ),
    "PETPositionSequence": CT["CTPositionSequence"],
    "PETFrameCorrectionFactorsSequence": group(
        {
            "PrimaryPromptsCountsAccumulated": _N(0, 2e9),
            "SliceSensitivityFactor": t.FACTOR,
            "DecayFactor": t.FACTOR,
            "ScatterFractionFactor": t.FACTOR,
            "DeadTimeFactor": t.FACTOR,
        }
    ),
    "PETReconstructionSequence": group(
        {
            "ReconstructionType": terms("2D 3D 3D_REBINNED"),
            "ReconstructionAlgorithm": terms("FILTER_BACK_PROJ REPROJECTION RAMLA MLEM ITERATIVE"),
            "IterativeReconstructionMethod": type1(t.YES_NO, "NO"),
            "NumberOfIterations": t.COUNT,
            "NumberOfSubsets": t.COUNT,
            "ReconstructionDiameter": t.LENGTH_MM,
            "ReconstructionFieldOfView": numbers(0, 10_000, 2),
        }
    ),
    "RadiopharmaceuticalUsageSequence": group({"RadiopharmaceuticalAgentNumber": t.COUNT}),
}
X_RAY: dict[str, Entry] = {
    "XRay3DFrameTypeSequence": group(FRAME_KIND, {"ReconstructionIndex": t.COUNT}),
    "FramePixelDataPropertiesSequence": group(
        {
            "FrameType": type1(FRAME_TYPE, *FRAME_TYPE_DUMMY),
            "ImagerPixelSpacing": t.SPACING_MM,
            "PixelIntensityRelationship": type1(terms("LIN LOG OTHER"), "OTHER"),
            "PixelIntensityRelationshipSign": type1(_N(-1, 1), 1),
            "GeometricalProperties": type1(terms("UNIFORM NON_UNIFORM"), "UNIFORM"),
            "GeometricMaximumDistortion": _N(0, 1e6),
            "ImageProcessingApplied": type1(
                terms("DIGITAL_SUBTR HIGH_PASS_FILTER LOW_PASS_FILTER MULTI_BAND_FLTR FRAME_AVG "
                      "NONE", 6), "NONE"
            ),
        }
    ),
    "FrameAcquisitionSequence": group(
        {"KVP": t.KILOVOLTS, "XRayTubeCurrentInmA": _N(0, 1e6), "ExposureTimeInms": _N(0, 1e9),
         "ExposureInmAs": _N(0, 1e9)}
    ),
    "XRayGeometrySequence": group(
        {
            "DistanceSourceToDetector": t.LENGTH_MM,
            "DistanceSourceToPatient": t.LENGTH_MM,
            "DistanceSourceToIsocenter": t.LENGTH_MM,
            "DistanceSourceToEntrance": t.LENGTH_MM,
            "EstimatedRadiographicMagnificationFactor": _N(0, 100),
        }
    ),
    "PositionerPositionSequence": group(
        {"PositionerPrimaryAngle": t.ANGLE_DEG, "PositionerSecondaryAngle": t.ANGLE_DEG}
    ),
    "DetectorPositionSequence": group(
        {"DetectorPrimaryAngle": t.ANGLE_DEG, "DetectorSecondaryAngle": t.ANGLE_DEG}
    ),
}  # fmt: skip
