"""Attributes of one frame: at the top level, or in the functional groups of enhanced instances."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

# PS3.3 C.7.6.16.2: the macros that hold what is asked for here.
_MACROS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameAnatomySequence",
)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """A raw value, None if it is absent or pydicom cannot convert it (its errors quote values)."""
    try:
        return dataset.get(keyword)
    except Exception:
        return None


def frame_value(dataset: Dataset, keyword: str, frame: int = 0) -> Any:
    """An attribute of a frame (from 0): its own, the shared one, or the instance's; else None.

    PS3.3 C.7.6.16: the top level of an enhanced instance does not hold them.
    """
    top = value_of(dataset, keyword)
    if top is not None:
        return top
    groups = list(value_of(dataset, "PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    groups += list(value_of(dataset, "SharedFunctionalGroupsSequence") or [])[:1]
    for group in groups:
        for macro in _MACROS:
            for item in list(value_of(group, macro) or [])[:1]:
                found = value_of(item, keyword)
                if found is not None:
                    return found
    return None
