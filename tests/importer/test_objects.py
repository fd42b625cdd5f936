"""What becomes of one object."""

import errno
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
    VLPhotographicImageStorage,
)

from importer import ImportReport, import_dicom, objects, release
from importer.burned_in import is_sample
from importer.limits import Limits
from importer.objects import OutOfSpace, process
from importer.quarantine import release_of
from importer.recipe import BurnedIn, Recipe

from .burned_in.drawing import covered, written
from .files import CT, KEY, MR, bundled, image_file, image_of, region


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
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutOfSpace):
            process(None, CT, recipe)
    assert not list(tmp_path.iterdir())
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


def projection(path, ink):
    """A DX file with a line of text on its collimated border, below its window; and the line."""
    letters, line = written(np.zeros((256, 320), np.uint8), "HOLM, Ana 1950", 8, 20, 20)
    stored = np.tile(np.linspace(2000, 3600, 320).astype(np.uint16), (256, 1))
    stored[:60] = 0
    stored[letters > 127] = ink
    window = {"WindowCenter": 2800, "WindowWidth": 1600}
    sop_class = DigitalXRayImageStorageForPresentation
    return image_file(path, stored, SOPClassUID=sop_class, Modality="DX", **window), line


def only(folder):
    (path,) = folder.glob("*.dcm")
    return dcmread(path)


def test_a_copy_holds_no_text_that_the_window_hides(tmp_path):
    source, (row0, column0, row1, column1) = projection(tmp_path / "dx.dcm", 900)
    plain = import_dicom(source, tmp_path / "plain", KEY)
    assert (plain.imported, plain.redacted) == (1, 0)  # the picture does not show it
    report = import_dicom(source, tmp_path / "out", KEY, dicom_out=tmp_path / "copies")
    assert (report.copies, report.redacted) == (1, 1)
    copy = only(tmp_path / "copies")
    assert (dcmread(source).pixel_array[row0:row1, column0:column1] == 900).any()
    assert not (copy.pixel_array[:60] == 900).any()
    assert copy.BurnedInAnnotation == "NO"


def test_a_copy_makes_no_claim_if_text_was_not_looked_for(tmp_path):
    source, _ = projection(tmp_path / "dx.dcm", 900)
    import_dicom(source, tmp_path / "out", KEY, dicom_out=tmp_path / "copies", burned_in="off")
    copy = only(tmp_path / "copies")
    assert "BurnedInAnnotation" not in copy
    assert "113101" not in [code.CodeValue for code in copy.DeidentificationMethodCodeSequence]


def test_a_held_object_is_shown_as_its_copy_would_tell_it(tmp_path):
    source, line = projection(tmp_path / "dx.dcm", 900)
    held = tmp_path / "quarantine"
    options = {"quarantine": held, "burned_in": "quarantine"}
    report = import_dicom(source, tmp_path / "out", KEY, dicom_out=tmp_path / "copies", **options)
    assert [problem.reason for problem in report.quarantined] == ["shows-text"]
    row0, column0, row1, column1 = line
    parts = {
        name: [np.asarray(Image.open(path)) for path in sorted(held.glob(f"*/*-{name}.png"))]
        for name in ("before", "after")
    }
    shown = [np.ptp(image[row0:row1, column0:column1]) for image in parts["before"]]
    left = [np.ptp(image[row0:row1, column0:column1]) for image in parts["after"]]
    assert max(shown) > 60 and max(left) == 0


def test_a_cine_ultrasound_whose_screen_is_mostly_outside_its_regions_comes_in(tmp_path):
    frames = np.zeros((3, 256, 320), np.uint8)
    frames[:, 40:230, 40:290] = np.random.default_rng(0).integers(60, 90, (190, 250))
    source = image_file(
        tmp_path / "us.dcm",
        frames,
        SOPClassUID=UltrasoundMultiFrameImageStorage,
        Modality="US",
        SequenceOfUltrasoundRegions=[region(40, 40, 289, 229)],
    )
    report = import_dicom(source, tmp_path / "out", KEY)
    assert report.complete and report.imported == 3


