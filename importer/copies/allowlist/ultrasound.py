"""Ultrasound images of one or more frames (PS3.3 C.8.5)."""

from __future__ import annotations

from ..checks import Entry, Essential, number, numbers, terms, type1
from ..tables import CodeItems, Items, Table
from . import terms as t

# C.8.5.5; codes and flags are numbers of the standard.
REGION = Table(
    {
        "RegionSpatialFormat": Essential(number(0, 5)),
        "RegionDataType": Essential(number(0, 18)),
        "RegionFlags": Essential(number(0, 31)),
        "RegionLocationMinX0": Essential(number(0, 65_535)),
        "RegionLocationMinY0": Essential(number(0, 65_535)),
        "RegionLocationMaxX1": Essential(number(0, 65_535)),
        "RegionLocationMaxY1": Essential(number(0, 65_535)),
        "ReferencePixelX0": t.PIXEL,
        "ReferencePixelY0": t.PIXEL,
        "PhysicalUnitsXDirection": Essential(number(0, 12)),
        "PhysicalUnitsYDirection": Essential(number(0, 12)),
        "ReferencePixelPhysicalValueX": number(-1e6, 1e6),
        "ReferencePixelPhysicalValueY": number(-1e6, 1e6),
        "PhysicalDeltaX": Essential(number(-1e6, 1e6)),
        "PhysicalDeltaY": Essential(number(-1e6, 1e6)),
        "TransducerFrequency": number(0, 1_000_000),
        "PulseRepetitionFrequency": number(0, 1_000_000),
        "DopplerCorrectionAngle": t.ANGLE_DEG,
        "SteeringAngle": t.ANGLE_DEG,
        "DopplerSampleVolumeXPosition": t.PIXEL,
        "DopplerSampleVolumeYPosition": t.PIXEL,
        "TMLinePositionX0": t.PIXEL,
        "TMLinePositionY0": t.PIXEL,
        "TMLinePositionX1": t.PIXEL,
        "TMLinePositionY1": t.PIXEL,
        "PixelComponentOrganization": number(0, 3),
        "PixelComponentMask": number(0, 0xFFFF),
        "PixelComponentRangeStart": number(0, 0xFFFF),
        "PixelComponentRangeStop": number(0, 0xFFFF),
        "PixelComponentPhysicalUnits": number(0, 12),
        "PixelComponentDataType": number(0, 18),
        "NumberOfTableBreakPoints": number(0, 256),
        "TableOfXBreakPoints": numbers(0, 0xFFFF, 1, 256),
        "TableOfYBreakPoints": numbers(-1e6, 1e6, 1, 256),
    }
)

US: dict[str, Entry] = {
    "Modality": type1(terms("US IVUS"), "US"),
    "SequenceOfUltrasoundRegions": Items(REGION, most=64),
    "UltrasoundColorDataPresent": number(0, 1),
    "NumberOfStages": number(0, 1000),
    "StageNumber": number(0, 1000),
    "NumberOfViewsInStage": number(0, 1000),
    "ViewNumber": number(0, 1000),
    "NumberOfEventTimers": number(0, 1000),
    "EventElapsedTimes": numbers(0, 1e9, 1, 64),
    "ViewCodeSequence": CodeItems("ViewModifierCodeSequence"),
    "TransducerType": terms(
        "SECTOR_PHASED SECTOR_MECH SECTOR_ANNULAR LINEAR CURVED_LINEAR SINGLE_CRYSTAL "
        "SPLIT_XTAL_CWD IV_PHASED IV_ROT_XTAL IV_ROT_MIRROR ENDOCAV_PA ENDOCAV_MECH ENDOCAV_CLA "
        "ENDOCAV_AA ENDOCAV_LINEAR VECTOR_PHASED",
        phrases=["CURVED LINEAR", "SECTOR PHASED", "VECTOR PHASED"],
    ),
    "HeartRate": number(0, 1000),
    "MechanicalIndex": number(0, 100),
    "BoneThermalIndex": number(0, 100),
    "CranialThermalIndex": number(0, 100),
    "SoftTissueThermalIndex": number(0, 100),
    "SoftTissueFocusThermalIndex": number(0, 100),
    "SoftTissueSurfaceThermalIndex": number(0, 100),
    "DepthOfScanField": t.LENGTH_MM,
    "DepthsOfFocus": numbers(0, 10_000, 1, 32),
    "TriggerTime": t.TIME_MS,
    "NominalInterval": number(0, 1_000_000),
    "BeatRejectionFlag": t.Y_N,
    "LowRRValue": number(0, 100_000),
    "HighRRValue": number(0, 100_000),
}
