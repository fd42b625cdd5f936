"""What becomes of one object."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from importer import import_dicom, release
from importer.objects import OutOfSpace, process
from importer.recipe import Recipe

from .files import CT, KEY, MR, bundled


def image_of(out, task, key="image"):
    return np.asarray(Image.open(out / task["data"][key]))


def test_each_further_window_is_a_further_image_of_the_task(tmp_path):
    report = import_dicom(CT, tmp_path, KEY, windows=["mediastinum", "lung"])
    (task,) = report.tasks
    soft, lung = image_of(tmp_path, task), image_of(tmp_path, task, "image_lung")
    assert soft.shape == lung.shape == (128, 128)
    assert not np.array_equal(soft, lung)


def test_a_frame_step_keeps_every_nth_frame(tmp_path):
    report = import_dicom(bundled("rtdose.dcm"), tmp_path, KEY, burned_in="off", frame_step=7)
    assert [task["data"]["frame"] for task in report.tasks] == [0, 7, 14]


def test_images_are_jpeg_on_request(tmp_path):
    (task,) = import_dicom(MR, tmp_path, KEY, image_format="jpeg").tasks
    assert Image.open(tmp_path / task["data"]["image"]).format == "JPEG"


@pytest.mark.parametrize(
    "options",
    [{"windows": ["x"]}, {"windows": []}, {"image_format": "bmp"}, {"frame_step": 0},
     {"burned_in": "x"}, {"workers": 0}],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_told(tmp_path, options):
    with pytest.raises(ValueError):
        import_dicom(CT, tmp_path, KEY, **options)


def test_an_ultrasound_without_regions_waits_for_a_person(tmp_path):
    dataset = dcmread(CT)
    dataset.Modality = "US"
    dataset.save_as(tmp_path / "us.dcm")
    held = tmp_path / "quarantine"
    report = import_dicom(tmp_path / "us.dcm", tmp_path / "out", KEY, quarantine=held)
    assert report.imported == 0 and len(report.quarantined) == 1
    assert not list((tmp_path / "out" / "images").iterdir())
    (place,) = [path for path in held.iterdir() if path.is_dir()]
    assert (place / "0-before.png").exists() and (place / "0-after.png").exists()
    assert place.name in report.contact_sheet.read_text()
    assert (held.stat().st_mode & 0o77) == 0

    recipe = Recipe(key=KEY, images=tmp_path / "out" / "images", quarantine=held)
    with pytest.raises(ValueError, match="is not held"):
        release(["0" * 20], tmp_path / "out", recipe)
    drawn = replace(recipe, black_out=((0, 0, 20, 30),))
    done = release([place.name], tmp_path / "out", drawn)
    assert done.imported == 1
    (task,) = done.tasks
    assert not image_of(tmp_path / "out", task)[:20, :30].any()
    assert image_of(tmp_path / "out", task)[20:].any()
    assert [path for path in held.iterdir() if path.is_dir()] == []
    assert len(json.loads((tmp_path / "out" / "tasks.json").read_text())) == 1


def test_a_full_disk_stops_the_import_and_it_goes_on_later(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    recipe = Recipe(key=KEY, images=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("importer.objects.write_atomically", full)
        with pytest.raises(OutOfSpace):
            process(None, CT, recipe)
    assert process(None, CT, recipe).kind == "slices"


def test_a_copy_is_made_beside_the_image_and_missing_ones_are_added_later(tmp_path):
    first = import_dicom(CT, tmp_path / "out", KEY)
    again = import_dicom(CT, tmp_path / "out", KEY, dicom_out=tmp_path / "copies")
    assert (first.copies, again.copies, again.already_there) == (0, 1, 1)
    (copy,) = (tmp_path / "copies").iterdir()
    original, copied = dcmread(CT), dcmread(copy)
    assert np.array_equal(original.pixel_array, copied.pixel_array)
    assert original.PatientID not in Path(copy).read_bytes().decode("latin-1")
    assert copied.PixelSpacing == original.PixelSpacing
