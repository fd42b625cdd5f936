"""Explicit VR little endian data sets, which nearly all files are, without reading their sequences.

pydicom reads each element of each item of each sequence of undefined length, a third of an
import's time, though hardly any is asked for. Here they are stepped over, and pydicom reads one
when it is asked for. Every element that has a keyword is there, so whoever asks for one gets what
pydicom.dcmread() would give; whatever is not exactly as PS3.5 sections 7.1.2 and 7.5 say is left
to it.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

_SYNTAXES = frozenset(
    str(uid).encode()
    for uid in (
        ExplicitVRLittleEndian,
        RLELossless,
        *JPEGTransferSyntaxes,
        *JPEGLSTransferSyntaxes,
        *JPEG2000TransferSyntaxes,
    )
)
_SHORT = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_16)
_LONG = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
_VRS = {code: code.decode() for code in _SHORT | _LONG}
_START = Struct("<HH2sH").unpack_from
_LENGTH = Struct("<I").unpack_from
_ITEM_START = Struct("<II").unpack_from

_META_START = 132  # behind the preamble and "DICM"
_UNDEFINED = 0xFFFFFFFF
# As the little-endian number of their four bytes.
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000FFFE, 0xE00DFFFE, 0xE0DDFFFE
_SEQUENCE_END_BYTES = _SEQUENCE_END.to_bytes(4, "little")
_DELIMITERS = 0xFFFE  # their group
_CHARACTER_SET, _SYNTAX, _PIXEL_DATA = BaseTag(0x00080005), BaseTag(0x00020010), 0x7FE00010
_LAST_OF_META = 0x0002FFFF
_DEEPEST = 16  # sequences within sequences

_Elements = dict[BaseTag, Any]

# The bytes of the last sequence of each tag whose end was found: a series' slices often share them.
_walked: dict[int, bytes] = {}
_WORTH_KEEPING = 2**16


class _Unusual(Exception):
    """Not exactly as the standard says: for pydicom."""


def quick_read(content: bytes) -> Dataset | None:
    """What pydicom.dcmread() gives for a file's bytes, without private elements (those of odd
    groups, often most of them) and with its sequences unread; None to ask it instead.
    """
    if content[_META_START - 4 : _META_START] != b"DICM":
        return None
    try:
        meta, start = _elements(content, _META_START, 0x0001FFFF, _LAST_OF_META)
        syntax = meta.get(_SYNTAX)
        if syntax is None or (syntax.value or b"").rstrip(b"\0") not in _SYNTAXES:
            return None
        elements, _ = _elements(content, start, _LAST_OF_META, 0xFFFFFFFF)
        encodings = _encodings(elements.get(_CHARACTER_SET))
    except _Unusual:
        return None
    dataset = Dataset(elements)
    dataset.file_meta = FileMetaDataset(meta)
    dataset.file_meta.set_original_encoding(False, True, default_encoding)
    dataset.set_original_encoding(False, True, encodings)
    return dataset


def _elements(content: bytes, position: int, after: int, up_to: int) -> tuple[_Elements, int]:
    """The raw elements with tags above `after`, until the content ends or one is above `up_to`,
    and the position behind them. Raises _Unusual.
    """
    found: _Elements = {}
    size = len(content)
    while position < size:
        if position + 12 > size:  # an empty element of eight bytes is left to pydicom
            raise _Unusual
        group, number, code, length = _START(content, position)
        tag = group << 16 | number
        if tag > up_to:
            break
        if tag <= after or group == _DELIMITERS:
            raise _Unusual
        after = tag
        if code in _SHORT:
            value = position + 8
        elif code in _LONG:
            value = position + 12
            (length,) = _LENGTH(content, position + 8)
        else:
            raise _Unusual
        end = position = value + length
        stored = length
        if length == _UNDEFINED:
            if code == b"SQ":
                end = position = _sequence_end(content, tag, value, size)
                stored = end - value
            elif tag == _PIXEL_DATA and code in (b"OB", b"OW"):
                # As pydicom does: up to the first such bytes, and behind their length.
                end = content.find(_SEQUENCE_END_BYTES, value)
                position = end + 8
                if end < 0:
                    raise _Unusual
            else:
                raise _Unusual
        if position > size:
            raise _Unusual
        if not group & 1:
            vr, key = _VRS[code], _tag(tag)
            read: Any = content[value:end] if end > value else empty_value_for_VR(vr, raw=True)
            found[key] = RawDataElement(key, vr, stored, read, value, False, True)
    return found, position


def _sequence_end(content: bytes, tag: int, position: int, size: int) -> int:
    known = _walked.get(tag)
    if known is not None and content.startswith(known, position):
        return position + len(known)
    end = _behind_sequence(content, position, size, 0)
    if end - position < _WORTH_KEEPING:
        _walked[tag] = content[position:end]
    return end


def _behind_sequence(content: bytes, position: int, size: int, depth: int) -> int:
    """Where a sequence of undefined length ends, behind its delimiter. Raises _Unusual."""
    if depth > _DEEPEST:
        raise _Unusual
    while position + 8 <= size:
        kind, length = _ITEM_START(content, position)
        position += 8
        if kind == _SEQUENCE_END and length == 0:
            return position
        if kind != _ITEM:
            raise _Unusual
        end = position + length if length != _UNDEFINED else size
        if end > size:
            raise _Unusual
        position = _behind_item(content, position, end, length == _UNDEFINED, depth)
    raise _Unusual


def _behind_item(content: bytes, position: int, end: int, delimited: bool, depth: int) -> int:
    """Where an item's elements end: at `end`, or behind its delimiter. Raises _Unusual."""
    last = -1
    while position < end or delimited:
        if delimited and position + 8 <= end:
            kind, length = _ITEM_START(content, position)
            if kind == _ITEM_END and length == 0:
                return position + 8
        if position + 8 > end:
            raise _Unusual
        group, number, code, length = _START(content, position)
        tag = group << 16 | number
        position += 8
        if code in _LONG:
            if position + 4 > end:
                raise _Unusual
            (length,) = _LENGTH(content, position)
            position += 4
        elif code not in _SHORT:
            raise _Unusual
        if tag <= last or group == _DELIMITERS:
            raise _Unusual
        last = tag
        if length != _UNDEFINED:
            position += length
        elif code == b"SQ":
            position = _behind_sequence(content, position, end, depth + 1)
        else:
            raise _Unusual
        if position > end:
            raise _Unusual
    return position


@lru_cache(maxsize=4096)
def _tag(number: int) -> BaseTag:
    return BaseTag(number)


def _encodings(element: RawDataElement | None) -> Any:
    """Python's names for a data set's character sets. Raises _Unusual."""
    if element is None:
        return default_encoding
    try:
        return convert_encodings(convert_raw_data_element(element).value)
    except Exception:  # of another VR, for one
        raise _Unusual from None
