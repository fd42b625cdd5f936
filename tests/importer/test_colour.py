"""Known colours, stored in every way that DICOM has, as they reach the picture and the copy."""

from dataclasses import dataclass
from functools import partial
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, convert_color_space, pixel_array
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

from importer.colour import decoded
from importer.decode import DecodeError, frames
from importer.objects import process
from importer.recipe import BurnedIn, Recipe

from .files import KEY

COLOURS = [(0, 0, 0), (120, 120, 120), (200, 0, 0)]  # black, grey, red
RGB = np.repeat(np.array([COLOURS], np.uint8), 32, axis=1).repeat(48, axis=0)  # (48, 96, 3)
FRAMES = np.stack([RGB, RGB[:, ::-1]])
INDICES = np.repeat(np.arange(3, dtype=np.uint8)[None], 32, axis=1).repeat(48, axis=0)

JFIF = bytes.fromhex("ffe000104a46494600010100000100010000")


def adobe(transform):
    return bytes.fromhex("ffee000e41646f626500640000000000")[:-1] + bytes([transform])


@dataclass(frozen=True)
class Coding:
    """How frames are stored: each given as RGB, or as indices of a palette."""

    syntax: str
    interpretation: str
    encode: object  # an RGB frame to bytes
    planar: int = 0
    error: int = 1  # grey values that it may be off: YBR is rounded, JPEG loses

    def dataset(self, images):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = self.syntax
        dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
        dataset.SOPInstanceUID, dataset.StudyInstanceUID = "1.2.3.4", "1.2.3"
        dataset.SeriesInstanceUID, dataset.PatientID, dataset.Modality = "1.2.3.1", "P", "US"
        dataset.NumberOfFrames, (dataset.Rows, dataset.Columns) = len(images), images[0].shape[:2]
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PhotometricInterpretation = self.interpretation
        dataset.SamplesPerPixel = 3 if images[0].ndim == 3 else 1
        if dataset.SamplesPerPixel == 3:
            dataset.PlanarConfiguration = self.planar
        encoded = [self.encode(frame) for frame in images]
        is_plain = self.syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        dataset.PixelData = b"".join(encoded) if is_plain else encapsulate(encoded)
        dataset["PixelData"].VR = "OB"
        return dataset


def ybr(frame):
    return convert_color_space(frame, "RGB", "YBR_FULL")


def halved(frame):
    """Uncompressed YBR_FULL_422: two luminances, then what both share (PS3.3 C.7.6.3.1.2)."""
    pairs = ybr(frame).reshape(48, 48, 2, 3)
    return np.stack([*pairs[..., 0].transpose(2, 0, 1), pairs[:, :, 0, 1], pairs[:, :, 0, 2]], -1)


def plain(frame, to=np.asarray):
    return np.ascontiguousarray(to(frame)).tobytes()


def planes(frame, to=np.asarray):
    return plain(to(frame).transpose(2, 0, 1))


def rle(frame, to=np.asarray):
    """PackBits by plane, PS3.5 annex G."""
    stored = to(frame)
    parts = [
        np.ascontiguousarray(p) for p in stored.reshape(*frame.shape[:2], -1).transpose(2, 0, 1)
    ]
    packed = [imagecodecs.packbits_encode(part) for part in parts]
    packed = [part + b"\0" * (len(part) % 2) for part in packed]
    starts = [64 + sum(map(len, packed[:n])) for n in range(len(packed))]
    header = np.array([len(packed), *starts, *[0] * (15 - len(packed))], "<u4")
    return header.tobytes() + b"".join(packed)


def jpeg_ls(frame, to=np.asarray):
    return imagecodecs.jpegls_encode(np.ascontiguousarray(to(frame)))


def jpeg_2000(frame, to=np.asarray, mct=False, reversible=True):
    level = {} if reversible else {"level": 60}
    stored = np.ascontiguousarray(to(frame))
    return imagecodecs.jpeg2k_encode(
        stored, mct=mct, reversible=reversible, codecformat="j2k", **level
    )


def jpeg(frame, to=np.asarray, head=b"", ids=(1, 2, 3), lossless=False):
    """The samples as they are, with these application markers and component names."""
    stored = np.ascontiguousarray(to(frame))
    if stored.ndim == 2:
        return imagecodecs.jpeg8_encode(stored, level=95, lossless=lossless)
    found = imagecodecs.jpeg8_encode(
        stored, level=95, colorspace="RGB", outcolorspace="RGB", lossless=lossless
    )
    start = found.find(b"\xff\xee")  # Adobe's, as libjpeg writes it for RGB
    content = bytearray(found[:2] + head + found[start + 2 + 14 :])
    names = content.find(b"\xff\xc3" if lossless else b"\xff\xc0") + 10
    scan = content.find(b"\xff\xda") + 5
    content[names : names + 9 : 3] = content[scan : scan + 6 : 2] = bytes(ids)
    return bytes(content)


