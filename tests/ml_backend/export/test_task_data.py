"""No address and no e-mail leaves with a task's data."""

import json

import pytest

from ml_backend.export.task_data import KNOWN, exported


@pytest.mark.parametrize(
    "value",
    [
        "https://user:secret@pacs.example/wado?token=abc",
        "s3://bucket/patient-17/1.png",
        "see http://pacs.example/17",
        "/data/upload/3/scan.png",
        "/home/someone/scans/1.dcm",
        "\\\\server\\share\\scan.dcm",
        "C:\\scans\\1.dcm",
        "data:image/png;base64,AAAA",
        "reader@clinic.example",
        "drawn by reader@clinic.example in May",
        "taken from /mnt/pacs/Kanari_1956/12",
        "Kanari_1956/12.dcm",
        "Kanari Vogel.IMA",
        "scan Kanari.nii.gz of May",
        "pacs/Kanari_1956/IM000012",
        "pacs\\Kanari_1956\\IM000012",
        "see www.clinic.example",
        "(~/scans/12)",
        'source="D:\\scans"',
    ],
)
def test_addresses_and_e_mails_are_left_out_at_any_depth(value):
    data = {"note": value, "deep": {"list": [1, value, {"x": value}], value: 1}, "kept": "yes"}
    found = exported(data, {"image"})
    assert value not in json.dumps(found).replace("\\\\", "\\")
    assert found["kept"] == "yes" and "note" not in found and found["deep"]["list"][0] == 1


def test_the_images_of_the_label_config_are_left_out_whatever_they_are_called():
    data = {"scan": "17", "image": "/2", "image_lung": "18", "image_id": 3, "image_quality": "good"}
    kept = {"image_id": 3, "image_quality": "good"}
    assert exported(data, {"scan", "image_lung"}) == kept


@pytest.mark.parametrize(
    "value", ["N/A", "mg / ml", "5/10", "ROI 3 and/or 4", "v1.2", "~3 mm", "T1: axial", "a.b", "/"]
)
def test_a_text_that_only_resembles_a_path_stays(value):
    assert exported({"note": value}, ()) == {"note": value}


@pytest.mark.parametrize("unit", ["a", "a.", "a/", "a@", ":", "~", "\\", "a:/"])
def test_a_long_text_costs_no_more_than_its_length(unit):
    exported({"note": unit * 200_000}, ())  # quadratic, it would take minutes


def test_what_the_importer_writes_stays():
    data = dict.fromkeys(KNOWN, 1.5) | {"pixel_spacing_mm": [0.7, 0.7], "modality": "MR"}
    assert exported(data, {"image"}) == data == exported(data, {"image"}, known_only=True)


def test_other_keys_stay_unless_only_the_known_are_wanted():
    data = {"site": "north", "modality": "CT"}
    assert exported(data, {"image"}) == data
    assert exported(data, {"image"}, known_only=True) == {"modality": "CT"}


def test_a_number_that_json_cannot_hold_is_not_known():
    assert exported({"spacing": float("nan"), "list": [float("inf")]}, {"image"}) == {
        "spacing": None,
        "list": [None],
    }
