"""Native pixel data from decoded frames, and the tables that turn stored values into shown ones."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from .checks import Context
from .encoding import Elements
from .errors import CopyError
from .reading import Values, values_of

Frames = Sequence[npt.NDArray[Any]]

_MOST_BYTES = 2**32 - 2  # what a 32-bit length can say, PS3.5 7.1.2
_PALETTES = (0x0028_1101, 0x0028_1102, 0x0028_1103)  # descriptors; data are 0x100 further on


def pixel_elements(source: Dataset, frames: Frames, signed: bool) -> Elements:
    """The image pixel module (PS3.3 C.7.6.3) of the frames, bits above BitsStored cleared.

    frames: stored values, (H, W) or (H, W, 3) RGB, all of one shape.
    Raises CopyError("pixels-mismatch" | "bits" | "palette" | "too-large").
    """
    shape = frames[0].shape
    if any(frame.shape != shape or frame.dtype.kind not in "iub" for frame in frames):
        raise CopyError("pixels-mismatch")
    allocated, stored, high = (_integer(source, tag) for tag in (0x280100, 0x280101, 0x280102))
    if allocated not in (1, 8, 16, 32) or not 0 < stored <= allocated or high != stored - 1:
        raise CopyError("bits")
    photometric = (values_of(source, 0x00280004, "CS", False) or [""])[0]
    elements: Elements = {}
    if len(shape) == 3:
        if shape[2] != 3 or photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"):
            raise CopyError("pixels-mismatch")
        photometric = "RGB"
        elements[0x00280006] = ("US", [0])  # colour by pixel
    elif photometric == "PALETTE COLOR":
        elements.update(_palettes(source, signed))
    elif photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise CopyError("pixels-mismatch")
    content = _packed(frames, allocated, stored, signed)
    if len(content) > _MOST_BYTES or max(shape[:2]) > 0xFFFF:
        raise CopyError("too-large")
    elements |= {
        0x00280002: ("US", [3 if len(shape) == 3 else 1]),
        0x00280004: ("CS", [photometric]),
        0x00280010: ("US", [shape[0]]),
        0x00280011: ("US", [shape[1]]),
        0x00280100: ("US", [allocated]),
        0x00280101: ("US", [stored]),
        0x00280102: ("US", [high]),
        0x00280103: ("US", [int(signed)]),
        0x7FE00010: ("OW" if allocated > 8 or allocated == 1 else "OB", [content]),
    }
    return elements


def _packed(frames: Frames, allocated: int, stored: int, signed: bool) -> bytes:
    if allocated == 1:  # PS3.5 8.1.1, the first pixel in the lowest bit, over frames
        bits = np.concatenate([(frame != 0).ravel() for frame in frames])
        return np.packbits(bits, bitorder="little").tobytes()
    kind = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
    spare = allocated - stored
    packed = []
    for frame in frames:
        cells = frame.astype(kind, copy=False)
        if spare and signed:
            cells = (cells << spare) >> spare  # the sign fills the bits above
        elif spare:
            cells = cells & kind.type((1 << stored) - 1)
        packed.append(cells.tobytes())
    return packed[0] if len(packed) == 1 else b"".join(packed)


def _palettes(source: Dataset, signed: bool) -> Elements:
    """The three colour tables, if each is exactly as long as its descriptor says (C.7.6.3.1.5)."""
    read: list[tuple[int, int, int, bytes]] = []
    for tag in _PALETTES:
        descriptor = values_of(source, tag, "US or SS", signed) if tag in source else None
        table = values_of(source, tag + 0x100, "OW", False) if tag + 0x100 in source else None
        if not descriptor or len(descriptor) != 3 or not table:
            raise CopyError("palette")
        entries, first, bits = descriptor
        entries = entries % 0x10000 or 0x10000
        if bits == 8 and len(table[0]) == 2 * entries:
            bits = 16  # written with words
        length = entries * bits // 8
        if bits not in (8, 16) or not length <= len(table[0]) <= length + length % 2:
            raise CopyError("palette")
        read.append((entries, first, bits, table[0][:length]))
    # Entries of 8 bits in words with an empty high byte (C.7.6.3.1.5) would be shown as black.
    padded = all(bits == 16 and not any(content[1::2]) for _, _, bits, content in read)
    elements: Elements = {}
    for tag, (entries, first, bits, content) in zip(_PALETTES, read, strict=True):
        elements[tag] = _descriptor(entries, first, 8 if padded else bits, signed)
        elements[tag + 0x100] = ("OW", [content[::2] if padded else content])
    return elements


def supplemental_palette(source: Dataset, signed: bool) -> Elements:
    """The colours over a grey image (PS3.3 C.7.6.19); none where the tables do not hold."""
    try:
        return _palettes(source, signed)
    except CopyError:
        return {}


class LookupTable:
    """A modality or VOI LUT sequence (PS3.3 C.11.1, C.11.2): of its descriptor's length, monotonic.

    A table that rises or falls throughout holds no text.
    """

    def __init__(self, types: frozenset[str] = frozenset()) -> None:
        self._types = types

    def accepted(self, values: Values, context: Context) -> Values | None:
        if not 0 < len(values) <= 16:
            return None
        items = [self._item(item, context) for item in values]
        return None if None in items else items

    def _item(self, source: Dataset, context: Context) -> Elements | None:
        if 0x00283002 not in source or 0x00283006 not in source:
            return None
        descriptor = values_of(source, 0x00283002, "US or SS", context.signed)
        data = values_of(source, 0x00283006, "US or OW", False)
        if not descriptor or len(descriptor) != 3 or not data:
            return None
        if isinstance(data[0], bytes):
            data = list(struct.unpack(f"<{len(data[0]) // 2}H", data[0][: len(data[0]) // 2 * 2]))
        entries, first, bits = descriptor
        steps = np.diff(np.asarray(data, dtype=np.int64))
        if (
            len(data) != (entries % 0x10000 or 0x10000)
            or not 8 <= bits <= 16
            or max(data) >> bits
            or not ((steps >= 0).all() or (steps <= 0).all())
        ):
            return None
        item: Elements = {
            0x00283002: _descriptor(entries, first, bits, context.signed),
            0x00283006: ("OW", [struct.pack(f"<{len(data)}H", *data)]),
        }
        if self._types:
            kind = (values_of(source, 0x00283004, "LO", False) or [""])[0]
            item[0x00283004] = ("LO", [kind if kind in self._types else "US"])
        return item


def _descriptor(entries: int, first: int, bits: int, signed: bool) -> tuple[str, list[Any]]:
    # PS3.3 C.11.1.1.1: the first value is unsigned whatever the VR; 65536 is written 0.
    if signed:
        return "SS", [(entries + 0x8000) % 0x10000 - 0x8000, first, bits]
    return "US", [entries % 0x10000, first % 0x10000, bits]


def _integer(source: Dataset, tag: int) -> int:
    values = values_of(source, tag, "US", False) if tag in source else None
    return int(values[0]) if values else -1