lossless = partial(jpeg, lossless=True)
NAMED = b"RGB"

CODINGS = {
    "plain RGB": Coding(ExplicitVRLittleEndian, "RGB", plain),
    "plain implicit VR": Coding(ImplicitVRLittleEndian, "RGB", plain),
    "plain RGB in planes": Coding(ExplicitVRLittleEndian, "RGB", planes, 1),
    "plain YBR_FULL": Coding(ExplicitVRLittleEndian, "YBR_FULL", partial(plain, to=ybr)),
    "plain YBR in planes": Coding(ExplicitVRLittleEndian, "YBR_FULL", partial(planes, to=ybr), 1),
    "plain YBR 422": Coding(ExplicitVRLittleEndian, "YBR_FULL_422", partial(plain, to=halved)),
    "RLE RGB": Coding(RLELossless, "RGB", rle, 1),
    "RLE YBR_FULL": Coding(RLELossless, "YBR_FULL", partial(rle, to=ybr), 1),
    "JPEG-LS RGB": Coding(JPEGLSLossless, "RGB", jpeg_ls),
    "JPEG-LS YBR_FULL": Coding(JPEGLSLossless, "YBR_FULL", partial(jpeg_ls, to=ybr)),
    "J2K RGB": Coding(JPEG2000Lossless, "RGB", jpeg_2000),
    "J2K RGB MCT": Coding(JPEG2000Lossless, "RGB", partial(jpeg_2000, mct=True)),
    "J2K YBR_RCT": Coding(JPEG2000Lossless, "YBR_RCT", partial(jpeg_2000, mct=True)),
    "J2K YBR_ICT": Coding(
        JPEG2000Lossless, "YBR_ICT", partial(jpeg_2000, mct=True, reversible=False), error=3
    ),
    "J2K YBR_FULL": Coding(JPEG2000Lossless, "YBR_FULL", partial(jpeg_2000, to=ybr)),
    "J2K YBR_FULL MCT": Coding(JPEG2000Lossless, "YBR_FULL", partial(jpeg_2000, to=ybr, mct=True)),
    "JPEG RGB": Coding(JPEGBaseline8Bit, "RGB", jpeg, error=3),
    "JPEG RGB 012": Coding(JPEGBaseline8Bit, "RGB", partial(jpeg, ids=(0, 1, 2)), error=3),
    "JPEG RGB Adobe": Coding(JPEGBaseline8Bit, "RGB", partial(jpeg, head=adobe(0)), error=3),
    "JPEG RGB Adobe named": Coding(
        JPEGBaseline8Bit, "RGB", partial(jpeg, head=adobe(0), ids=NAMED), error=3
    ),
    "JPEG YBR_FULL": Coding(JPEGBaseline8Bit, "YBR_FULL", partial(jpeg, to=ybr), error=3),
    "JPEG YBR 422": Coding(JPEGBaseline8Bit, "YBR_FULL_422", partial(jpeg, to=ybr), error=3),
    "JPEG YBR 012": Coding(
        JPEGBaseline8Bit, "YBR_FULL", partial(jpeg, to=ybr, ids=(0, 1, 2)), error=3
    ),
    "JPEG YBR JFIF": Coding(
        JPEGBaseline8Bit, "YBR_FULL_422", partial(jpeg, to=ybr, head=JFIF), error=3
    ),
    # The header says one thing, the codestream another: it was there first.
    "JPEG YBR that says RGB, JFIF": Coding(
        JPEGBaseline8Bit, "RGB", partial(jpeg, to=ybr, head=JFIF), error=3
    ),
    "JPEG YBR that says RGB, Adobe": Coding(
        JPEGBaseline8Bit, "RGB", partial(jpeg, to=ybr, head=adobe(1)), error=3
    ),
    "JPEG RGB that says YBR": Coding(
        JPEGBaseline8Bit, "YBR_FULL_422", partial(jpeg, head=adobe(0), ids=NAMED), error=3
    ),
    "palette plain": Coding(ExplicitVRLittleEndian, "PALETTE COLOR", plain),
    "palette RLE": Coding(RLELossless, "PALETTE COLOR", rle),
    "palette JPEG-LS": Coding(JPEGLSLossless, "PALETTE COLOR", jpeg_ls),
    "palette J2K": Coding(JPEG2000Lossless, "PALETTE COLOR", jpeg_2000),
}
# What pydicom does not decode here, or not in one way: known colours are the only reference.
BEYOND_PYDICOM = {
    "JPEG RGB named": Coding(JPEGBaseline8Bit, "RGB", partial(jpeg, ids=NAMED), error=3),
    "JPEG RGB named, says YBR": Coding(
        JPEGBaseline8Bit, "YBR_FULL_422", partial(jpeg, ids=NAMED), error=3
    ),
    "JPEG YBR Adobe": Coding(
        JPEGBaseline8Bit, "YBR_FULL_422", partial(jpeg, to=ybr, head=adobe(1)), error=3
    ),
    "lossless RGB": Coding(JPEGLosslessSV1, "RGB", lossless),
    "lossless RGB named": Coding(JPEGLosslessSV1, "RGB", partial(lossless, ids=NAMED)),
    "lossless RGB that says YBR": Coding(JPEGLosslessSV1, "YBR_FULL", partial(lossless, ids=NAMED)),
    "lossless YBR_FULL": Coding(JPEGLosslessSV1, "YBR_FULL", partial(lossless, to=ybr)),
    "lossless YBR JFIF": Coding(JPEGLosslessSV1, "YBR_FULL", partial(lossless, to=ybr, head=JFIF)),
    "palette lossless": Coding(JPEGLosslessSV1, "PALETTE COLOR", lossless),
}


