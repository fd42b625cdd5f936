"""A new file from an allowlist: nothing of the source is copied that no table names."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
from pydicom.dataset import Dataset

from ..deidentify import allowed_attributes
from .allowlist import is_multi_frame, sop_classes, table_for
from .checks import Context
from .codes import known_code
from .encoding import EXPLICIT_VR_LITTLE_ENDIAN, Elements, part10
from .errors import CopyError
from .links import Shift, replaced_uid
from .pixels import pixel_elements, supplemental_palette
from .reading import values_of
from .tables import code_item

# PS3.16 CID 7050.
BASIC_PROFILE = "113100"
CLEAN_PIXEL_DATA = "113101"
MODIFIED_DATES = "113107"

METHOD = "Rebuilt from an allowlist, PS3.15 Annex E 2026d"
_IMPLEMENTATION_CLASS_UID = "2.25.38150922365554402841313045920538095571"
_IMPLEMENTATION_VERSION = "QUORUM_COPY_1"

_SOP_CLASS, _SOP_INSTANCE, _SERIES, _STUDY = 0x00080016, 0x00080018, 0x0020000E, 0x0020000D
_FRAMES = 0x00280008
_PER_FRAME = 0x52009230
_PIXEL_PRESENTATION = 0x00089205
_WINDOW = (0x00281050, 0x00281051)
_SHAPE = (0x00280002, 0x00280010, 0x00280011, 0x00280100)  # samples, rows, columns, bits
# The frames, their packed bytes and each further layer of the file around them, all at once.
_TIMES_THE_PIXELS = 5


def obstacle(dataset: Dataset, free_bytes: int) -> str:
    """Why there can be no copy, by the header alone and before a frame is decoded; empty if none.

    free_bytes: memory that the copy may take. The reason codes "sop-class-not-allowed" and
    "too-large" are CopyError's.
    """
    with _quiet():
        if _text(dataset, _SOP_CLASS) not in sop_classes():
            return "sop-class-not-allowed"
        samples, rows, columns, bits = (int(_text(dataset, tag, "US") or 0) for tag in _SHAPE)
        frames = int(_text(dataset, _FRAMES, "IS") or 1)
    pixel_bytes = frames * rows * columns * samples * bits // 8
    return "too-large" if _TIMES_THE_PIXELS * pixel_bytes > free_bytes else ""


def rebuild(
    dataset: Dataset, frames: Sequence[npt.NDArray[Any]], key: bytes, *, cleaned: bool
) -> bytes:
    """The de-identified copy of one image, a complete Part 10 file in Explicit VR Little Endian.

    dataset is only read. frames: its decoded stored values, one a frame, (H, W) or (H, W, 3) RGB,
    text already blacked out; only where cleaned says that this was done is BurnedInAnnotation NO.
    Conforms to PS3.15 Annex E, Basic Application Level Confidentiality Profile with Retain
    Longitudinal Temporal Information with Modified Dates and, when cleaned, Clean Pixel Data.
    Raises CopyError with a reason code; ValueError for an empty key.
    """
    with _quiet():
        sop_class = _text(dataset, _SOP_CLASS)
        if sop_class not in sop_classes():
            raise CopyError("sop-class-not-allowed")
        signed = _text(dataset, 0x00280103, "US") == "1"
        patient = _pseudonym(dataset, key)
        context = Context(key, Shift.of(key, patient), signed)
        elements = table_for(sop_class).copied(dataset, context)
        assert elements is not None  # no top-level element is essential
        _check_frames(dataset, frames, elements, sop_class)
        _check_windows(elements)
        elements.update(pixel_elements(dataset, frames, signed))
        if elements.get(_PIXEL_PRESENTATION, ("", ["MONOCHROME"]))[1] != ["MONOCHROME"]:
            elements.update(supplemental_palette(dataset, signed))
        elements.update(_identity(dataset, key, sop_class, patient))
        elements.update(_method(cleaned))
    instance = elements[_SOP_INSTANCE][1][0]
    try:
        return part10(_file_meta(sop_class, instance), elements)
    except (struct.error, ValueError, OverflowError):  # a number or list beyond its VR
        raise CopyError("not-encodable") from None


def _identity(dataset: Dataset, key: bytes, sop_class: str, patient: str) -> Elements:
    """The class and instance, and the pseudonym in the place of the patient."""
    instance = _text(dataset, _SOP_INSTANCE)
    # An instance without a series or study is one of its own, as its pseudonyms are.
    series = _text(dataset, _SERIES) or f"series of {instance}"
    study = _text(dataset, _STUDY) or f"study of {instance}"
    return {
        _SOP_CLASS: ("UI", [sop_class]),
        _SOP_INSTANCE: ("UI", [replaced_uid(key, instance)]),
        _SERIES: ("UI", [replaced_uid(key, series)]),
        _STUDY: ("UI", [replaced_uid(key, study)]),
        0x00100010: ("PN", [patient]),
        0x00100020: ("LO", [patient]),
    }


def _method(cleaned: bool) -> Elements:
    """What was done, for whoever receives the copy (PS3.15 E.1.1, PS3.16 CID 7050)."""
    codes = [BASIC_PROFILE, *([CLEAN_PIXEL_DATA] if cleaned else []), MODIFIED_DATES]
    items: list[Elements] = []
    for code in codes:
        known = known_code(code, "DCM")
        assert known is not None
        items.append(code_item(known))
    elements: Elements = {
        0x00120062: ("CS", ["YES"]),
        0x00120063: ("LO", [METHOD]),
        0x00120064: ("SQ", items),
        0x00280303: ("CS", ["MODIFIED"]),
    }
    if cleaned:
        elements[0x00280301] = ("CS", ["NO"])
    return elements


def _file_meta(sop_class: str, instance: str) -> Elements:
    return {
        0x00020001: ("OB", [b"\0\1"]),
        0x00020002: ("UI", [sop_class]),
        0x00020003: ("UI", [instance]),
        0x00020010: ("UI", [EXPLICIT_VR_LITTLE_ENDIAN]),
        0x00020012: ("UI", [_IMPLEMENTATION_CLASS_UID]),
        0x00020013: ("SH", [_IMPLEMENTATION_VERSION]),
    }


def _pseudonym(dataset: Dataset, key: bytes) -> str:
    if not key:
        raise ValueError("the key is empty: give the hospital's key, 32 random bytes")
    if not _text(dataset, _SOP_INSTANCE):
        raise CopyError("identifier-missing")
    try:
        return str(allowed_attributes(dataset, key)["patient"])
    except Exception:  # whatever it could not read, its text may quote it
        raise CopyError("identifier-missing") from None


def _check_frames(
    dataset: Dataset, frames: Sequence[npt.NDArray[Any]], elements: Elements, sop_class: str
) -> None:
    declared = int(_text(dataset, _FRAMES, "IS") or 1)
    groups = elements.get(_PER_FRAME)
    if not frames or len(frames) != declared or (groups and len(groups[1]) != declared):
        raise CopyError("frame-count")
    if _FRAMES in dataset or is_multi_frame(sop_class):
        elements[_FRAMES] = ("IS", [declared])


def _check_windows(elements: Elements) -> None:
    """A window is a centre and a width: one without the other means nothing (C.11.2.1.2)."""
    center, width = (elements.get(tag, ("", []))[1] for tag in _WINDOW)
    if len(center) != len(width):
        for tag in _WINDOW:
            elements.pop(tag, None)


def _text(dataset: Dataset, tag: int, vr: str = "UI") -> str:
    values = values_of(dataset, tag, vr, False) if tag in dataset else None
    return str(values[0]) if values else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Nested sequences are parsed by pydicom, whose warnings and log lines quote values."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
