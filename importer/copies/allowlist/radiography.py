"""Projection radiographs: CR, DX, mammography, intra-oral (PS3.3 C.8.1, C.8.11)."""

from __future__ import annotations

from ...deidentify import BODY_PARTS
from ..checks import (
    Entry,
    ImageType,
    Nothing,
    Region,
    Terms,
    number,
    numbers,
    terms,
    type1,
    type1c,
    type2,
    type2c,
)
from ..tables import CodeItems
from . import terms as t
from .general import RESCALE_TYPES
from .tomography import XRAY

# C.8.7.3, C.7.6.11
_OUTLINE: dict[str, Entry] = {
    "{}Shape": terms("RECTANGULAR CIRCULAR POLYGONAL", 3),
    "{}LeftVerticalEdge": t.PIXEL,
    "{}RightVerticalEdge": t.PIXEL,
    "{}UpperHorizontalEdge": t.PIXEL,
    "{}LowerHorizontalEdge": t.PIXEL,
    "CenterOfCircular{}": numbers(-65_536, 65_536, 2),
    "RadiusOfCircular{}": number(0, 65_536),
    "VerticesOfThePolygonal{}": t.VERTICES,
}
COLLIMATOR_AND_SHUTTER: dict[str, Entry] = {
    keyword.format(device): check
    for device in ("Collimator", "Shutter")
    for keyword, check in _OUTLINE.items()
}
COLLIMATOR_AND_SHUTTER["ShutterPresentationValue"] = number(0, 0xFFFF)

DETECTOR: dict[str, Entry] = {
    "DetectorType": terms("DIRECT SCINTILLATOR STORAGE FILM"),
    "DetectorConfiguration": terms("AREA SLOT"),
    "DetectorTemperature": number(-300, 300),
    "Sensitivity": number(0, 1e6),
    "DetectorConditionsNominalFlag": t.YES_NO,
    "DetectorActiveTime": number(0, 1e9),
    "DetectorBinning": numbers(0, 1000, 2),
    "DetectorElementPhysicalSize": t.SPACING_MM,
    "DetectorElementSpacing": t.SPACING_MM,
    "DetectorActiveShape": t.FIELD_OF_VIEW_SHAPES,
    "DetectorActiveDimensions": numbers(0, 10_000, 1, 2),
    "DetectorActiveOrigin": numbers(-65_536, 65_536, 2),
    "FieldOfViewShape": t.FIELD_OF_VIEW_SHAPES,
    "FieldOfViewDimensions": numbers(0, 10_000, 1, 2),
    "FieldOfViewOrigin": numbers(-65_536, 65_536, 2),
    "FieldOfViewRotation": number(0, 270),
    "FieldOfViewHorizontalFlip": t.YES_NO,
}

EXPOSURE: dict[str, Entry] = {
    **XRAY,
    "RectificationType": terms("CONST", phrases=["SINGLE PHASE", "THREE PHASE", "CONST POTENTIAL"]),
    "AnodeTargetMaterial": terms("TUNGSTEN MOLYBDENUM RHODIUM COPPER ALUMINUM"),
    "ExposureControlMode": terms("MANUAL AUTOMATIC"),
    "ExposureStatus": terms("NORMAL ABORTED"),
    "PhototimerSetting": number(-1000, 1000),
    "RelativeXRayExposure": number(0, 1_000_000),
    "ExposureIndex": number(0, 1e7),
    "TargetExposureIndex": number(0, 1e7),
    "DeviationIndex": number(-1000, 1000),
    "EntranceDose": number(0, 65_535),
    "EntranceDoseInmGy": number(0, 1e6),
    "EntranceDoseDerivation": terms("CALCULATED MEASURED"),
    "OrganDose": number(0, 1e6),
    "OrganExposed": terms("BREAST GONADS", phrases=["BONE MARROW", "FETUS", "LENS"]),
    "HalfValueLayer": number(0, 1e6),
    "XRayOutput": number(0, 1e6),
    "ExposedArea": numbers(0, 65_535, 1, 2),
    "DistanceSourceToEntrance": t.LENGTH_MM,
    "ImageAndFluoroscopyAreaDoseProduct": number(0, 1e9),
    "FilterThicknessMinimum": numbers(0, 1000, 1, 10),
    "FilterThicknessMaximum": numbers(0, 1000, 1, 10),
    "BodyPartThickness": number(0, 10_000),
    "CompressionForce": number(0, 10_000),
    "CompressionPressure": number(0, 10_000),
    "Grid": terms(
        "IN NONE FIXED RECIPROCATING FOCUSED PARALLEL CROSSED HORIZONTAL VERTICAL IN_GRID "
        "RECIPROCATING_GRID",
        5,
    ),
    "GridThickness": number(0, 1000),
    "GridPitch": number(0, 1000),
    "GridAspectRatio": numbers(0, 10_000, 2),
    "GridPeriod": number(0, 1e6),
    "GridFocalDistance": t.LENGTH_MM,
}

