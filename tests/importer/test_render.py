"""Stored values as displayed."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut

from importer.render import _ramp, render, square
from importer.windows import Window

from .files import CT, decoded


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


@pytest.mark.parametrize(("signed", "written"), [(1, 63536), (0, -2000)])
def test_padding_is_signed_as_the_pixels_are_whatever_the_file_wrote(signed, written):
    pixels, dataset = decoded(CT)
    padded = pixels.astype(np.int16)
    padded[:40] = -2000
    padded = padded if signed else padded.view(np.uint16)
    dataset.PixelRepresentation = signed
    dataset.add_new("PixelPaddingValue", *(("SS", -2000) if signed else ("US", 63536)))
    expected = render(padded, dataset, 0, "auto")
    dataset.add_new("PixelPaddingValue", "US" if signed else "SS", written)
    assert (render(padded, dataset, 0, "auto") == expected).all()


def test_a_window_narrower_than_one_unit_is_a_ramp():
    """Of fractions: maps of diffusion or perfusion, scaled by a small slope."""
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.RescaleSlope = "MONOCHROME2", "0.0001"
    dataset.WindowCenter, dataset.WindowWidth = "0.25", "0.5"
    image = render(np.arange(5001, dtype=np.uint16).reshape(1, -1), dataset)
    assert image[0, 0] == 0 and image[0, 5000] == 255
    assert abs(int(image[0, 2500]) - 128) <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_bytes_in_words_is_not_black(bits):
    """PS3.3 C.7.6.3.1.5: some write 8-bit entries in words whose high byte is empty."""
    dataset = _palette(bits, np.arange(256, dtype="<u2"))
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (render(pixels, dataset) == pixels[:, :, None]).all()
    assert render(pixels[:1], dataset).max() == 15  # dark colours of a palette stay dark


def test_dark_colours_of_a_palette_of_words_stay_dark():
    dataset = _palette(16, np.arange(256, dtype="<u2") * 257)
    assert (render(np.full((2, 2), 7, np.uint8), dataset) == 7).all()
    dataset = _palette(16, np.arange(256, dtype="<u2") * 128)
    assert (render(np.full((2, 2), 1, np.uint8), dataset) == 0).all()


def test_an_alpha_palette_is_no_fourth_colour():
    dataset = _palette(8, np.arange(256, dtype="u1"))
    dataset.AlphaPaletteColorLookupTableDescriptor = [256, 0, 8]
    dataset.AlphaPaletteColorLookupTableData = bytes(256)
    assert render(np.zeros((2, 2), np.uint8), dataset).shape == (2, 2, 3)


def _palette(bits, entries):
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "PALETTE COLOR", 0
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", entries.tobytes())
    return dataset


def test_the_table_and_the_slow_way_show_the_same():
    pixels, dataset = decoded(CT)
    for window in ("header", "auto", "lung"):
        quick = render(pixels, dataset, 0, window).astype(int)
        slow = render(pixels.astype(np.int32), dataset, 0, window)
        assert np.abs(quick - slow).max() <= 1


def test_presets_are_hounsfield_units_and_for_ct_alone():
    pixels, dataset = decoded(CT)
    values = apply_modality_lut(pixels, dataset)
    lung = render(pixels, dataset, 0, "lung")
    assert (lung[values <= -1350] == 0).all() and (lung[values >= 150] == 255).all()
    dataset.Modality = "MR"
    assert np.array_equal(render(pixels, dataset, 0, "lung"), render(pixels, dataset))
    with pytest.raises(ValueError, match="choose of"):
        render(pixels, dataset, 0, "nonsense")


def test_a_sigmoid_window_is_no_straight_line():
    pixels, dataset = decoded(CT)
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    straight = render(pixels, dataset)
    dataset.VOILUTFunction = "SIGMOID"
    curved = render(pixels, dataset)
    values = apply_modality_lut(pixels, dataset)
    expected = 255 / (1 + np.exp(-4 * (values - 40) / 400))
    assert np.abs(curved - expected).max() <= 0.5
    assert not np.array_equal(curved, straight)


def test_a_frame_of_an_enhanced_instance_has_its_own_rescale_and_window():
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.Modality = "MONOCHROME2", "MR"
    dataset.PerFrameFunctionalGroupsSequence = [_groups(0.0), _groups(100.0)]
    pixels = np.full((2, 2), 50, np.uint16)
    assert render(pixels, dataset, 0)[0, 0] < render(pixels, dataset, 1)[0, 0]


def _groups(intercept):
    rescale, window, group = Dataset(), Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 1.0, intercept
    window.WindowCenter, window.WindowWidth = 100.0, 200.0
    group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [rescale], [window]
    return group


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", ">i2", "i4", "f4"])
def test_every_stored_type_is_shown_alike(dtype):
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = "50.5", "101"
    pixels = np.arange(0, 100, dtype=np.int64).reshape(10, 10).astype(dtype)
    image = render(pixels, dataset)
    assert image[0, 0] == 0 and image[9, 9] == pytest.approx(252, abs=3)
    assert (np.diff(image.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("keyword", "value", "shape"),
    [
        ("PixelSpacing", ["2.0", "1.0"], (40, 30)),
        ("PixelSpacing", ["1.0", "3.0"], (20, 90)),
        ("PixelAspectRatio", ["2", "1"], (40, 30)),
        ("PixelSpacing", ["1.0", "1.001"], (20, 30)),
        ("PixelSpacing", ["1.0", "1000"], (20, 30)),
        ("PixelSpacing", ["0", "0"], (20, 30)),
    ],
)
def test_pixels_are_shown_square(keyword, value, shape):
    dataset = Dataset()
    setattr(dataset, keyword, value)
    assert square(np.zeros((20, 30), np.uint8), dataset).shape == shape


def _table(first, entries, bits, vr="SS"):
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) % 2**16, first, bits])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return item


def _grey(**attributes):
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


RAMP = np.tile(np.arange(2048, dtype=np.uint16), (2, 1))


@pytest.mark.parametrize("first", [-1024, 0, 500])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_a_voi_lut_is_looked_up_by_the_rescaled_values(first, dtype):
    table = _table(first, np.linspace(0, 4095, 1024), 12)
    dataset = _grey(RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=[table])
    image = render(RAMP.astype(dtype), dataset)
    place = np.clip(RAMP.astype(int) - 1024 - first, 0, 1023)
    assert np.abs(image - 255 * place / 1023).max() <= 1


def test_a_voi_lut_shows_the_slices_of_a_series_alike():
    dataset = _grey(VOILUTSequence=[_table(0, np.arange(4096), 12, "US")])
    flat = np.full((4, 4), 1024, np.uint16)
    assert (render(flat, dataset) == 64).all()
    varied = flat.copy()
    varied[0] = 4095
    assert (render(varied, dataset)[1:] == 64).all()


def test_a_voi_lut_of_one_frame_and_monochrome1_are_heeded():
    group, voi = Dataset(), Dataset()
    voi.VOILUTSequence = [_table(0, np.arange(4096), 12, "US")]
    group.FrameVOILUTSequence = [voi]
    dataset = _grey(PerFrameFunctionalGroupsSequence=[group])
    assert (render(np.full((2, 2), 1024, np.uint16), dataset) == 64).all()
    dataset.PhotometricInterpretation = "MONOCHROME1"
    assert (render(np.full((2, 2), 1024, np.uint16), dataset) == 255 - 64).all()


def test_a_modality_lut_comes_before_a_voi_lut():
    modality = _table(0, np.arange(256) * 257, 16, "US")
    voi = _table(0, np.arange(2**16), 16, "US")
    dataset = _grey(ModalityLUTSequence=[modality], VOILUTSequence=[voi])
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(render(pixels, dataset), pixels)


def test_a_voi_lut_that_makes_no_sense_is_passed_over():
    short = _table(0, np.arange(100), 12, "US")
    short.LUTDescriptor = [4096, 0, 12]
    plain = render(RAMP, _grey())
    assert np.array_equal(render(RAMP, _grey(VOILUTSequence=[short])), plain)


WINDOWS = [
    ("40", "400"),
    ("-600", "1500"),
    ("50", "350"),
    ("128.3", "77.7"),
    ("0", "1"),
    ("9", "0.5"),
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("slope", ["1", "2", "0.37", "-1"])
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [True, False])
def test_the_quick_ramp_shows_every_stored_value_as_the_table_does(
    monkeypatch, window, slope, interpretation, signed
):
    dataset = Dataset()
    dataset.WindowCenter, dataset.WindowWidth = window
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, "-1024"
    dataset.PhotometricInterpretation = interpretation
    every = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    pixels = every.view(np.int16) if signed else every
    quick = render(pixels, dataset)
    monkeypatch.setattr("importer.render._ramp", lambda *_: None)
    assert np.array_equal(quick, render(pixels, dataset))


def test_usual_windows_have_a_quick_ramp():
    usual = [
        _ramp("<i2", 1.0, intercept, Window(center - 0.5 - (width - 1) / 2,
              center - 0.5 + (width - 1) / 2), False, None)
        for intercept in (0.0, -1024.0)
        for center, width in ((40, 400), (-600, 1500), (50, 350), (400, 1800), (40, 80), (60, 160))
    ]  # fmt: skip
    assert sum(ramp is not None for ramp in usual) > len(usual) / 2
