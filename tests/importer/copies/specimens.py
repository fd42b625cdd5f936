"""Sources to copy: valid samples of every table, and canaries for every row of Table E.1-1."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from importer.copies import checks, tables
from importer.copies.allowlist import is_multi_frame, table_for
from importer.copies.links import date_shift_days
from importer.copies.pixels import LookupTable
from importer.deidentify import allowed_attributes

KEY = b"k" * 32
CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}


def rows():
    """The table: (tag, action, VR, keyword), patterns left out."""
    lines = (Path(__file__).parent / "table_e1_1_2026d.tsv").read_text().splitlines()
    split = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(int(tag, 16), *rest) for tag, *rest in split if "x" not in tag and tag != "private"]


def canary(tag, vr, index):
    """A value of the VR that is found nowhere else, and the bytes to search for; None if none."""
    if vr in _TEXT:
        text = f"ZQ{tag:08X}"
        return text, [text.encode()]
    if vr == "AS":
        return "137Y", [b"137Y"]
    if vr in ("DA", "DT"):
        # 11 days apart, so that no row's date moved is another row's planted one: see KEY's shift.
        text = f"{date(1951, 1, 1) + timedelta(days=11 * index):%Y%m%d}"
        return (text, [text.encode()]) if vr == "DA" else (f"{text}101112", [text.encode()])
    if vr == "TM":
        return f"101112.{index:06d}", [f"101112.{index:06d}".encode()]
    if vr == "UI":
        return f"1.2.826.0.1.{tag}.{index}", [f"1.2.826.0.1.{tag}.{index}".encode()]
    if vr == "DS":
        return f"7.{index:05d}77", [f"7.{index:05d}77".encode()]
    if vr == "IS":
        return str(77_000_000 + index), [str(77_000_000 + index).encode()]
    if vr in ("OB", "UN", "OW"):
        return f"ZQ{tag:08X}OB".encode(), [f"ZQ{tag:08X}".encode()]
    if vr == "SQ":
        item, code = Dataset(), Dataset()
        item.PatientComments = f"ZQ{tag:08X}SQ"
        item.ReferencedSOPInstanceUID = f"1.2.826.0.2.{tag}"
        code.CodeMeaning = f"ZQ{tag:08X}CM"
        code.CodeValue, code.CodingSchemeDesignator = "T-D1100", f"ZQ{tag:08X}"
        item.ConceptNameCodeSequence = Sequence([code])
        return [item], [f"ZQ{tag:08X}".encode(), f"1.2.826.0.2.{tag}".encode()]
    return None


def canaries():
    """tag: element of every row that has a text, date, number or bytes; and the bytes to seek."""
    elements, sought = {}, {}
    for index, (tag, _, vr, _) in enumerate(rows()):
        planted = canary(tag, vr, index)
        if planted is None or tag >> 16 <= 2:  # commands and file meta cannot stand here
            continue
        value, found_by = planted
        elements[tag] = DataElement(tag, vr, Sequence(value) if vr == "SQ" else value)
        sought[tag] = found_by
    return elements, sought


def sample(check, tag):
    """A value that passes a check, as pydicom holds it; None if nothing passes."""
    check = check.check if isinstance(check, checks.Typed | checks.Essential) else check
    check = check.check if isinstance(check, checks.Essential) else check
    vr = tables.dictionary_VR(tag)
    match check:
        case checks.Terms(allowed=allowed) | checks.Region(parts=allowed):
            return sorted(allowed)[0] if allowed else None
        case checks.Pattern(pattern=pattern):
            known = ("A", "1", "1H", "FC10", "L")
            return next(text for text in known if pattern.fullmatch(text))
        case checks.Numbers(low=low, high=high, least=least):
            value = 1 if low <= 1 <= high else low
            return [value] * least if least > 1 else value
        case checks.Moment():
            return {"DA": "20240229", "TM": "235959.5", "DT": "20240229235959"}[vr]
        case checks.Identifier():
            return f"1.2.3.{tag}"
        case checks.StandardClass():
            return CT
        case checks.KnownTags():
            return 0x00200032
        case checks.ImageType():
            return ["DERIVED", "SECONDARY", "OTHER", "NONE"]
        case tables.Items(table=table):
            return [sampled(table)]
        case tables.CodeItems(further=further):
            item = sampled(further) if further else Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "76752008", "SCT", "x"
            return [item]
        case LookupTable():
            item = Dataset()
            item.add_new(0x00283002, "US", [4, 0, 8])
            item.add_new(0x00283006, "US", [0, 1, 2, 255])
            item.add_new(0x00283004, "LO", "HU")
            return [item]
    return None


def sampled(table):
    """A data set with a passing value for every entry of a table."""
    dataset = Dataset()
    for keyword, entry in table.entries.items():
        tag = tables.tag_of(keyword)
        value = sample(entry, tag)
        if value is not None:
            vr = tables.dictionary_VR(tag).split(" or ")[0]
            dataset.add(DataElement(tag, vr, Sequence(value) if vr == "SQ" else value))
    return dataset


def instance(sop_class=CT, *, syntax=EXPLICIT):
    """A source of the class with every attribute that its table allows; 4 x 6 pixels, 12 bits."""
    dataset = sampled(table_for(sop_class))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, "1.2.3.4.5"
    dataset.PatientID, dataset.PatientName = "ZQPATIENT", "ZQName^ZQGiven"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 4, 6, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    if "PixelPresentation" in dataset:
        dataset.PixelPresentation = "MONOCHROME"
    if is_multi_frame(sop_class):
        dataset.NumberOfFrames = 1
    dataset.PixelData = frames()[0].tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    return dataset


def frames(count=1):
    return [np.arange(24, dtype=np.uint16).reshape(4, 6) + 100 * i for i in range(count)]


def written(dataset):
    """The data set as a file's bytes."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def reread(dataset):
    """The data set as an importer meets it: read from a file."""
    return dcmread(io.BytesIO(written(dataset)))


def opened(copy):
    """A copy's bytes as a data set."""
    return dcmread(io.BytesIO(copy))


def shift_days(dataset):
    return date_shift_days(KEY, allowed_attributes(dataset, KEY)["patient"])
