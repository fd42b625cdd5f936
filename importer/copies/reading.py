"""An element's values, read strictly and without pydicom's conversions, which warn and quote.

Raw elements are parsed here; what the caller already had converted is brought to the same form.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

Values = list[Any]

TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "PN", "SH", "TM", "UI"})
INTEGER_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i"}
FLOAT_FORMATS = {"FL": "f", "FD": "d"}
# What an element may be written as when the standard leaves a choice.
AMBIGUOUS = {
    "US or SS": frozenset({"US", "SS"}),
    "US or OW": frozenset({"US", "OW"}),
    "US or SS or OW": frozenset({"US", "SS", "OW"}),
}

_MOST_TEXT_BYTES = 1 << 16
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")


def values_of(source: Dataset, tag: int, vr: str, signed: bool) -> Values | None:
    """The values as strings, numbers, bytes (one) or items; None if they are not of the VR.

    An empty value is an empty list. signed: how "US or SS" is meant where the file does not say.
    """
    try:
        element: Any = source.get_item(tag)
        if vr == "SQ":
            return _items(source, tag, element)
        allowed = AMBIGUOUS.get(vr)
        if isinstance(element, RawDataElement):
            written = element.VR if element.VR not in (None, "UN") else None
            if written is None:
                written = vr if allowed is None else ("SS" if signed else "US")
            if written != vr and (allowed is None or written not in allowed):
                return None
            return _parsed(element.value or b"", written, element.is_little_endian)
        if vr != element.VR and (allowed is None or element.VR not in allowed):
            return None
        return _converted(element, element.VR)
    except Exception:  # hostile bytes: whatever pydicom or a decoder says may quote them
        return None


def _items(source: Dataset, tag: int, element: Any) -> Values | None:
    if isinstance(element, RawDataElement) and element.VR not in {None, "SQ", "UN"}:
        return None
    converted = source[tag]
    return list(converted.value or []) if converted.VR == "SQ" else None


def _parsed(content: bytes, vr: str, little: bool) -> Values | None:
    order = "<" if little else ">"
    if vr in TEXT_VRS or vr in ("DS", "IS"):
        if len(content) > _MOST_TEXT_BYTES:
            return None
        return _texts(content.decode("ascii").split("\\"), vr)
    code = INTEGER_FORMATS.get(vr) or FLOAT_FORMATS.get(vr)
    if code:
        count, rest = divmod(len(content), struct.calcsize(code))
        return None if rest else list(struct.unpack(f"{order}{count}{code}", content))
    if vr == "AT":
        words = struct.unpack(f"{order}{len(content) // 2}H", content)
        return [words[i] << 16 | words[i + 1] for i in range(0, len(words), 2)]
    if vr in ("OB", "OW"):
        if vr == "OW" and not little:
            content = struct.pack(
                f"<{len(content) // 2}H", *struct.unpack(f">{len(content) // 2}H", content)
            )
        return [content] if content else []
    return None


def _texts(texts: list[str], vr: str) -> Values | None:
    texts = [text.strip(" \0") for text in texts]
    if texts == [""]:
        return []
    if vr == "DS":
        if not all(_DECIMAL.fullmatch(text) for text in texts):
            return None
        return [float(text) for text in texts]
    if vr == "IS":
        if not all(_INTEGER.fullmatch(text) for text in texts):
            return None
        return [int(text) for text in texts]
    return list(texts)


def _converted(element: DataElement, vr: str) -> Values | None:
    value = element.value
    if value is None or (isinstance(value, str | bytes) and not value):
        return []
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    listed: Values = list(value) if several else [value]
    if vr in TEXT_VRS or vr in ("DS", "IS"):
        texts = [str(getattr(item, "original_string", item)) for item in listed]
        return _texts(texts, vr) if all(text.isascii() for text in texts) else None
    if vr in INTEGER_FORMATS or vr == "AT":
        return [int(item) for item in listed]
    if vr in FLOAT_FORMATS:
        return [float(item) for item in listed]
    return [bytes(item) for item in listed] if vr in ("OB", "OW") else None
