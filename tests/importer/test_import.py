"""The importer as a whole, on pydicom's own files."""

import hashlib
import io
import json
import os
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import RLELossless

from importer import import_dicom, release
from importer.pseudonyms import pseudonym
from importer.quarantine import held
from importer.recipe import Recipe

from .files import CT, KEY, MR, bundled


def test_folders_zips_and_nested_zips_are_read_and_the_same_object_once(tmp_path):
    folder = tmp_path / "tree" / "deep"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(Path(CT).read_bytes())
    (folder / "notes.txt").write_text("no DICOM")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.write(MR, "../../evil/Smith.dcm")
    with zipfile.ZipFile(tmp_path / "tree" / "b.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
        archive.write(CT, "again.dcm")
    report = import_dicom(tmp_path / "tree", tmp_path / "out", KEY)
    assert (report.imported, report.already_there, report.not_dicom) == (2, 1, 1)
    assert report.complete
    assert {p.name for p in tmp_path.iterdir()} == {"tree", "out"}


def test_importing_again_makes_no_second_task(tmp_path):
    first = import_dicom([CT, MR], tmp_path, KEY)
    again = import_dicom([MR, CT], tmp_path, KEY)
    assert (first.imported, again.imported, again.already_there) == (2, 0, 2)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert len(tasks) == 2
    for task in tasks:
        image = Image.open(tmp_path / task["data"]["image"])
        assert image.size == (task["data"]["columns"], task["data"]["rows"])


def test_what_a_power_cut_left_empty_is_made_again(tmp_path):
    out, copies = tmp_path / "out", tmp_path / "copies"
    import_dicom([CT], out, KEY, dicom_out=copies)
    (image,), (copy,) = (out / "images").glob("*.png"), copies.rglob("*.dcm")
    for file in (image, copy):
        whole = file.read_bytes()
        file.write_bytes(b"")
        import_dicom([CT], out, KEY, dicom_out=copies)
        assert file.read_bytes() == whole


def test_another_image_under_the_same_identifier_is_told_and_takes_no_place(tmp_path):
    dataset = dcmread(CT)
    dataset.PatientName = "Other^Header"
    dataset.save_as(tmp_path / "same-pixels.dcm")
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(tmp_path / "other-pixels.dcm")
    encoded = dcmread(CT)
    encoded.compress(RLELossless, generate_instance_uid=False)
    encoded.save_as(tmp_path / "other-encoding.dcm")
    out = tmp_path / "out"
    (kept,) = import_dicom(CT, out, KEY).tasks
    picture = (out / kept["data"]["image"]).read_bytes()
    for name in ("same-pixels", "other-encoding"):  # no one can say that they are others
        again = import_dicom(tmp_path / f"{name}.dcm", out, KEY)
        assert again.complete and again.already_there == 1
    other = import_dicom(tmp_path / "other-pixels.dcm", out, KEY)
    assert (other.imported, other.already_there, other.complete) == (0, 0, False)
    assert [problem.reason for problem in other.unreadable] == ["same-identifier"]
    content = (tmp_path / "other-pixels.dcm").read_bytes()
    assert other.unreadable[0].digest == hashlib.sha256(content).hexdigest()[:12]
    assert other.tasks == [kept] and (out / kept["data"]["image"]).read_bytes() == picture


@pytest.mark.parametrize("modality", ["CT", "US"])  # that comes in, and that is held
def test_images_of_one_identifier_in_one_import_are_told(tmp_path, modality):
    sources = tmp_path / "in"
    sources.mkdir()
    dataset = dcmread(CT)
    dataset.Modality = modality
    for number in range(3):
        dataset.PixelData = bytes([number]) * len(dataset.PixelData)
        dataset.save_as(sources / f"{number}.dcm")
    report = import_dicom(sources, tmp_path / "out", KEY, quarantine=tmp_path / "held")
    assert report.imported + len(report.quarantined) == 1
    assert [problem.reason for problem in report.unreadable] == ["same-identifier"] * 2
    dry = import_dicom(sources, tmp_path / "dry", KEY, dry_run=True)
    assert [problem.reason for problem in dry.unreadable] == ["same-identifier"] * 2


def _two_of_one_identifier(tmp_path: Path) -> tuple[Path, Path]:
    dataset = dcmread(CT)
    dataset.Modality = "US"  # held
    dataset.save_as(tmp_path / "first.dcm")
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(tmp_path / "second.dcm")
    return tmp_path / "first.dcm", tmp_path / "second.dcm"


def test_what_is_held_is_not_replaced_by_another_image_of_its_identifier(tmp_path):
    first, second = _two_of_one_identifier(tmp_path)
    out, folder = tmp_path / "out", tmp_path / "held"
    import_dicom(first, out, KEY, quarantine=folder)
    other = import_dicom(second, out, KEY, quarantine=folder)
    assert not other.quarantined
    assert [problem.reason for problem in other.unreadable] == ["same-identifier"]
    (entry,) = held(folder)
    assert entry.path.read_bytes() == first.read_bytes()
    assert len(import_dicom(first, out, KEY, quarantine=folder).quarantined) == 1


def test_a_release_replaces_no_picture_of_another_image_of_its_identifier(tmp_path):
    first, second = _two_of_one_identifier(tmp_path)
    out, folder = tmp_path / "out", tmp_path / "held"
    import_dicom(first, out, KEY, quarantine=folder)
    (task,) = import_dicom(second, out, KEY, burned_in="off").tasks
    picture = (out / task["data"]["image"]).read_bytes()
    (entry,) = held(folder)
    recipe = Recipe(key=KEY, images=out / "images", quarantine=folder)
    report = release([entry.instance], out, recipe)
    assert [problem.reason for problem in report.unreadable] == ["same-identifier"]
    assert (out / task["data"]["image"]).read_bytes() == picture
    assert held(folder) == [entry] and not report.imported


def test_what_a_killed_import_left_half_written_is_removed(tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    left, written = copies / ".1.dcm.7.part", copies / ".2.dcm.8.part"
    for part in (left, written):
        part.write_bytes(b"half")
    an_hour_ago = time.time() - 3700
    os.utime(left, (an_hour_ago, an_hour_ago))
    import_dicom(CT, tmp_path / "out", KEY, dicom_out=copies)
    assert not left.exists() and written.exists()  # which another import may be writing


def test_each_frame_becomes_a_slice(tmp_path):
    report = import_dicom(bundled("rtdose.dcm"), tmp_path, KEY, burned_in="off")
    assert [task["data"]["frame"] for task in report.tasks] == list(range(15))
    assert len({task["data"]["slice"] for task in report.tasks}) == 15


def test_what_is_wrong_is_reported_and_the_rest_goes_on(tmp_path):
    sources = tmp_path / "in"
    sources.mkdir()
    whole = Path(CT).read_bytes()
    (sources / "1-torn").write_bytes(whole[:2000])
    (sources / "2.zip").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    (sources / "3-good").write_bytes(whole)
    (sources / "4-structures").write_bytes(Path(bundled("rtstruct.dcm")).read_bytes())
    report = import_dicom([sources, tmp_path / "nowhere"], tmp_path / "out", KEY)
    assert report.imported == 1
    assert {p.reason for p in report.unreadable} >= {"damaged-archive", "no-such-file"}
    assert sum(report.without_pixels.values()) + len(report.unreadable) >= 3
    assert report.without_pixels["RT Structure Set Storage"] == 1
    assert all(problem.remedy for problem in report.unreadable)


def test_truncated_pixels_are_not_taken_for_an_image(tmp_path):
    whole = Path(CT).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) - 20000])
    report = import_dicom(tmp_path / "cut", tmp_path / "out", KEY)
    assert report.imported == 0 and len(report.unreadable) == 1


def test_pseudonyms_are_stable_keyed_and_apart_by_kind(tmp_path):
    assert pseudonym(KEY, "patient", "1") == pseudonym(KEY, "patient", "1")
    others = [pseudonym(KEY, "study", "1"), pseudonym(b"x" * 32, "patient", "1")]
    assert pseudonym(KEY, "patient", "1") not in others
    with pytest.raises(ValueError, match="empty"):
        import_dicom(CT, tmp_path, b"")