def stored(coding, count, table_bits=16):
    """A file of so many frames, as bytes."""
    if coding.interpretation == "PALETTE COLOR":
        dataset = coding.dataset([INDICES, INDICES[:, ::-1]][:count])
        for name, values in zip(("Red", "Green", "Blue"), zip(*COLOURS, strict=True), strict=True):
            entries = [value * 257 if table_bits == 16 else value for value in (*values, 0)]
            setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [4, 0, table_bits])
            table = np.array(entries, "<u2" if table_bits == 16 else "u1").tobytes()
            setattr(dataset, f"{name}PaletteColorLookupTableData", table)
    else:
        dataset = coding.dataset(list(FRAMES[:count]))
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def in_colours(dataset):
    """All frames by pydicom, (N, H, W, 3) RGB of 8 bits."""
    pixels = pixel_array(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        pixels = (pixels >> (8 * pixels.dtype.itemsize - 8)).astype(np.uint8)
    return pixels.reshape(-1, *RGB.shape)


def assert_close(found, expected, error):
    """The same colours in the middle of each band: JPEG 4:2:2 and its blocks blur their edges."""
    middles = np.s_[..., 8:40, [16, 48, 80], :]
    assert np.abs(found[middles].astype(int) - expected[middles]).max() <= error


@pytest.mark.filterwarnings("ignore:.*Photometric Interpretation")  # pydicom names what differs
@pytest.mark.parametrize("count", [1, 2], ids=["one frame", "two frames"])
@pytest.mark.parametrize("name", [*CODINGS, *BEYOND_PYDICOM])
def test_known_colours_reach_the_picture_and_the_copy(name, count, tmp_path):
    coding = CODINGS.get(name) or BEYOND_PYDICOM[name]
    content = stored(coding, count)
    expected = FRAMES[:count]
    if name in CODINGS:
        assert_close(in_colours(dcmread(BytesIO(content))), expected, coding.error)
    images, copies = tmp_path / "images", tmp_path / "copies"
    images.mkdir(), copies.mkdir()
    outcome = process(content, "", Recipe(KEY, images, burned_in=BurnedIn.OFF, copies=copies))
    assert (outcome.kind, outcome.copy_problem) == ("slices", "")
    paths = [tmp_path / entry.data["image"] for entry in outcome.slices]
    assert_close(np.stack([np.asarray(Image.open(p)) for p in paths]), expected, coding.error)
    (copy,) = (dcmread(path) for path in copies.iterdir())
    is_palette = coding.interpretation == "PALETTE COLOR"
    assert copy.PhotometricInterpretation == ("PALETTE COLOR" if is_palette else "RGB")
    assert_close(in_colours(copy), expected, coding.error)


def test_a_palette_of_eight_bits_shows_its_colours_too(tmp_path):
    content = stored(CODINGS["palette plain"], 1, table_bits=8)
    (tmp_path / "images").mkdir()
    outcome = process(content, "", Recipe(KEY, tmp_path / "images", burned_in=BurnedIn.OFF))
    picture = np.asarray(Image.open(tmp_path / outcome.slices[0].data["image"]))
    assert_close(picture, RGB, 0)


@pytest.mark.parametrize("length", [2, 4, 6, 20, 30])
def test_a_codestream_that_ends_among_its_markers_is_damaged(length):
    cut = jpeg(RGB, head=adobe(0))[:length]
    dataset = Coding(JPEGBaseline8Bit, "RGB", lambda _: cut).dataset([RGB])
    with pytest.raises(DecodeError, match="damaged-pixels"):
        list(frames(dataset))


def test_fill_bytes_before_a_marker_hide_nothing():
    filled = jpeg(RGB, to=ybr, head=b"\xff\xff" + JFIF)
    assert_close(decoded(imagecodecs.jpeg_decode, filled, "RGB"), RGB, 3)
