"""The importer as a whole, on pydicom's own files."""

import io
import json
import stat
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut

from importer import import_dicom
from importer.burned_in import review_reason
from importer.cli import main
from importer.decode import DecodeError, frames, parse
from importer.keys import KeyFileError, load_or_make_key
from importer.pseudonyms import pseudonym
from importer.render import render, to_png

KEY = b"k" * 32
CT, MR = get_testdata_file("CT_small.dcm"), get_testdata_file("MR_small.dcm")
# The same MR in several codings, all inside pydicom's package.
SAME_MR = [
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_expb.dcm",
    "MR_small_implicit.dcm",
]


def bundled(name):
    return get_testdata_file(name, download=False)


def decoded(path):
    dataset = dcmread(path)
    (pixels,) = frames(dataset)
    return pixels, dataset


@pytest.mark.parametrize("name", [name for name in SAME_MR if bundled(name)])
def test_lossless_codings_of_one_image_give_the_same_png(name):
    pixels, dataset = decoded(bundled(name))
    reference, original = decoded(MR)
    assert np.array_equal(pixels, reference)
    assert to_png(render(pixels, dataset)) == to_png(render(reference, original))


@pytest.mark.parametrize(
    "name",
    [
        "JPEG-lossy.dcm",
        "JPEG2000.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "examples_ybr_color.dcm",
        "image_dfl.dcm",
        "CT_small.dcm",
        "rtdose_rle.dcm",
    ],
)
def test_compressed_and_deflated_files_decode(name):
    path = bundled(name)
    if path is None:
        pytest.skip("not inside this pydicom")
    dataset = parse(Path(path).read_bytes())
    shapes = {pixels.shape[:2] for pixels in frames(dataset)}
    assert shapes == {(dataset.Rows, dataset.Columns)}


def test_a_window_maps_its_ends_to_black_and_white():
    pixels, dataset = decoded(CT)
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    values = apply_modality_lut(pixels, dataset)
    image = render(pixels, dataset)
    low, high = 40 - 0.5 - 399 / 2, 40 - 0.5 + 399 / 2
    assert (image[values <= low] == 0).all() and (image[values >= high] == 255).all()
    inside = (values > low) & (values < high)
    expected = (values[inside] - low) / (high - low) * 255
    assert np.abs(image[inside] - expected).max() <= 0.5


def test_monochrome1_is_inverted():
    pixels, dataset = decoded(CT)
    plain = render(pixels, dataset)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    assert np.array_equal(render(pixels, dataset), 255 - plain)


def test_padding_is_black_and_does_not_shift_the_greys():
    pixels, dataset = decoded(CT)
    dataset.PixelPaddingValue = -2000
    plain = render(pixels, dataset)
    padded = pixels.copy()
    padded[:20] = -2000
    image = render(padded, dataset)
    assert (image[:20] == 0).all()
    assert np.abs(image[20:].astype(int) - plain[20:]).max() < 25


def test_a_png_carries_pixels_and_nothing_else():
    image = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    content = to_png(image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), image)
    kinds, position = [], 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kinds.append(content[position + 4 : position + 8])
        position += length + 12
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


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


def test_each_frame_becomes_a_slice(tmp_path):
    report = import_dicom(bundled("rtdose.dcm"), tmp_path, KEY, accept={"RTDOSE"})
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


def test_a_codec_s_frame_of_another_size_is_refused():
    dataset = dcmread(bundled("MR_small_jp2klossless.dcm") or bundled("JPEG2000.dcm"))
    dataset.Rows = dataset.Rows // 2
    with pytest.raises(DecodeError, match="damaged-pixels"):
        list(frames(dataset))


@pytest.mark.parametrize(
    ("changes", "accept", "reason"),
    [
        ({}, (), None),
        ({"BurnedInAnnotation": "YES"}, ("CT",), "burned-in-annotation"),
        ({"Modality": "US"}, (), "may-show-text"),
        ({"Modality": "US"}, ("US",), None),
        ({"Modality": "CR"}, (), "may-show-text-cr"),
        ({"Modality": "CR", "BurnedInAnnotation": "NO"}, (), None),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, (), "secondary-capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, (), "screen-capture"),
        ({"SamplesPerPixel": 3}, (), "screen-capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER"]}, (), None),
        ({"ImageType": ["DERIVED", "PRIMARY"]}, (), None),
    ],
)
def test_pixels_that_may_show_text_are_set_aside(changes, accept, reason):
    dataset = dcmread(CT)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    assert review_reason(dataset, accept) == reason


def test_pseudonyms_are_stable_keyed_and_apart_by_kind(tmp_path):
    assert pseudonym(KEY, "patient", "1") == pseudonym(KEY, "patient", "1")
    others = [pseudonym(KEY, "study", "1"), pseudonym(b"x" * 32, "patient", "1")]
    assert pseudonym(KEY, "patient", "1") not in others
    with pytest.raises(ValueError, match="empty"):
        import_dicom(CT, tmp_path, b"")


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "key"
    key = load_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_key(path) == key
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_or_make_key(path)
    path.chmod(0o600)
    path.write_text("abc")
    with pytest.raises(KeyFileError, match="restore it"):
        load_or_make_key(path)


def test_the_command_says_what_it_did_and_how_it_ended(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "out"), "--key", str(tmp_path / "key")]
    assert main([CT, *arguments]) == 0
    assert "1 slices imported" in capsys.readouterr().out
    assert main([str(tmp_path / "missing"), "--out", str(tmp_path / "o2"), *arguments[2:]]) == 2
    assert "no-such-file" in capsys.readouterr().out
    assert main([CT, *arguments, "--accept", "XX"]) == 2
    (tmp_path / "out" / "tasks.json").write_text("{")
    assert main([CT, *arguments]) == 2
    assert "move it away" in capsys.readouterr().err


def test_pydicom_still_bundles_what_these_tests_read():
    assert pydicom.__version__.startswith("3.")
    assert sum(bundled(name) is not None for name in SAME_MR) >= 4
