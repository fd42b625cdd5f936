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
    ],
)
def test_addresses_and_e_mails_are_left_out_at_any_depth(value):
    data = {"note": value, "deep": {"list": [1, value, {"x": value}], value: 1}, "kept": "yes"}
    found = exported(data, "image")
    assert value not in json.dumps(found).replace("\\\\", "\\")
    assert found["kept"] == "yes" and "note" not in found and found["deep"]["list"][0] == 1


def test_every_image_of_a_slice_is_left_out_whatever_its_key():
    data = {"scan": "1.png", "image": "2.png", "image_lung": "3.png", "modality": "CT"}
    assert exported(data, "scan") == {"modality": "CT"}


def test_what_the_importer_writes_stays():
    data = dict.fromkeys(KNOWN, 1.5) | {"pixel_spacing_mm": [0.7, 0.7], "modality": "MR"}
    assert exported(data, "image") == data == exported(data, "image", known_only=True)


def test_other_keys_stay_unless_only_the_known_are_wanted():
    data = {"site": "north", "modality": "CT"}
    assert exported(data, "image") == data
    assert exported(data, "image", known_only=True) == {"modality": "CT"}


def test_a_number_that_json_cannot_hold_is_not_known():
    assert exported({"spacing": float("nan"), "list": [float("inf")]}, "image") == {
        "spacing": None,
        "list": [None],
    }