def test_a_doubtful_frame_leaves_no_picture_of_those_before_it(tmp_path):
    frames = np.zeros((2, 256, 320), np.uint8)
    frames[:, 60:, :] = 120
    frames[1], _ = written(frames[1], "NOT FOR DIAGNOSIS", 120, 20, 28)
    source = image_file(tmp_path / "sc.dcm", frames, Modality="OT")
    out, held = tmp_path / "out", tmp_path / "quarantine"
    report = import_dicom(source, out, KEY, quarantine=held)
    assert [problem.reason for problem in report.quarantined] == ["text-in-the-picture"]
    assert not list((out / "images").iterdir())


@pytest.mark.parametrize(
    ("modality", "more", "reason"),
    [
        ("SM", {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}, "slide-label"),
        ("CT", {"RecognizableVisualFeatures": "YES"}, "recognizable-visual-features"),
    ],
)
def test_what_a_header_says_is_held_though_a_person_vouches_for_the_modality(
    tmp_path, modality, more, reason
):
    frames = np.full((1, 64, 64), 120, np.uint8)
    source = image_file(tmp_path / "1.dcm", frames, Modality=modality, **more)
    report = import_dicom(source, tmp_path / "out", KEY, accept=[modality])
    assert [problem.reason for problem in report.quarantined] == [reason]


def test_what_was_imported_keeps_its_pictures_when_it_is_held_later(tmp_path):
    dataset = dcmread(CT)
    dataset.Modality = "US"
    dataset.save_as(tmp_path / "us.dcm")
    out, more = tmp_path / "out", {"quarantine": tmp_path / "q", "dicom_out": tmp_path / "copies"}
    (task,) = import_dicom(tmp_path / "us.dcm", out, KEY, accept=["US"]).tasks
    again = import_dicom(tmp_path / "us.dcm", out, KEY, **more)
    assert len(again.quarantined) == 1
    assert image_of(out, task).any()


def let_go(source, tmp_path, black_out=(), **how):
    """Import a file that is held, and release it; the recipe's quarantine, and its instance."""
    out, held = tmp_path / "out", tmp_path / "quarantine"
    assert import_dicom(source, out, KEY, quarantine=held).quarantined
    (place,) = [path for path in held.iterdir() if path.is_dir()]
    recipe = Recipe(key=KEY, images=out / "images", quarantine=held, black_out=black_out)
    assert release([place.name], out, recipe, **how).imported == 1
    return held, place.name


def test_what_a_person_let_go_stays_so_and_its_boxes_are_black_in_a_later_copy(tmp_path):
    dataset = dcmread(CT)
    dataset.Modality = "US"
    dataset.save_as(tmp_path / "us.dcm")
    held, instance = let_go(tmp_path / "us.dcm", tmp_path, black_out=((0, 0, 20, 30),))
    (kept,) = (tmp_path / "out" / "images").iterdir()
    before = kept.read_bytes()
    options = {"quarantine": held, "dicom_out": tmp_path / "copies"}
    for _ in range(2):
        again = import_dicom(tmp_path / "us.dcm", tmp_path / "out", KEY, **options)
        assert again.complete and (again.imported, again.already_there) == (0, 1)
        assert kept.read_bytes() == before
    copied = only(tmp_path / "copies").pixel_array
    assert len(np.unique(copied[:20, :30])) == 1
    assert np.array_equal(copied[20:], dataset.pixel_array[20:])
    assert held.stat().st_mode & 0o77 == 0  # the note lies where the object lay
    assert (0, 0, 20, 30) in release_of(held, instance).boxes


