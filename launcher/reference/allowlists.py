"""The importer's allowlists of DICOM copies as tables: of all images, of classes, of items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pydicom.uid import UID

from importer.copies.allowlist import sop_classes, table_for
from importer.copies.allowlist.general import COMMON
from importer.copies.checks import Entry
from importer.copies.tables import Table

from .checks_in_words import below, in_words
from .markdown import code, table

Entries = Mapping[str, Entry]


def classes() -> dict[str, list[str]]:
    """The SOP classes of which copies are made, grouped by what theirs may hold; by name."""
    groups: dict[tuple[tuple[str, int], ...], list[str]] = defaultdict(list)
    for uid in sorted(sop_classes()):
        groups[_fingerprint(_beyond_common(uid))].append(uid)
    return {" / ".join(_name(uid) for uid in uids): uids for uids in groups.values()}


def common() -> str:
    """What every image may carry."""
    return _as_table(COMMON)


def of_class(uid: str) -> str:
    """What images of a class may carry beyond what all may."""
    further = _beyond_common(uid)
    return _as_table(further) if further else "Nothing more."


def items() -> list[str]:
    """What the items of each sequence may hold: a heading and a table for each kind."""
    found: dict[int, tuple[Table, set[str]]] = {}

    def walk(entries: Entries) -> None:
        for keyword, entry in entries.items():
            inner = below(entry)
            if inner is None:
                continue
            known = id(inner) in found
            found.setdefault(id(inner), (inner, set()))[1].add(keyword)
            if not known:
                walk(inner.entries)

    for uid in sorted(sop_classes()):
        walk(table_for(uid).entries)
    # Several tables with the same words are one to a reader.
    merged: dict[str, set[str]] = defaultdict(set)
    for inner, keywords in found.values():
        merged[_as_table(inner.entries)] |= keywords
    parts = []
    for text, keywords in sorted(merged.items(), key=lambda pair: sorted(pair[1])):
        parts += [f"#### Items of {', '.join(sorted(keywords))}", text]
    return parts


def _beyond_common(uid: str) -> dict[str, Entry]:
    entries = table_for(uid).entries
    return {
        keyword: entry
        for keyword, entry in entries.items()
        if keyword not in COMMON or COMMON[keyword] is not entry
    }


def _fingerprint(entries: Entries) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((keyword, id(entry)) for keyword, entry in entries.items()))


def _name(uid: str) -> str:
    return UID(uid).name + (" (retired)" if UID(uid).is_retired else "")


def _as_table(entries: Entries) -> str:
    rows = [(code(keyword), in_words(keyword, entry)) for keyword, entry in sorted(entries.items())]
    return table(("attribute", "goes on if it is"), rows)
