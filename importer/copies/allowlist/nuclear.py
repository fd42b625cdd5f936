"""Nuclear medicine and positron emission (PS3.3 C.8.4, C.8.9)."""

from __future__ import annotations

from ..checks import (
    Entry,
    ImageType,
    KnownTags,
    Moment,
    Nothing,
    number,
    numbers,
    terms,
    type1,
    type1c,
    type2,
    type2c,
)
from ..tables import CodeItems, Items, Table
from . import terms as t
from .general import CINE

# The administration's moments are in Table E.1-1 (X) and come back by the modified dates option:
# without them and the half life no uptake can be computed.
RADIOPHARMACEUTICAL = Table(
    {
        "RadiopharmaceuticalStartTime": Moment("TM"),
        "RadiopharmaceuticalStopTime": Moment("TM"),
        "RadiopharmaceuticalStartDateTime": Moment("DT"),
        "RadiopharmaceuticalStopDateTime": Moment("DT"),
        "RadiopharmaceuticalVolume": number(0, 10_000),
        "RadionuclideTotalDose": number(0, 1e12),
        "RadionuclideHalfLife": number(0, 1e12),
        "RadionuclidePositronFraction": number(0, 1),
        "RadiopharmaceuticalSpecificActivity": number(0, 1e15),
        "RadionuclideCodeSequence": type2(CodeItems()),
        "AdministrationRouteCodeSequence": CodeItems(),
        "RadiopharmaceuticalCodeSequence": CodeItems(),
    }
)
PATIENT_ORIENTATION: dict[str, Entry] = {
    "PatientOrientationCodeSequence": type2(CodeItems("PatientOrientationModifierCodeSequence")),
    "PatientGantryRelationshipCodeSequence": type2(CodeItems()),
}
_ENERGY_WINDOW = Table(
    {
        "EnergyWindowRangeSequence": Items(
            Table(
                {
                    "EnergyWindowLowerLimit": number(0, 100_000),
                    "EnergyWindowUpperLimit": number(0, 100_000),
                }
            )
        )
    }
)
_DETECTOR = Table(
    {
        "CollimatorType": type2(t.COLLIMATORS),
        "FieldOfViewShape": t.FIELD_OF_VIEW_SHAPES,
        "FieldOfViewDimensions": numbers(0, 10_000, 1, 2),
        "FocalDistance": type2(number(-100_000, 100_000)),
        "XFocusCenter": t.OFFSET_MM,
        "YFocusCenter": t.OFFSET_MM,
        "ZoomCenter": numbers(-10_000, 10_000, 2),
        "ZoomFactor": numbers(0, 1000, 2),
        "CenterOfRotationOffset": t.OFFSET_MM,
        "GantryDetectorTilt": t.ANGLE_DEG,
        "DistanceSourceToDetector": type2c(t.LENGTH_MM),
        "StartAngle": t.ANGLE_DEG,
        "RadialPosition": numbers(0, 10_000, 1, 4000),
        "ImageOrientationPatient": type2(t.COSINES),
        "ImagePositionPatient": type2(t.POSITION_MM),
        "ViewCodeSequence": CodeItems("ViewModifierCodeSequence"),
    }
)
_ROTATION = Table(
    {
        "StartAngle": type1c(t.ANGLE_DEG, 0.0),
        "AngularStep": type1c(t.ANGLE_DEG, 0.0),
        "RotationDirection": type1c(terms("CW CC"), "CW"),
        "ScanArc": type1c(t.ANGLE_DEG, 360.0),
        "ActualFrameDuration": type1c(number(0, 1e7), 0),
        "RadialPosition": numbers(0, 10_000, 1, 4000),
        "DistanceSourceToDetector": type2c(t.LENGTH_MM),
        "NumberOfFramesInRotation": number(0, 20_000),
        "TableTraverse": t.OFFSET_MM,
        "TableHeight": t.OFFSET_MM,
    }
)
_INTERVAL = Table(
    {
        "FrameTime": number(0, 1e7),
        "NominalInterval": number(0, 1_000_000),
        "LowRRValue": number(0, 100_000),
        "HighRRValue": number(0, 100_000),
        "IntervalsAcquired": t.COUNT,
        "IntervalsRejected": t.COUNT,
        "TimeSlotInformationSequence": Items(Table({"TimeSlotTime": number(0, 1e7)}), most=1000),
    }
)
_GATE = Table(
    {
        "TriggerTime": t.TIME_MS,
        "DataInformationSequence": type2(Items(_INTERVAL)),
    }
)
_PHASE = Table(
    {
        "PhaseDelay": type1(number(0, 1e9), 0),
        "ActualFrameDuration": type1(number(0, 1e9), 0),
        "PauseBetweenFrames": type1(number(0, 1e9), 0),
        "NumberOfFramesInPhase": type1(number(0, 20_000), 1),
        "TriggerVector": numbers(0, 1e9, 1, 4000),
        "NumberOfTriggersInPhase": number(0, 20_000),
        "PhaseDescription": terms("FLOW WASHOUT UPTAKE EMPTYING EXCRETION"),
    }
)