def test_what_a_person_let_go_as_it_came_is_copied_as_it_came_without_a_claim(tmp_path):
    source, _ = projection(tmp_path / "dx.dcm", 900)
    dataset = dcmread(source)
    dataset.RecognizableVisualFeatures = "YES"
    dataset.save_as(source)
    held, _ = let_go(source, tmp_path, as_original=True)
    options = {"quarantine": held, "dicom_out": tmp_path / "copies"}
    assert import_dicom(source, tmp_path / "out", KEY, **options).complete
    copy = only(tmp_path / "copies")
    assert np.array_equal(copy.pixel_array, dataset.pixel_array)
    assert "BurnedInAnnotation" not in copy


def test_what_was_found_at_the_release_is_black_at_later_imports(tmp_path):
    image, line = written(np.zeros((256, 320), np.uint8), "HOLM, Ana 1950", 8, 20, 20)
    image[60:] = 120
    source = image_file(tmp_path / "us.dcm", image, Modality="US")
    held, instance = let_go(source, tmp_path)
    noted = release_of(held, instance)
    assert noted.how == "redacted" and covered(line, noted.boxes) >= 0.9
    # Whatever later imports look for, or not.
    options = {"quarantine": held, "dicom_out": tmp_path / "copies", "burned_in": "off"}
    import_dicom(source, tmp_path / "out", KEY, **options)
    row0, column0, row1, column1 = line
    assert (only(tmp_path / "copies").pixel_array[row0:row1, column0:column1] > 0).mean() < 0.02


def test_a_released_object_of_a_class_without_copies_stays_released(tmp_path):
    source = image_file(
        tmp_path / "photo.dcm",
        np.full((64, 64, 3), 90, np.uint8),
        SOPClassUID=VLPhotographicImageStorage,
        Modality="XC",
        BurnedInAnnotation="YES",
    )
    held, _ = let_go(source, tmp_path)
    options = {"quarantine": held, "dicom_out": tmp_path / "copies"}
    again = import_dicom(source, tmp_path / "out", KEY, **options)
    assert again.complete and again.already_there == 1
    assert again.without_copy == {"sop-class-not-allowed": 1}
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1


def test_other_pixels_under_a_released_name_are_judged_anew(tmp_path):
    dataset = dcmread(CT)
    dataset.Modality = "US"
    dataset.save_as(tmp_path / "us.dcm")
    held, _ = let_go(tmp_path / "us.dcm", tmp_path)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(tmp_path / "us.dcm")
    options = {"quarantine": held, "dicom_out": tmp_path / "copies"}
    assert import_dicom(tmp_path / "us.dcm", tmp_path / "out", KEY, **options).quarantined
    assert not list((tmp_path / "copies").iterdir())


def test_an_object_too_large_for_a_copy_comes_in_without_one(tmp_path):
    frames = np.zeros((40, 256, 320), np.uint8)
    source = image_file(tmp_path / "sc.dcm", frames, Modality="OT")
    limits = Limits(memory_bytes=4 * len(frames.tobytes()))
    recipe = Recipe(
        key=KEY, images=tmp_path, copies=tmp_path, burned_in=BurnedIn.OFF, limits=limits
    )
    outcome = process(None, str(source), recipe)
    assert (outcome.kind, len(outcome.slices), outcome.copied) == ("slices", 40, 0)
    assert outcome.copy_problem == "too-large"
    report = ImportReport(tmp_path, without_copy=Counter([outcome.copy_problem]))
    assert "1 without a copy (too-large): raise QUORUM_IMPORT_MEMORY_BYTES" in report.summary()


def test_a_class_that_the_standard_does_not_know_is_not_echoed(tmp_path):
    dataset = dcmread(CT)
    del dataset.PixelData
    dataset.SOPClassUID = "KANARI^VOGEL"
    dataset.save_as(tmp_path / "odd.dcm")
    report = import_dicom(tmp_path / "odd.dcm", tmp_path / "out", KEY)
    assert report.without_pixels == {"unknown SOP class": 1}
    assert "KANARI" not in report.summary()


