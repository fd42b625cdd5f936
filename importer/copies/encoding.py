"""Checked elements to bytes: Explicit VR Little Endian (PS3.5 7.1.2), Part 10 (PS3.10 7.1)."""

from __future__ import annotations

import struct
from typing import Any

from .reading import FLOAT_FORMATS, INTEGER_FORMATS

# tag: (VR, values); values are strings, numbers, one bytes-like, or further Elements for SQ.
Elements = dict[int, tuple[str, list[Any]]]

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_LONG_VRS = frozenset({"OB", "OW", "SQ"})


def encoded(elements: Elements) -> bytes:
    """The elements in the order of their tags."""
    return b"".join(_element(tag, *elements[tag]) for tag in sorted(elements))


def part10(meta: Elements, elements: Elements) -> bytes:
    """A complete file: zero preamble, file meta with its group length, data set."""
    header = encoded(meta)
    length = _element(0x00020000, "UL", [len(header)])
    return b"".join([bytes(128), b"DICM", length, header, encoded(elements)])


def decimal_string(value: float) -> str:
    """A DS of at most 16 characters, all the digits it had wherever they fit (PS3.5 6.2)."""
    for digits in (10, 15):
        text = f"{value:.{digits}g}"
        if len(text) <= 16 and float(text) == value:
            return text
    return f"{value:.10g}"


def _element(tag: int, vr: str, values: list[Any]) -> bytes:
    content = _content(vr, values)
    if len(content) % 2:
        content += b"\0" if vr in ("UI", "OB", "OW") else b" "
    group, number = tag >> 16, tag & 0xFFFF
    if vr in _LONG_VRS:
        header = struct.pack("<HH2sHI", group, number, vr.encode(), 0, len(content))
    elif len(content) > 0xFFFF:
        raise ValueError("too long for its VR")
    else:
        header = struct.pack("<HH2sH", group, number, vr.encode(), len(content))
    return header + content


def _content(vr: str, values: list[Any]) -> bytes:
    if vr == "SQ":
        return b"".join(_item(encoded(item)) for item in values)
    if vr in ("OB", "OW"):
        return b"".join(values)
    code = INTEGER_FORMATS.get(vr) or FLOAT_FORMATS.get(vr)
    if code:
        return struct.pack(f"<{len(values)}{code}", *values)
    if vr == "AT":
        return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in values)
    if vr == "DS":
        values = [decimal_string(value) for value in values]
    return "\\".join(map(str, values)).encode("ascii")


def _item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
