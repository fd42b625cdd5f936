"""PS3.15 Table E.1-1, row by row: what the standard asks, what a copy does, what is sent."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from importer.copies import rebuild, replaced_uid
from importer.copies.allowlist import sop_classes, table_for
from importer.copies.checks import Entry
from importer.copies.tables import Table, tag_of
from importer.deidentify import allowed_attributes

from .. import CLONE
from .checks_in_words import below, in_words

# The tests' transcript of the standard: tag, action, value representation, keyword.
_ROWS = CLONE / "tests" / "importer" / "copies" / "table_e1_1_2026d.tsv"
EDITION = "2026d"
ANEW = "written anew"
_KEY = b"a key of the reference, no hospital's"


@dataclass(frozen=True)
class Row:
    """A row of the table: its tag, and what the Basic Profile does with it."""

    tag: int
    action: str
    vr: str
    keyword: str

    @property
    def shown_tag(self) -> str:
        """(gggg,eeee)."""
        return f"({self.tag >> 16:04X},{self.tag & 0xFFFF:04X})"


def rows(path: Path = _ROWS) -> list[Row]:
    """The table's rows, without the repeating groups and private attributes."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        tag, action, vr, keyword = line.split("\t")
        if "x" not in tag and tag != "private":
            number = int(tag, 16)
            known = keyword_for_tag(number) if dictionary_has_tag(number) else ""
            found.append(Row(number, action, vr, keyword if keyword != "-" else known))
    return found


def everywhere() -> Iterator[tuple[str, Entry]]:
    """Every attribute of every table, those of items too."""
    seen: set[int] = set()

    def walked(table: Table) -> Iterator[tuple[str, Entry]]:
        if id(table) in seen:
            return
        seen.add(id(table))
        for keyword, entry in table.entries.items():
            yield keyword, entry
            inner = below(entry)
            if inner is not None:
                yield from walked(inner)

    for sop_class in sorted(sop_classes()):
        yield from walked(table_for(sop_class))


@cache
def in_copies() -> dict[int, str]:
    """What becomes of attributes in copies, by tag; an attribute that is left out is not there."""
    said: dict[int, list[str]] = defaultdict(list)
    for keyword, entry in everywhere():
        words = in_words(keyword, entry)
        if words not in said[tag_of(keyword)]:
            said[tag_of(keyword)].append(words)
    allowed = {tag: " / ".join(words) for tag, words in said.items()}
    return {**allowed, **{tag: words for tag, words in written_anew().items() if words != ANEW}}


@cache
def written_anew() -> dict[int, str]:
    """What rebuild() writes that no table names, read from a copy that it makes."""
    source = _image()
    pseudonym = allowed_attributes(source, _KEY)["patient"]
    content = rebuild(source, [np.zeros((4, 4), np.uint16)], _KEY, cleaned=True)
    copy = dcmread(io.BytesIO(content))
    replaced = {replaced_uid(_KEY, uid) for uid in ("1.2.3.1", "1.2.3.2", "1.2.3.4")}
    said = {}
    for element in [*copy.file_meta, *copy]:
        if element.tag & 0xFFFF == 0:  # a group's length
            continue
        if str(element.value) == pseudonym:
            said[int(element.tag)] = "the patient's pseudonym"
        elif str(element.value) in replaced:
            said[int(element.tag)] = "UID replaced under the key"
        else:
            said[int(element.tag)] = ANEW
    return said


@cache
def in_tasks() -> dict[int, str]:
    """Which key of a task's data an attribute of the table decides, found out by setting it."""
    found = {}
    before = allowed_attributes(_image(), _KEY)
    for row in rows():
        value = _PROBES.get(row.vr)
        if value is None or row.tag >> 16 <= 4:  # commands, file meta and directories
            continue
        source = _image()
        source.add_new(row.tag, row.vr, value)
        after = allowed_attributes(source, _KEY)
        changed = sorted(key for key in after if after[key] != before.get(key))
        if changed:
            found[row.tag] = ", ".join(f"`{key}`" for key in changed)
    return found


# A value of each representation that could name somebody.
_PROBES: dict[str, object] = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"), "ZQ"),
    **dict.fromkeys(("DS", "IS", "US", "UL", "FL", "FD"), 7),
    "AS": "030Y",
    "DA": "20200102",
    "TM": "101112",
    "DT": "20200102101112",
    "UI": "1.2.3.99",
}


def _image() -> Dataset:
    """A sound CT image of nobody: 4 by 4 pixels."""
    source = Dataset()
    source.SOPClassUID, source.SOPInstanceUID = CTImageStorage, "1.2.3.4"
    source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    source.PatientID, source.Modality = "nobody", "CT"
    source.Rows = source.Columns = 4
    source.SamplesPerPixel, source.PhotometricInterpretation = 1, "MONOCHROME2"
    source.BitsAllocated, source.BitsStored, source.HighBit = 16, 16, 15
    source.PixelRepresentation = 0
    return source


def keyword_of(tag: int) -> str:
    """The standard's name of an attribute, empty if pydicom knows none."""
    return keyword_for_tag(tag)
