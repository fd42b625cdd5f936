"""Allowlists: keyword to check, and the walk that copies what passes, item by item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from .checks import Check, Context, Entry, Essential, Typed
from .codes import Code, known_code
from .encoding import Elements
from .reading import Values, values_of


class Table:
    """The allowlist of a data set or item: keyword to check, everything else is left behind."""

    def __init__(self, *parts: Mapping[str, Entry]) -> None:
        self.entries: dict[str, Entry] = {k: entry for part in parts for k, entry in part.items()}
        self._rules: dict[int, tuple[str, Check, list[object] | None]] = {}
        self._always: list[int] = []
        self._essential: list[int] = []
        for keyword, entry in self.entries.items():
            tag = tag_of(keyword)
            check = entry.check if isinstance(entry, Typed) else entry
            instead = list(entry.instead) if isinstance(entry, Typed) else None
            self._rules[tag] = (dictionary_VR(tag), check, instead)
            if isinstance(entry, Typed) and entry.always:
                self._always.append(tag)
            if isinstance(check, Essential):
                self._essential.append(tag)
        # A date whose time of day stands beside it.
        self._pairs = [
            (tag_of(keyword), tag_of(time))
            for keyword in self.entries
            if (time := f"{keyword.removesuffix('Date')}Time") in self.entries
            and keyword.endswith("Date")
        ]

    def copied(self, source: Dataset, context: Context) -> Elements | None:
        """The elements of the table that the source has and that pass; None if one essential fails.

        The source is only read. Never raises for what it holds.
        """
        kept: Elements = {}
        rules = self._rules
        for key in list(source.keys()):
            tag = int(key)
            rule = rules.get(tag)
            if rule is None:
                continue
            vr, check, instead = rule
            values = values_of(source, tag, vr, context.signed)
            if values and vr.startswith("US or"):
                values = [_as_word(value, context.signed) for value in values]
            accepted = None if values is None else check.accepted(values, context)
            if accepted is None:
                accepted = instead
            if accepted is not None:
                kept[tag] = (_written(vr, context.signed), accepted)
        for tag in self._always:
            if tag not in kept:
                vr, _, instead = rules[tag]
                kept[tag] = (_written(vr, context.signed), list(instead or []))
        if any(tag not in kept for tag in self._essential):
            return None
        for day, clock in self._pairs:
            if day in kept and clock in kept:
                _carry(source, day, clock, kept, context)
        return kept


@dataclass(frozen=True)
class Items:
    """A sequence: every item copied through its own table; an item left empty is left out."""

    table: Table
    most: int = 100
    # Items that others count (frames, dimensions) are all kept, or none is.
    counted: bool = False

    def accepted(self, values: Values, context: Context) -> Values | None:
        if not 0 < len(values) <= self.most:
            return None
        items = [self.table.copied(item, context) for item in values]
        if self.counted:
            return None if None in items else items
        return [item for item in items if item] or None


@dataclass(frozen=True)
class CodeItems:
    """A code sequence: codes that PS3.16 knows, their meanings written anew, with modifiers."""

    modifiers: str = ""
    most: int = 8
    further: Table | None = None  # what an item may hold beside its code

    def accepted(self, values: Values, context: Context) -> Values | None:
        if not 0 < len(values) <= self.most:
            return None
        return [item for item in (self._item(value, context) for value in values) if item] or None

    def _item(self, source: Dataset, context: Context) -> Elements | None:
        value, scheme = (values_of(source, tag, "SH", False) for tag in (0x00080100, 0x00080102))
        code = known_code(value[0], scheme[0]) if value and scheme else None
        if code is None:
            return None
        further = self.further.copied(source, context) if self.further else {}
        if further is None:
            return None
        item = code_item(code) | further
        if self.modifiers:
            tag = tag_of(self.modifiers)
            modifiers = values_of(source, tag, "SQ", False) if tag in source else None
            kept = CodeItems().accepted(modifiers, context) if modifiers else None
            if kept:
                item[tag] = ("SQ", kept)
        return item


def _carry(source: Dataset, day: int, clock: int, kept: Elements, context: Context) -> None:
    """Move a date a day more if its time of day passed midnight."""
    days, times = values_of(source, day, "DA", False), values_of(source, clock, "TM", False)
    if days and times and context.shift.carries(times[0]):
        moved = context.shift.date(days[0], carry=True)
        if moved is not None:
            kept[day] = ("DA", [moved])


def _as_word(value: int, signed: bool) -> int:
    """A 16-bit word as the pixels are signed, whichever of US and SS the file wrote."""
    word = value % 0x10000
    return word - 0x10000 if signed and word > 0x7FFF else word


def _written(vr: str, signed: bool) -> str:
    return ("SS" if signed else "US") if vr.startswith("US or") else vr


def code_item(code: Code) -> Elements:
    """The item of a code (PS3.3 8.8)."""
    return {
        0x00080100: ("SH", [code[0]]),
        0x00080102: ("SH", [code[1]]),
        0x00080104: ("LO", [code[2]]),
    }


@lru_cache(maxsize=4096)
def tag_of(keyword: str) -> int:
    """The tag of a keyword (PS3.6); KeyError if the standard has none."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return int(tag)
