"""What every image may carry: patient, study, series, equipment, image (PS3.3 C.7, C.11, C.12)."""

from __future__ import annotations

from ...deidentify import BODY_PARTS, MODALITIES
from ..checks import (
    Entry,
    Essential,
    Identifier,
    ImageType,
    KnownTags,
    Moment,
    Nothing,
    Region,
    StandardClass,
    Terms,
    number,
    numbers,
    terms,
    type1,
    type1c,
    type2,
    type2c,
)
from ..pixels import LookupTable
from ..tables import CodeItems, Items, Table
from . import terms as t

ANATOMY: dict[str, Entry] = {
    "AnatomicRegionSequence": CodeItems("AnatomicRegionModifierSequence"),
    "PrimaryAnatomicStructureSequence": CodeItems("PrimaryAnatomicStructureModifierSequence"),
}

# C.12.1, Table 10-11; the option U of Table E.1-1: replaced, so that the link holds.
REFERENCE = Table(
    {
        "ReferencedSOPClassUID": Essential(StandardClass()),
        "ReferencedSOPInstanceUID": Essential(Identifier()),
        "ReferencedFrameNumber": t.FRAME_NUMBERS,
        "PurposeOfReferenceCodeSequence": CodeItems(),
        "SpatialLocationsPreserved": terms("YES NO REORIENTED_ONLY"),
    }
)

REAL_WORLD_VALUES = Items(
    Table(
        {
            "RealWorldValueFirstValueMapped": number(-65_536, 65_536),
            "RealWorldValueLastValueMapped": number(-65_536, 65_536),
            "DoubleFloatRealWorldValueFirstValueMapped": number(-1e12, 1e12),
            "DoubleFloatRealWorldValueLastValueMapped": number(-1e12, 1e12),
            "RealWorldValueIntercept": number(-1e12, 1e12),
            "RealWorldValueSlope": number(-1e12, 1e12),
            "MeasurementUnitsCodeSequence": Essential(CodeItems()),
            "LUTExplanation": type1(Terms(frozenset()), "Real World Value"),
            "LUTLabel": type1(Terms(frozenset()), "RWV"),
        }
    ),
    most=16,
)

VOI: dict[str, Entry] = {
    "WindowCenter": numbers(-1e7, 1e7, 1, 32),
    "WindowWidth": numbers(1e-9, 1e7, 1, 32),
    "VOILUTFunction": terms("LINEAR LINEAR_EXACT SIGMOID"),
    "VOILUTSequence": LookupTable(),
}
RESCALE_TYPES = terms("OD HU US MGML Z_EFF ED EDW HU_MOD PCT")
MODALITY_LUT: dict[str, Entry] = {
    "RescaleIntercept": t.INTERCEPT,
    "RescaleSlope": number(-1e7, 1e7),
    "RescaleType": type1c(RESCALE_TYPES, "US"),
    "ModalityLUTSequence": LookupTable(RESCALE_TYPES.allowed),
}
PLANE: dict[str, Entry] = {
    "PixelSpacing": t.SPACING_MM,
    "ImageOrientationPatient": t.COSINES,
    "ImagePositionPatient": t.POSITION_MM,
    "SliceThickness": type2c(number(0, 1000)),
    "SpacingBetweenSlices": number(-1000, 1000),
    "SliceLocation": number(-100_000, 100_000),
}
CALIBRATION: dict[str, Entry] = {
    "PixelAspectRatio": numbers(1, 65_536, 2),
    "PixelSpacingCalibrationType": terms("GEOMETRY FIDUCIAL"),
    "ImagerPixelSpacing": t.SPACING_MM,
    "NominalScannedPixelSpacing": t.SPACING_MM,
    "EstimatedRadiographicMagnificationFactor": number(0, 100),
}
CONTRAST: dict[str, Entry] = {
    "ContrastBolusAgent": type2c(Nothing()),
    "ContrastBolusAgentSequence": CodeItems(),
    "ContrastBolusAdministrationRouteSequence": CodeItems(),
    "ContrastBolusVolume": number(0, 10_000),
    "ContrastBolusTotalDose": number(0, 10_000),
    "ContrastFlowRate": numbers(0, 1000, 1, 8),
    "ContrastFlowDuration": numbers(0, 100_000, 1, 8),
    "ContrastBolusIngredient": terms("IODINE GADOLINIUM BARIUM XENON", phrases=["CARBON DIOXIDE"]),
    "ContrastBolusIngredientConcentration": number(0, 10_000),
}

