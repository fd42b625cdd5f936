"""What leaves the hospital beside the pixels."""

import json
import logging

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from importer import import_dicom
from importer.cli import main
from importer.deidentify import allowed_attributes

KEY = b"k" * 32
PLANTED = "ZEBRAFISH"
TEXT = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR"}
# The pixels' own description: text there makes an object unreadable, not a leak.
NEEDED = {"PhotometricInterpretation", "SpecificCharacterSet", "BurnedInAnnotation"}


def planted(path):
    """A CT whose every text attribute, down to sequences, private tags and preamble, is planted."""
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if vr in TEXT and keyword not in NEEDED and keyword and (tag >> 16) > 2:
            dataset[tag] = DataElement(tag, dictionary_VR(tag), PLANTED)
    dataset.Modality = "CT"  # else nothing is imported at all; planted apart below
    dataset.ImageType = ["ORIGINAL", "PRIMARY", PLANTED]
    item = Dataset()
    item.PatientName = PLANTED
    nested = Dataset()
    nested.PatientComments = PLANTED
    item.RequestAttributesSequence = [nested]
    dataset.OtherPatientIDsSequence = [item]
    dataset.private_block(0x0099, PLANTED, create=True).add_new(1, "LO", PLANTED)
    dataset.file_meta.SourceApplicationEntityTitle = PLANTED
    dataset.preamble = (PLANTED.encode() * 20)[:128]
    with np.errstate(all="ignore"):
        dataset.save_as(path)
    assert path.read_bytes().count(PLANTED.encode()) > 300
    return dataset


@pytest.mark.filterwarnings("ignore")
def test_nothing_planted_comes_out_anywhere(tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    source = tmp_path / f"{PLANTED}_folder"
    source.mkdir()
    dataset = planted(source / f"{PLANTED}.dcm")
    dataset.Modality = PLANTED
    dataset.SOPInstanceUID += ".1"
    dataset.save_as(source / f"{PLANTED}-modality.dcm")
    whole = (source / f"{PLANTED}.dcm").read_bytes()
    (source / f"{PLANTED}-cut.dcm").write_bytes(whole[: len(whole) - 9000])
    (source / f"{PLANTED}-torn.dcm").write_bytes(whole[:3000])
    capfd.readouterr()
    caplog.clear()
    out = tmp_path / "out"
    assert main(["import", str(source), "--out", str(out), "--key", str(tmp_path / "key")]) == 1
    # Again: the cut file is an instance that has come in whole, with other pixels.
    again = ["import", str(source), "--out", str(out), "--key", str(tmp_path / "key"), "--json"]
    assert main(again) == 1
    files = [path for path in out.rglob("*") if path.is_file()]
    named = [path for path in files if path.parent.name != ".images.claims"]
    assert len(named) == 5  # two PNGs, tasks.json, the journal and its lock
    streams = capfd.readouterr()
    said = streams.out + streams.err + caplog.text
    assert "2 slices imported" in said and "damaged" in said and "same-identifier" in said
    assert PLANTED not in said.replace(str(tmp_path), "")
    for path in files:
        assert PLANTED.encode() not in path.read_bytes()
        assert PLANTED not in str(path.relative_to(out))
    original = dcmread(get_testdata_file("CT_small.dcm"))
    tasks = (out / "tasks.json").read_text()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert str(original[keyword].value) not in tasks


def test_only_the_listed_attributes_come_out():
    data = allowed_attributes(dcmread(get_testdata_file("MR_small.dcm")), KEY)
    assert set(data) <= {
        "patient",
        "study",
        "series",
        "instance",
        "modality",
        "body_part",
        "laterality",
        "rows",
        "columns",
        "pixel_spacing_mm",
        "slice_thickness_mm",
        "window_center",
        "window_width",
    }
    json.dumps(data)


def test_what_training_needs_survives():
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    data = allowed_attributes(dataset, KEY)
    assert (data["modality"], data["rows"], data["columns"]) == ("CT", 128, 128)
    assert data["pixel_spacing_mm"] == [float(v) for v in dataset.PixelSpacing]
    assert data["slice_thickness_mm"] == float(dataset.SliceThickness)


@pytest.mark.parametrize(
    ("keyword", "value", "key"),
    [
        ("BodyPartExamined", "MR SMITHS KNEE", "body_part"),
        ("Laterality", "LEFT OF SMITH", "laterality"),
        ("PixelSpacing", ["1e9", "1"], "pixel_spacing_mm"),
        ("SliceThickness", "-1", "slice_thickness_mm"),
        ("WindowWidth", "19700101", "window_width"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_value_outside_its_terms_or_range_is_left_out(keyword, value, key):
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    setattr(dataset, keyword, value)
    assert key not in allowed_attributes(dataset, KEY)


def test_an_unknown_modality_becomes_other():
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.Modality = "SMITH"
    assert allowed_attributes(dataset, KEY)["modality"] == "OT"


def test_slices_without_a_patient_id_are_tied_by_their_study():
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    first = allowed_attributes(dataset, KEY)["patient"]
    dataset.PatientID = ""
    anonymous = allowed_attributes(dataset, KEY)["patient"]
    dataset.SOPInstanceUID += ".7"
    assert allowed_attributes(dataset, KEY)["patient"] == anonymous != first


def test_the_report_names_objects_without_their_paths(tmp_path):
    torn = tmp_path / "Smith_John.dcm"
    torn.write_bytes(b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00")
    report = import_dicom(torn, tmp_path / "out", KEY)
    assert "Smith" not in report.summary() + repr(report) + json.dumps(report.as_json())
    assert "Smith" in report.summary(show_paths=True)