CR: dict[str, Entry] = {
    **XRAY,
    **COLLIMATOR_AND_SHUTTER,
    "Modality": type1(terms("CR"), "CR"),
    "BodyPartExamined": type2(Region(BODY_PARTS)),
    "ViewPosition": type2(t.VIEWS),
    "CassetteOrientation": terms("LANDSCAPE PORTRAIT"),
    "CassetteSize": terms("18CMX24CM 8INX10IN 24CMX30CM 10INX12IN 30CMX35CM 30CMX40CM 11INX14IN "
                          "35CMX35CM 14INX14IN 35CMX43CM 14INX17IN"),
    "ExposuresOnPlate": t.COUNT,
    "RelativeXRayExposure": number(0, 1_000_000),
    "ExposureIndex": number(0, 1e7),
    "TargetExposureIndex": number(0, 1e7),
    "DeviationIndex": number(-1000, 1000),
    "Sensitivity": number(0, 1e6),
    "CollimatorType": t.COLLIMATORS,
}  # fmt: skip

DX: dict[str, Entry] = {
    **EXPOSURE,
    **DETECTOR,
    **COLLIMATOR_AND_SHUTTER,
    "Modality": type1(terms("DX PX IO MG"), "DX"),
    "PresentationIntentType": type1(
        Terms(frozenset({"FOR PRESENTATION", "FOR PROCESSING"})), "FOR PRESENTATION"
    ),
    "ImageType": type1(ImageType(t.IMAGE_TERMS), "DERIVED", "PRIMARY"),
    "AnatomicRegionSequence": type2(CodeItems("AnatomicRegionModifierSequence")),
    "ImageLaterality": type1(t.SIDES, "U"),
    "PatientOrientation": type2c(t.ORIENTATION),
    "PixelIntensityRelationship": type1(terms("LIN LOG DISP"), "LIN"),
    "PixelIntensityRelationshipSign": type1(number(-1, 1), 1),
    "RescaleIntercept": type1(t.INTERCEPT, 0.0),
    "RescaleSlope": type1(number(-1e7, 1e7), 1.0),
    "RescaleType": type1(RESCALE_TYPES, "US"),
    "PresentationLUTShape": type1c(t.PRESENTATION_LUT, "IDENTITY"),
    "LossyImageCompression": type1(t.LOSSY, "00"),
    "DetectorType": type2(terms("DIRECT SCINTILLATOR STORAGE FILM")),
    "CalibrationImage": t.YES_NO,
    "ViewPosition": t.VIEWS,
    "ViewCodeSequence": CodeItems("ViewModifierCodeSequence"),
    "PatientOrientationCodeSequence": CodeItems("PatientOrientationModifierCodeSequence"),
    "PatientGantryRelationshipCodeSequence": CodeItems(),
    "TableAngle": t.ANGLE_DEG,
    "TableType": terms("FIXED TILTING NONE"),
    "ColumnAngulation": t.ANGLE_DEG,
    "PositionerType": type2c(terms("CARM COLUMN MAMMOGRAPHIC PANORAMIC CEPHALOSTAT RIGID NONE")),
    "PositionerPrimaryAngle": t.ANGLE_DEG,
    "PositionerSecondaryAngle": t.ANGLE_DEG,
    "DetectorPrimaryAngle": t.ANGLE_DEG,
    "DetectorSecondaryAngle": t.ANGLE_DEG,
    "AcquisitionContextSequence": type2(Nothing()),
}

MG: dict[str, Entry] = {
    **DX,
    "Modality": type1(terms("MG"), "MG"),
    "PositionerType": type1(terms("MAMMOGRAPHIC NONE"), "NONE"),
    "PositionerPrimaryAngleDirection": terms("CW CC"),
    "ImageLaterality": type1(terms("L R B"), "B"),
    "OrganExposed": type1(terms("BREAST"), "BREAST"),
    "BreastImplantPresent": t.YES_NO,
    "PartialView": t.YES_NO,
    "PartialViewCodeSequence": CodeItems(),
}

IO: dict[str, Entry] = {
    **DX,
    "Modality": type1(terms("IO"), "IO"),
    "PositionerType": type1(terms("RIGID NONE CARM COLUMN"), "NONE"),
}
