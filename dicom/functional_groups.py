"""Attributes of one frame: at the top level, or in the functional groups of enhanced instances."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

# PS3.3 C.7.6.16.2: the macros that hold what is asked for here.
_MACROS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameAnatomySequence",
)
_PER_FRAME, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
# Longer values are hardly the same in two slices; that of a sequence or an unknown VR depends on
# more than its bytes.
_SHORT_BYTES = 64
_OWN_WAY = ("SQ", "UN")


def attribute(dataset: Dataset, keyword: str) -> Any:
    """A raw value as dataset.get(keyword) gives it, None if it is absent; not to be changed.

    Raises whatever pydicom raises, whose errors quote values. The slices of a series share most
    of their values: each is converted once.
    """
    tag = _tag(keyword)
    element = dataset.get_item(tag)
    if element is None:
        return None
    if (
        isinstance(element, RawDataElement)
        and not element.is_implicit_VR
        and element.VR not in _OWN_WAY
        and isinstance(element.value, bytes)
        and len(element.value) <= _SHORT_BYTES
    ):
        encoding = dataset.original_character_set or "iso8859"
        return _converted(
            tag,
            element.VR,
            element.value,
            element.is_little_endian,
            encoding if isinstance(encoding, str) else tuple(encoding),
        )
    return dataset[tag].value


def value_of(dataset: Dataset, keyword: str) -> Any:
    """A raw value, None if it is absent or pydicom cannot convert it (its errors quote values)."""
    try:
        return attribute(dataset, keyword)
    except Exception:
        return None


def whole_number(dataset: Dataset, keyword: str, default: int) -> int:
    """A whole number; the default if it is absent, 0 or none (a damaged file may hold several)."""
    try:
        return int(value_of(dataset, keyword)) or default
    except (TypeError, ValueError, OverflowError):
        return default


def frame_value(dataset: Dataset, keyword: str, frame: int = 0) -> Any:
    """An attribute of a frame (from 0): its own, the shared one, or the instance's; else None.

    PS3.3 C.7.6.16: the top level of an enhanced instance does not hold them.
    """
    top = value_of(dataset, keyword)
    if top is not None:
        return top
    groups = list(value_of(dataset, _PER_FRAME) or [])[frame : frame + 1]
    groups += list(value_of(dataset, _SHARED) or [])[:1]
    for group in groups:
        for macro in _MACROS:
            for item in list(value_of(group, macro) or [])[:1]:
                found = value_of(item, keyword)
                if found is not None:
                    return found
    return None


@lru_cache(maxsize=512)
def _tag(keyword: str) -> BaseTag:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"DICOM has no attribute {keyword}")
    return BaseTag(tag)


@lru_cache(maxsize=2048)
def _converted(
    tag: BaseTag, vr: str, content: bytes, is_little_endian: bool, encoding: str | tuple[str, ...]
) -> Any:
    raw = RawDataElement(tag, vr, len(content), content, 0, False, is_little_endian)
    names = encoding if isinstance(encoding, str) else list(encoding)
    return convert_raw_data_element(raw, encoding=names).value