COMMON: dict[str, Entry] = {
    # Patient and study: what identifies is empty; rebuild() writes the pseudonym.
    "PatientBirthDate": type2(Nothing()),
    "PatientSex": type2(Nothing()),
    "StudyInstanceUID": type1(Identifier()),
    "StudyDate": type2(Moment("DA")),
    "StudyTime": type2(Moment("TM")),
    "ReferringPhysicianName": type2(Nothing()),
    "StudyID": type2(Nothing()),
    "AccessionNumber": type2(Nothing()),
    # Series and frame of reference
    "SeriesInstanceUID": type1(Identifier()),
    "SeriesNumber": type2(number(0, 99_999)),
    "SeriesDate": Moment("DA"),
    "SeriesTime": Moment("TM"),
    "Modality": type1(Terms(MODALITIES), "OT"),
    "BodyPartExamined": Region(BODY_PARTS),
    "Laterality": type2c(t.SIDE),
    "PatientPosition": type2c(t.PATIENT_POSITIONS),
    "AnatomicalOrientationType": terms("BIPED QUADRUPED"),
    "FrameOfReferenceUID": Identifier(),
    "PositionReferenceIndicator": type2c(Nothing()),
    "SynchronizationFrameOfReferenceUID": Identifier(),
    "SynchronizationTrigger": terms("SOURCE EXTERNAL PASSTHRU", phrases=["NO TRIGGER"]),
    "AcquisitionTimeSynchronized": t.Y_N,
    # Equipment
    "Manufacturer": type2(t.MANUFACTURERS),
    "SpatialResolution": number(0, 1000),
    "PixelPaddingValue": t.PIXEL,
    "PixelPaddingRangeLimit": t.PIXEL,
    # Acquisition and image
    "ImageType": type1c(ImageType(t.IMAGE_TERMS), "DERIVED", "SECONDARY"),
    "AcquisitionUID": Identifier(),
    "IrradiationEventUID": Identifier(most=100),
    "AcquisitionNumber": type2c(t.COUNT),
    "AcquisitionDate": type2c(Moment("DA")),
    "AcquisitionTime": type2c(Moment("TM")),
    "AcquisitionDateTime": Moment("DT"),
    "AcquisitionDuration": number(0, 1e6),
    "ImagesInAcquisition": t.COUNT,
    "ContentDate": type2c(Moment("DA")),
    "ContentTime": type2c(Moment("TM")),
    "InstanceCreationDate": Moment("DA"),
    "InstanceCreationTime": Moment("TM"),
    "InstanceNumber": type2(t.COUNT),
    "PatientOrientation": type2c(t.ORIENTATION),
    "ImageLaterality": t.SIDES,
    "QualityControlImage": t.YES_NO,
    "RecognizableVisualFeatures": t.YES_NO,
    "LossyImageCompression": t.LOSSY,
    "LossyImageCompressionRatio": numbers(0, 10_000, 1, 8),
    "LossyImageCompressionMethod": t.LOSSY_METHODS,
    "PresentationLUTShape": t.PRESENTATION_LUT,
    "DerivationCodeSequence": CodeItems(),
    "ReferencedImageSequence": Items(REFERENCE, most=1000),
    "SourceImageSequence": Items(REFERENCE, most=1000),
    "RealWorldValueMappingSequence": REAL_WORLD_VALUES,
    **ANATOMY,
    **PLANE,
    **VOI,
    **MODALITY_LUT,
    **CALIBRATION,
    **CONTRAST,
}

# C.7.6.5, C.7.6.6
CINE: dict[str, Entry] = {
    "FrameIncrementPointer": KnownTags(16),
    "FrameTime": number(0, 1e7),
    "FrameTimeVector": numbers(0, 1e7, 1, 20_000),
    "StartTrim": t.COUNT,
    "StopTrim": t.COUNT,
    "RecommendedDisplayFrameRate": number(0, 10_000),
    "CineRate": number(0, 10_000),
    "FrameDelay": number(0, 1e7),
    "ImageTriggerDelay": number(0, 1e7),
    "EffectiveDuration": number(0, 1e6),
    "ActualFrameDuration": number(0, 1e7),
    "PreferredPlaybackSequencing": number(0, 1),
    "RepresentativeFrameNumber": t.COUNT,
}

# C.8.6
SECONDARY_CAPTURE: dict[str, Entry] = {
    "ConversionType": type1(terms("DV DI DF WSD SD SI DRW SYN"), "WSD"),
    "PageNumberVector": t.FRAME_NUMBERS,
}