NM: dict[str, Entry] = {
    **CINE,
    **PATIENT_ORIENTATION,
    "Modality": type1(terms("NM"), "NM"),
    "ImageType": type1(
        ImageType(t.IMAGE_TERMS, ("ORIGINAL", "PRIMARY", "STATIC", "EMISSION")),
        "DERIVED", "PRIMARY", "STATIC", "EMISSION",
    ),
    "PixelSpacing": type2(t.SPACING_MM),
    "FrameIncrementPointer": type1(KnownTags(16), 0x0054_0010),
    "CountsAccumulated": type2(number(0, 2_000_000_000)),
    "CountsSource": terms("EMISSION TRANSMISSION"),
    "AcquisitionTerminationCondition": terms("CNTS DENS MANU OVFL TIME TRIG"),
    "TableHeight": t.OFFSET_MM,
    "TableTraverse": t.OFFSET_MM,
    "ActualFrameDuration": number(0, 1e9),
    "CountRate": number(0, 2_000_000_000),
    "ScanVelocity": number(0, 10_000),
    "WholeBodyTechnique": terms("1PASS 2PASS PCN MSP"),
    "ScanLength": number(0, 10_000),
    "TriggerSourceOrType": terms("EKG RESP"),
    "TypeOfDetectorMotion": terms("CONTINUOUS", phrases=["STEP AND SHOOT"]),
    "EnergyWindowVector": t.FRAME_NUMBERS,
    "NumberOfEnergyWindows": type1(number(0, 1000), 1),
    "DetectorVector": t.FRAME_NUMBERS,
    "NumberOfDetectors": type1(number(0, 1000), 1),
    "PhaseVector": t.FRAME_NUMBERS,
    "NumberOfPhases": number(0, 10_000),
    "RotationVector": t.FRAME_NUMBERS,
    "NumberOfRotations": number(0, 10_000),
    "RRIntervalVector": t.FRAME_NUMBERS,
    "NumberOfRRIntervals": number(0, 10_000),
    "TimeSlotVector": t.FRAME_NUMBERS,
    "NumberOfTimeSlots": number(0, 10_000),
    "SliceVector": t.FRAME_NUMBERS,
    "NumberOfSlices": number(0, 20_000),
    "AngularViewVector": t.FRAME_NUMBERS,
    "TimeSliceVector": t.FRAME_NUMBERS,
    "EnergyWindowInformationSequence": type2(Items(_ENERGY_WINDOW)),
    "RadiopharmaceuticalInformationSequence": type2(Items(RADIOPHARMACEUTICAL)),
    "DetectorInformationSequence": type2(Items(_DETECTOR)),
    "RotationInformationSequence": type2c(Items(_ROTATION)),
    "GatedInformationSequence": type2c(Items(_GATE)),
    "PhaseInformationSequence": type2c(Items(_PHASE, most=1000)),
    "BeatRejectionFlag": t.Y_N,
    "SkipBeats": number(0, 10_000),
    "HeartRate": number(0, 1000),
    "ReconstructionDiameter": t.LENGTH_MM,
    "ConvolutionKernel": t.KERNEL,
    "SliceProgressionDirection": terms("APEX_TO_BASE BASE_TO_APEX"),
    "AcquisitionContextSequence": type2c(Nothing()),
}  # fmt: skip

