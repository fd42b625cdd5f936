"""Codes by their standard meaning alone: what a file calls them is never copied."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

_MOST_MEANING = 64  # characters of an LO
# PS3.16 8.1: the designators that older objects use for SNOMED.
_OLD_SNOMED = frozenset({"SRT", "SNM3", "99SDM"})
_SCHEMES = ("DCM", "SCT", "UCUM", "RADLEX", "NCIt", "FMA", "LN", "RXNORM")

Code = tuple[str, str, str]  # value, scheme, meaning


def known_code(value: str, scheme: str) -> Code | None:
    """The code as PS3.16's context groups know it, old SNOMED brought to SCT; None if unknown."""
    if scheme in _OLD_SNOMED:
        value, scheme = _old_snomed().get(value, ""), "SCT"
    meaning = _meanings().get((scheme, value))
    return (value, scheme, meaning) if meaning else None


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    # Imported when the first code is met: the tables take a tenth of a second.
    from pydicom.sr._concepts_dict import concepts

    meanings: dict[tuple[str, str], str] = {}
    for scheme in _SCHEMES:
        named: dict[str, Any] = concepts.get(scheme, {})
        for entries in named.values():
            for value, (meaning, _) in entries.items():
                plain = unicodedata.normalize("NFKD", meaning).encode("ascii", "ignore").decode()
                if len(value) <= 16 and value.isascii() and plain:
                    meanings[(scheme, value)] = plain.replace("\\", "/")[:_MOST_MEANING].strip()
    return meanings


@lru_cache(maxsize=1)
def _old_snomed() -> dict[str, str]:
    from pydicom.sr._snomed_dict import mapping

    return dict(mapping["SRT"])
