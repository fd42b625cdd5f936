"""Angiography and fluoroscopy (PS3.3 C.8.7)."""

from __future__ import annotations

from ..checks import Entry, number, numbers, terms, type1, type1c, type2c
from ..tables import Items, Table
from . import terms as t
from .radiography import COLLIMATOR_AND_SHUTTER, DETECTOR, EXPOSURE

MASK = Items(
    Table(
        {
            "MaskOperation": type1(terms("NONE AVG_SUB TID REV_TID"), "NONE"),
            "ApplicableFrameRange": numbers(0, 20_000, 2, 400),
            "MaskFrameNumbers": numbers(0, 20_000, 1, 400),
            "ContrastFrameAveraging": number(0, 20_000),
            "MaskSubPixelShift": numbers(-10_000, 10_000, 2),
            "TIDOffset": number(-20_000, 20_000),
        }
    )
)
RF: dict[str, Entry] = {
    **EXPOSURE,
    **DETECTOR,
    **COLLIMATOR_AND_SHUTTER,
    "Modality": type1(terms("RF"), "RF"),
    "PixelIntensityRelationship": type1c(terms("LIN LOG DISP"), "DISP"),
    "RadiationSetting": type1(terms("SC GR"), "GR"),
    "RadiationMode": terms("CONTINUOUS PULSED"),
    "AveragePulseWidth": number(0, 1e6),
    "TypeOfFilters": terms("STRIP WEDGE BUTTERFLY MULTIPLE NONE"),
    "IntensifierSize": t.LENGTH_MM,
    "RecommendedViewingMode": terms("SUB NAT"),
    "MaskSubtractionSequence": MASK,
    "TableMotion": terms("STATIC DYNAMIC"),
    "TableVerticalIncrement": numbers(-10_000, 10_000, 1, 4000),
    "TableLateralIncrement": numbers(-10_000, 10_000, 1, 4000),
    "TableLongitudinalIncrement": numbers(-10_000, 10_000, 1, 4000),
    "TableAngle": t.ANGLE_DEG,
    "ColumnAngulation": t.ANGLE_DEG,
    "TomoLayerHeight": t.OFFSET_MM,
    "TomoAngle": t.ANGLE_DEG,
    "TomoTime": number(0, 1e6),
}
XA: dict[str, Entry] = {
    **RF,
    "Modality": type1(terms("XA"), "XA"),
    "PositionerMotion": type2c(terms("STATIC DYNAMIC")),
    "PositionerPrimaryAngle": type2c(t.ANGLE_DEG),
    "PositionerSecondaryAngle": type2c(t.ANGLE_DEG),
    "PositionerPrimaryAngleIncrement": numbers(-360, 360, 1, 4000),
    "PositionerSecondaryAngleIncrement": numbers(-360, 360, 1, 4000),
}