def test_an_ultrasound_that_nobody_doubts_keeps_all_of_its_regions(tmp_path):
    image = np.full((256, 320), 60, np.uint8)
    source = image_file(
        tmp_path / "us.dcm",
        image,
        Modality="US",
        Manufacturer="PHILIPS",
        SequenceOfUltrasoundRegions=[region(20, 6, 299, 199)],
        WindowCenter=128,
        WindowWidth=256,
    )
    (task,) = import_dicom(source, tmp_path / "out", KEY).tasks
    shown = image_of(tmp_path / "out", task)
    assert shown[6:200, 20:300].all() and not shown[:6].any()


def test_a_release_has_its_series_other_slices_read(tmp_path):
    image, _ = written(np.zeros((256, 320), np.uint8), "HOLM, Ana 1950", 8, 20, 20)
    source = image_file(
        tmp_path / "nm.dcm", image, Modality="NM", ImageType=["ORIGINAL", "PRIMARY"]
    )
    (tmp_path / "images").mkdir()
    recipe = Recipe(key=KEY, images=tmp_path / "images")
    outcome = process(None, str(source), recipe, "redacted")
    series = outcome.slices[0].data["series"]
    assert is_sample(series, "00000001", 400)  # which no draw would choose


def of_one_identifier(tmp_path, count=1):
    """Two objects of one SOP Instance UID: the second has other pixels, of `count` frames."""
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 2, (64, 1))
    others = np.stack([ramp.T] * count) if count > 1 else ramp.T
    first = image_file(tmp_path / "first.dcm", ramp, SOPClassUID=SecondaryCaptureImageStorage)
    return first, image_file(
        tmp_path / "second.dcm", others, SOPClassUID=SecondaryCaptureImageStorage
    )


def test_of_two_workers_with_one_identifier_the_first_alone_writes(tmp_path, monkeypatch):
    first, second = of_one_identifier(tmp_path)
    for name in ("images", "copies"):
        (tmp_path / name).mkdir()
    recipe = Recipe(
        key=KEY, images=tmp_path / "images", copies=tmp_path / "copies", burned_in=BurnedIn.OFF
    )
    with monkeypatch.context() as patch:
        patch.setattr(objects, "_all_there", lambda *_: False)  # as both workers see it at first
        assert process(None, str(first), recipe).copied == 1
        files = sorted([*recipe.images.iterdir(), *recipe.copies.iterdir()])
        made = [path.read_bytes() for path in files]
        refused = process(None, str(second), recipe)
        assert (refused.kind, refused.reason) == ("unreadable", "same-identifier")
        assert len(refused.digest) == 12 and not refused.slices
        assert process(None, str(first), recipe).kind == "slices"  # the same object may come twice
    # And where the other's pictures are there already.
    assert process(None, str(second), recipe).reason == "same-identifier"
    assert process(None, str(first), recipe).kind == "slices"
    assert sorted([*recipe.images.iterdir(), *recipe.copies.iterdir()]) == files
    assert [path.read_bytes() for path in files] == made


@pytest.mark.parametrize("claims", ["there", "of an earlier release, which made none"])
@pytest.mark.parametrize("more", ["frames", "a copy"])
def test_no_other_image_replaces_pictures_though_it_has_more_to_make(tmp_path, more, claims):
    first, second = of_one_identifier(tmp_path, count=2 if more == "frames" else 1)
    out, copies = tmp_path / "out", tmp_path / "copies"
    (task,) = import_dicom(first, out, KEY, burned_in="off").tasks
    picture = image_of(out, task)
    if claims != "there":
        shutil.rmtree(out / ".images.claims")
    dicom_out = copies if more == "a copy" else None
    report = import_dicom(second, out, KEY, burned_in="off", dicom_out=dicom_out)
    assert [problem.reason for problem in report.unreadable] == ["same-identifier"]
    assert np.array_equal(image_of(out, task), picture)
    assert len(list((out / "images").iterdir())) == 1
    assert not copies.exists() or not list(copies.iterdir())
    assert import_dicom(first, out, KEY, burned_in="off", dicom_out=copies).copies == 1
