"""Pixel data of a copy: exact, masked, and tables only where they hold no text."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from importer.copies import CopyError, rebuild

from . import specimens
from .specimens import KEY


def copy_of(dataset, frames):
    return specimens.opened(rebuild(dataset, frames, KEY, cleaned=True))


def described(bits_allocated, bits_stored, signed=0, photometric="MONOCHROME2", frames=1):
    source = specimens.instance("1.2.840.10008.5.1.4.1.1.7")
    source.BitsAllocated, source.BitsStored = bits_allocated, bits_stored
    source.HighBit, source.PixelRepresentation = bits_stored - 1, signed
    source.PhotometricInterpretation = photometric
    if frames > 1:
        source.NumberOfFrames = frames
    return source


def test_bits_above_bits_stored_are_cleared():
    pixels = np.array([[0x0FFF, 0xA123], [0xF000, 0x5ABC]], np.uint16)
    copy = copy_of(described(16, 12), [pixels])
    assert copy.pixel_array.tolist() == [[0x0FFF, 0x0123], [0, 0x0ABC]]


def test_the_sign_fills_the_bits_above_bits_stored():
    pixels = np.array([[-5, 5], [0x7801 - 0x8000, 0x0FFF]], np.int16)
    copy = copy_of(described(16, 12, signed=1), [pixels])
    assert copy.pixel_array.tolist() == [[-5, 5], [-2047, -1]]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_any_integer_type_of_frame_is_written_as_declared(kind):
    pixels = np.arange(15, dtype=kind).reshape(3, 5)
    copy = copy_of(described(8, 8), [pixels])
    assert len(copy.PixelData) == 16  # padded to even length
    assert copy.PixelData[-1] == 0
    assert copy.pixel_array.tolist() == pixels.tolist()
    assert (copy.Rows, copy.Columns, copy.SamplesPerPixel) == (3, 5, 1)


def test_colour_is_rgb_by_pixel_whatever_it_was():
    pixels = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    source = described(8, 8, photometric="YBR_FULL_422", frames=2)
    copy = copy_of(source, list(pixels))
    assert (copy.PhotometricInterpretation, copy.PlanarConfiguration) == ("RGB", 0)
    assert np.array_equal(copy.pixel_array, pixels)


def test_monochrome1_stays_as_it_is():
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2)
    copy = copy_of(described(8, 8, photometric="MONOCHROME1"), [pixels])
    assert copy.PhotometricInterpretation == "MONOCHROME1"
    assert np.array_equal(copy.pixel_array, pixels)


def test_single_bits_are_packed_over_frames():
    pixels = (np.arange(45).reshape(3, 3, 5) % 3 == 0).astype(np.uint8)
    copy = copy_of(described(1, 1, frames=3), list(pixels))
    assert len(copy.PixelData) == 6
    assert np.array_equal(copy.pixel_array, pixels)


def palette(source, length=256, extra=b""):
    for index, colour in enumerate(("Red", "Green", "Blue")):
        setattr(source, f"{colour}PaletteColorLookupTableDescriptor", [length % 65536, 0, 8])
        source[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        table = bytes((i * (index + 1)) % 256 for i in range(length)) + extra
        setattr(source, f"{colour}PaletteColorLookupTableData", table)
    return source


def test_a_palette_is_copied_when_it_is_as_long_as_it_says():
    source = palette(described(8, 8, photometric="PALETTE COLOR"))
    copy = copy_of(specimens.reread(source), [np.zeros((2, 2), np.uint8)])
    assert copy.PhotometricInterpretation == "PALETTE COLOR"
    assert copy.GreenPaletteColorLookupTableDescriptor == [256, 0, 8]
    assert copy.GreenPaletteColorLookupTableData == source.GreenPaletteColorLookupTableData


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_bytes_in_words_is_written_with_bytes(bits):
    source = palette(described(8, 8, photometric="PALETTE COLOR"))
    plain = {}
    for colour in ("Red", "Green", "Blue"):
        table = plain[colour] = source[f"{colour}PaletteColorLookupTableData"].value
        words = np.frombuffer(table, "u1").astype("<u2").tobytes()
        setattr(source, f"{colour}PaletteColorLookupTableData", words)
        source[f"{colour}PaletteColorLookupTableDescriptor"].value = [256, 0, bits]
    copy = copy_of(specimens.reread(source), [np.zeros((2, 2), np.uint8)])
    for colour, table in plain.items():
        assert copy[f"{colour}PaletteColorLookupTableDescriptor"].value == [256, 0, 8]
        assert copy[f"{colour}PaletteColorLookupTableData"].value == table


def test_a_palette_of_words_stays_one_where_a_colour_is_dark():
    source = palette(described(8, 8, photometric="PALETTE COLOR"))
    for colour, factor in (("Red", 257), ("Green", 257), ("Blue", 0)):
        words = (np.arange(256, dtype="<u2") * factor).tobytes()
        setattr(source, f"{colour}PaletteColorLookupTableData", words)
        source[f"{colour}PaletteColorLookupTableDescriptor"].value = [256, 0, 16]
    copy = copy_of(specimens.reread(source), [np.zeros((2, 2), np.uint8)])
    assert copy.BluePaletteColorLookupTableDescriptor == [256, 0, 16]
    assert len(copy.BluePaletteColorLookupTableData) == 512


def test_a_palette_with_bytes_to_spare_is_refused():
    source = palette(described(8, 8, photometric="PALETTE COLOR"), extra=b"ZQ" * 9)
    with pytest.raises(CopyError, match="palette"):
        copy_of(specimens.reread(source), [np.zeros((2, 2), np.uint8)])


@pytest.mark.parametrize(
    ("data", "survives"),
    [
        ([0, 10, 200, 255], True),
        ([255, 200, 10, 0], True),
        ([0x5A, 0x51, 0x5A, 0x51], False),  # neither rises nor falls: text
        ([0, 1, 2, 256], False),  # above its bits
        ([0, 1, 2], False),
    ],
)
def test_a_lookup_table_is_copied_only_if_it_is_one(data, survives):
    source = specimens.instance()
    item = Dataset()
    item.add_new(0x00283002, "US", [4, 0, 8])
    item.add_new(0x00283006, "US", data)
    item.LUTExplanation = "ZQEXPLAIN"
    source.VOILUTSequence = [item]
    copy = copy_of(specimens.reread(source), specimens.frames())
    assert ("VOILUTSequence" in copy) == survives
    if survives:
        assert "LUTExplanation" not in copy.VOILUTSequence[0]
        assert np.frombuffer(copy.VOILUTSequence[0].LUTData, "<u2").tolist() == data


@pytest.mark.parametrize(
    "frames",
    [
        [np.zeros((4, 6), np.float32)],
        [np.zeros((4, 6, 4), np.uint8)],
        [np.zeros((4, 6, 3), np.uint8)],
    ],
)
def test_frames_that_are_not_what_the_source_says_are_refused(frames):
    with pytest.raises(CopyError, match="pixels-mismatch"):
        copy_of(specimens.instance(), frames)


def test_no_pixel_statistics_are_copied():
    source = specimens.instance()
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        setattr(source, keyword, 77)
        source[keyword].VR = "US"
    copy = copy_of(source, specimens.frames())
    assert "SmallestImagePixelValue" not in copy
    assert "LargestImagePixelValue" not in copy


@pytest.mark.parametrize(("written", "value"), [("US", 63536), ("SS", -2000)])
def test_a_padding_value_is_signed_as_the_pixels_are(written, value):
    source = specimens.instance()
    source.PixelRepresentation = 1
    del source.PixelPaddingValue
    source.add_new(0x00280120, written, value)
    copy = copy_of(specimens.reread(source), [np.zeros((2, 2), np.int16)])
    assert copy.PixelPaddingValue == -2000
    assert copy["PixelPaddingValue"].VR == "SS"
