"""What a value must be to be written: one small class for each kind of element.

`accepted` returns the values to write, or None where the element may not go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from pydicom.datadict import dictionary_has_tag

from .links import (
    SOP_CLASSES,
    WELL_KNOWN_FRAMES,
    Shift,
    replaced_uid,
)
from .reading import Values


@dataclass(frozen=True)
class Context:
    """What is the same for every element of one instance."""

    key: bytes
    shift: Shift
    signed: bool
    uids: dict[str, str] = field(default_factory=dict)

    def replaced(self, uid: str) -> str:
        if uid not in self.uids:
            self.uids[uid] = replaced_uid(self.key, uid)
        return self.uids[uid]


class Check(Protocol):
    def accepted(self, values: Values, context: Context) -> Values | None: ...


@dataclass(frozen=True)
class Terms:
    """Enumerated values and defined terms: each of one to `most` values is one of them."""

    allowed: frozenset[str]
    most: int = 1

    def accepted(self, values: Values, context: Context) -> Values | None:
        return values if 0 < len(values) <= self.most and self.allowed.issuperset(values) else None


@dataclass(frozen=True)
class Region:
    """A body part, written with or without the spaces that some put in (PS3.16 Annex L)."""

    parts: frozenset[str]

    def accepted(self, values: Values, context: Context) -> Values | None:
        part = values[0].replace(" ", "") if len(values) == 1 else ""
        return [part] if part in self.parts else None


@dataclass(frozen=True)
class Pattern:
    """Short codes without a list, such as kernels: too narrow a pattern for a name or number."""

    pattern: re.Pattern[str]
    most: int = 1

    def accepted(self, values: Values, context: Context) -> Values | None:
        if not 0 < len(values) <= self.most:
            return None
        return values if all(self.pattern.fullmatch(value) for value in values) else None


@dataclass(frozen=True)
class Numbers:
    """Numbers from low to high, `least` to `most` of them; NaN and infinity are outside."""

    low: float
    high: float
    least: int = 1
    most: int = 1

    def accepted(self, values: Values, context: Context) -> Values | None:
        if not self.least <= len(values) <= self.most:
            return None
        low, high = self.low, self.high
        return values if all(low <= value <= high for value in values) else None


@dataclass(frozen=True)
class Moment:
    """A date, time or date and time, moved by the patient's shift."""

    vr: str

    def accepted(self, values: Values, context: Context) -> Values | None:
        if len(values) != 1:
            return None
        if self.vr == "TM":
            moved = context.shift.time(values[0])
        elif self.vr == "DA":
            moved = context.shift.date(values[0])
        else:
            moved = context.shift.moment(values[0])
        return None if moved is None else [moved]


@dataclass(frozen=True)
class Identifier:
    """UIDs, replaced under the key; the atlases of PS3.6 Annex A are nobody's and stay."""

    most: int = 1

    def accepted(self, values: Values, context: Context) -> Values | None:
        if not 0 < len(values) <= self.most or not all(values):
            return None
        return [uid if uid in WELL_KNOWN_FRAMES else context.replaced(uid) for uid in values]


@dataclass(frozen=True)
class StandardClass:
    """A SOP class of the standard; nobody's own."""

    def accepted(self, values: Values, context: Context) -> Values | None:
        return values if len(values) == 1 and values[0] in SOP_CLASSES else None


@dataclass(frozen=True)
class KnownTags:
    """Pointers to attributes of the standard, never to private ones."""

    most: int = 1

    def accepted(self, values: Values, context: Context) -> Values | None:
        known = all(dictionary_has_tag(tag) for tag in values)
        return values if 0 < len(values) <= self.most and known else None


@dataclass(frozen=True)
class Nothing:
    """Always written empty (Type 2): whatever the file says of it is the patient's."""

    def accepted(self, values: Values, context: Context) -> Values | None:
        return []


@dataclass(frozen=True)
class ImageType:
    """PS3.3 C.7.6.1.1.2: known terms up to the first that is not; `padding` to `least` values."""

    terms: frozenset[str]
    padding: tuple[str, ...] = ("ORIGINAL", "PRIMARY")
    mixed: bool = False

    def accepted(self, values: Values, context: Context) -> Values | None:
        origins = ("ORIGINAL", "DERIVED", "MIXED") if self.mixed else ("ORIGINAL", "DERIVED")
        if len(values) < 2 or values[0] not in origins or values[1] not in ("PRIMARY", "SECONDARY"):
            return None
        kept = values[:2]
        for value in values[2:8]:
            if value not in self.terms:
                break
            kept.append(value)
        return kept + list(self.padding[len(kept) :])


@dataclass(frozen=True)
class Typed:
    """A check with what is written where it fails, so that the IOD stays valid (PS3.5 7.4).

    always: also where the source lacks the element (Types 1 and 2, not their C).
    """

    check: Check
    instead: tuple[object, ...]
    always: bool


Entry = Check | Typed


def type1(check: Check, *dummy: object) -> Typed:
    """Never absent or empty: the dummy stands in."""
    return Typed(check, dummy, always=True)


def type2(check: Check) -> Typed:
    """Never absent: empty where the value may not go on."""
    return Typed(check, (), always=True)


def type2c(check: Check) -> Typed:
    """Present where the source has it, empty where the value may not go on."""
    return Typed(check, (), always=False)


def type1c(check: Check, *dummy: object) -> Typed:
    """Present where the source has it; the dummy stands in where the value may not go on."""
    return Typed(check, dummy, always=False)


@dataclass(frozen=True)
class Essential:
    """An item's Type 1 element without a dummy: an item that lacks it is left out."""

    check: Check

    def accepted(self, values: Values, context: Context) -> Values | None:
        return self.check.accepted(values, context)


def terms(text: str, most: int = 1, *, phrases: Iterable[str] = ()) -> Terms:
    """Terms from a line of words, and such phrases as have spaces."""
    return Terms(frozenset([*text.split(), *phrases]), most)


def pattern(expression: str, most: int = 1) -> Pattern:
    return Pattern(re.compile(expression), most)


def number(low: float, high: float) -> Numbers:
    return Numbers(low, high)


def numbers(low: float, high: float, least: int, most: int | None = None) -> Numbers:
    """`least` to `most` numbers; exactly `least` where no most is given."""
    return Numbers(low, high, least, least if most is None else most)
