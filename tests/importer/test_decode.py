"""Frames of every coding that pydicom bundles."""

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels import iter_pixels
from pydicom.uid import ExplicitVRLittleEndian

from importer.decode import DecodeError, _plain_frame, frames, parse
from importer.image_files import to_png
from importer.limits import Limits
from importer.render import render

from .files import CT, MR, bundled, decoded

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


def test_a_codec_s_frame_of_another_size_is_refused():
    dataset = dcmread(bundled("MR_small_jp2klossless.dcm") or bundled("JPEG2000.dcm"))
    dataset.Rows = dataset.Rows // 2
    with pytest.raises(DecodeError, match="damaged-pixels"):
        list(frames(dataset))


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_a_data_set_without_file_meta_is_decoded_as_it_was_read(implicit, little):
    """As older archives and research hold them: no preamble, and no transfer syntax named."""
    source = dcmread(bundled("MR_small_bigendian.dcm") if not little else MR)
    bare = Dataset({element.tag: element for element in source})
    stream = io.BytesIO()
    bare.save_as(stream, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    dataset = parse(stream.getvalue(), whole=False)
    (pixels,) = frames(dataset)
    assert np.array_equal(pixels, decoded(MR)[0])


def test_encapsulated_pixels_without_file_meta_are_refused():
    source = dcmread(bundled("MR_small_RLE.dcm"))
    bare = Dataset({element.tag: element for element in source})
    stream = io.BytesIO()
    bare.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
    with pytest.raises(DecodeError, match="damaged-pixels"):
        list(frames(parse(stream.getvalue())))


def test_limits_are_told_before_pixels_are_read():
    dataset = dcmread(CT)
    with pytest.raises(DecodeError, match="too-large"):
        next(frames(dataset, Limits(frame_pixels=1000)))
    with pytest.raises(DecodeError, match="too-large"):
        parse(Path(bundled("image_dfl.dcm")).read_bytes(), Limits(inflated_bytes=1000))


def test_pydicom_still_bundles_what_these_tests_read():
    assert sum(bundled(name) is not None for name in SAME_MR) >= 4


@pytest.mark.parametrize("stored", [1, 8, 12, 15, 16])
@pytest.mark.parametrize("signed", [0, 1])
def test_plain_pixels_are_decoded_as_pydicom_does(stored, signed):
    dataset = dcmread(CT)
    words = np.random.default_rng(stored).integers(0, 2**16, (128, 128), dtype=np.uint16)
    dataset.PixelData = words.tobytes()  # what stands above the stored bits is there too
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = stored, stored - 1, signed
    (expected,) = iter_pixels(dataset)
    assert _plain_frame(dataset, ExplicitVRLittleEndian, 128, 128) is not None
    (found,) = frames(dataset)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"BitsStored": 17},
        {"BitsStored": 0},
        {"PixelRepresentation": 2},
        {"PixelRepresentation": None},
        {"SamplesPerPixel": 3},
        {"SamplesPerPixel": None},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": "MONOCHROME9"},
        {"NumberOfFrames": 2},
        {"PixelData": b"\0" * 100},
        {"PixelData": b"\0" * 40_000},
        {"FloatPixelData": b"\0" * 65_536},
    ],
    ids=str,
)
def test_pixels_that_are_not_plain_are_left_to_pydicom(change):
    dataset = dcmread(CT)
    dataset.update(change)
    assert _plain_frame(dataset, ExplicitVRLittleEndian, 128, 128) is None