PT: dict[str, Entry] = {
    **PATIENT_ORIENTATION,
    "Modality": type1(terms("PT"), "PT"),
    "PositionReferenceIndicator": type2(Nothing()),
    "SliceThickness": type2(number(0, 1000)),
    "SeriesDate": type2c(Moment("DA")),
    "SeriesTime": type2c(Moment("TM")),
    "Units": type1(
        terms(
            "CNTS NONE CM2 CM2ML PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS "
            "PROPCPS MLMINML MLML GML STDDEV SUV"
        ),
        "NONE",
    ),
    "SUVType": terms("BSA BW LBM LBMJAMES128 LBMJANMA IBW"),
    "CountsSource": type1(terms("EMISSION TRANSMISSION"), "EMISSION"),
    "SeriesType": type1(terms("STATIC DYNAMIC GATED IMAGE REPROJECTION", 2), "STATIC", "IMAGE"),
    "ReprojectionMethod": type2c(terms("SUM", phrases=["MAX PIXEL"])),
    "NumberOfRRIntervals": number(0, 10_000),
    "NumberOfTimeSlots": number(0, 10_000),
    "NumberOfSlices": type1c(number(0, 20_000), 1),
    "NumberOfTimeSlices": number(0, 10_000),
    "TypeOfDetectorMotion": terms("NONE STATIONARY CONTINUOUS WOBBLE CLAMSHELL",
                                  phrases=["STEP AND SHOOT"]),
    "CollimatorType": type2c(terms("NONE RING")),
    "RandomsCorrectionMethod": terms("NONE DLYD SING"),
    "CorrectedImage": type2c(
        terms("DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM RANSM RESAMP NONE", 16)
    ),
    "DecayCorrection": type1(terms("NONE START ADMIN"), "NONE"),
    "ReconstructionDiameter": t.LENGTH_MM,
    "ConvolutionKernel": t.KERNEL,
    "AxialAcceptance": number(0, 1000),
    "AxialMash": numbers(0, 1000, 2),
    "TransverseMash": number(0, 1000),
    "DetectorElementSize": numbers(0, 1000, 2),
    "CoincidenceWindowWidth": number(0, 1000),
    "GantryDetectorTilt": t.ANGLE_DEG,
    "GantryDetectorSlew": t.ANGLE_DEG,
    "FieldOfViewShape": t.FIELD_OF_VIEW_SHAPES,
    "FieldOfViewDimensions": numbers(0, 10_000, 1, 2),
    "EnergyWindowRangeSequence": Items(
        Table(
            {
                "EnergyWindowLowerLimit": number(0, 100_000),
                "EnergyWindowUpperLimit": number(0, 100_000),
            }
        )
    ),
    "RadiopharmaceuticalInformationSequence": type2(Items(RADIOPHARMACEUTICAL)),
    "RescaleIntercept": type1(t.INTERCEPT, 0.0),
    "RescaleSlope": type1(number(-1e7, 1e7), 1.0),
    "FrameReferenceTime": type1(number(-1e9, 1e9), 0.0),
    "ImageIndex": type1(number(0, 20_000), 1),
    "DecayFactor": number(0, 1e6),
    "DoseCalibrationFactor": number(0, 1e12),
    "ScatterFractionFactor": number(0, 1e6),
    "DeadTimeFactor": number(0, 1e6),
    "SliceSensitivityFactor": number(0, 1e6),
    "PrimaryPromptsCountsAccumulated": number(0, 2_000_000_000),
    "SecondaryCountsAccumulated": numbers(0, 2_000_000_000, 1, 16),
    "SecondaryCountsType": terms("DLYD SCAT SING DTIM", 8),
    "ActualFrameDuration": number(0, 1e9),
    "TriggerTime": t.TIME_MS,
    "FrameTime": number(0, 1e7),
    "LowRRValue": number(0, 100_000),
    "HighRRValue": number(0, 100_000),
    "NominalInterval": number(0, 1_000_000),
    "IntervalsAcquired": t.COUNT,
    "IntervalsRejected": t.COUNT,
    "BeatRejectionFlag": t.Y_N,
    "HeartRate": number(0, 1000),
    "AcquisitionContextSequence": type2c(Nothing()),
}  # fmt: skip
