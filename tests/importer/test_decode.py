"""Frames of every coding that pydicom bundles."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from importer.decode import DecodeError, frames, parse
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


def test_limits_are_told_before_pixels_are_read():
    dataset = dcmread(CT)
    with pytest.raises(DecodeError, match="too-large"):
        next(frames(dataset, Limits(frame_pixels=1000)))
    with pytest.raises(DecodeError, match="too-large"):
        parse(Path(bundled("image_dfl.dcm")).read_bytes(), Limits(inflated_bytes=1000))


def test_pydicom_still_bundles_what_these_tests_read():
    assert sum(bundled(name) is not None for name in SAME_MR) >= 4
