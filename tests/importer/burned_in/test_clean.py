"""Found, blacked out, and read again."""

import sys

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from importer.burned_in import Care, Verdict, blacken, care_for, clean, text_boxes
from importer.burned_in import text as text_module
from importer.decode import frames
from importer.render import render

from .drawing import covered, plain, scanner, ultrasound, written

CT, MR = "CT_small.dcm", "MR_small.dcm"
READ = Verdict(Care.READ, "secondary-capture")
SCAN = Verdict(Care.SCAN, "original-measurement")


def on_black(*lines):
    image, boxes = np.zeros((256, 320), np.uint8), []
    for text, row, column in lines:
        image, box = written(image, text, row, column, 16)
        boxes.append(box)
    return image, boxes


@pytest.mark.parametrize("verdict", [READ, SCAN])
def test_lines_are_blacked_out_and_the_result_reads_clean(verdict):
    image, lines = on_black(("HOLM, Ana", 5, 4), ("1950-02-28", 30, 4), ("ID 4711-0815", 235, 200))
    cleaned = clean(image, scanner(), verdict, sample=False)
    assert all(covered(line, cleaned.boxes) >= 0.9 for line in lines)
    assert text_boxes(cleaned.image) == ()
    assert (cleaned.doubt, cleaned.read) == (None, True)
    assert np.array_equal(cleaned.image, blacken(image, cleaned.boxes))


@pytest.mark.parametrize("name", [CT, MR])
@pytest.mark.parametrize("sample", [False, True])
def test_a_plain_slice_stays_as_it_is(name, sample):
    dataset = dcmread(get_testdata_file(name))
    for image in (plain(name), render(dataset.pixel_array, dataset)):
        cleaned = clean(image, dataset, care_for(dataset), sample=sample)
        assert np.array_equal(cleaned.image, image)
        assert (cleaned.boxes, cleaned.doubt, cleaned.read) == ((), None, sample)


def test_ultrasound_keeps_only_its_regions_and_reads_what_it_keeps():
    image = np.full((256, 320), 60, np.uint8)
    image, banner = written(image, "HOLM, Ana 1950", 5, 20, 16)
    image[40:241, 20:301] = 0
    image, label = written(image, "Sag Liver L-M", 215, 100, 16)
    dataset = ultrasound((20, 40, 300, 240, 1))
    cleaned = clean(image, dataset, care_for(dataset), sample=False)
    kept = np.zeros(image.shape, bool)
    kept[40:241, 20:301] = True
    assert (cleaned.image[~kept] == 0).all()
    assert covered(banner, cleaned.boxes) == 1
    assert covered(label, cleaned.boxes) >= 0.9
    assert cleaned.doubt is None


def test_real_ultrasound_without_regions_is_cleaned_but_held():
    dataset = dcmread(get_testdata_file("examples_rgb_color.dcm", download=False))
    image = render(next(iter(frames(dataset))), dataset)
    cleaned = clean(image, dataset, care_for(dataset), sample=False)
    assert cleaned.doubt == "ultrasound-without-regions"
    assert cleaned.boxes
    assert cleaned.image.shape == image.shape


def test_regions_that_became_invalid_are_doubted_not_raised():
    image = np.zeros((256, 320), np.uint8)
    verdict = Verdict(Care.REGIONS, "ultrasound-regions")
    cleaned = clean(image, ultrasound((300, 40, 20, 240, 1)), verdict, sample=False)
    assert cleaned.doubt == "ultrasound-regions-invalid"


def test_a_known_banner_is_black_even_where_no_text_is_seen():
    dataset = scanner(Modality="NM", Manufacturer="SIEMENS NM")
    image = np.full((860, 1132), 9, np.uint8)
    cleaned = clean(image, dataset, READ, sample=False)
    assert (cleaned.image[:90] == 0).all()
    assert (cleaned.image[780:] == 0).all()
    assert (cleaned.image[100:770] == 9).all()


def test_text_over_the_picture_needs_a_person():
    image, _ = written(plain(CT), "NOT FOR DIAGNOSIS", 100, 10, 30, 255, 0)
    assert clean(image, scanner(), READ, sample=False).doubt == "text-in-the-picture"


def test_declared_text_that_is_not_found_needs_a_person():
    dataset = scanner(BurnedInAnnotation="YES")
    cleaned = clean(plain(CT), dataset, care_for(dataset), sample=False)
    assert cleaned.doubt == "declared-text-not-found"


def test_text_that_stays_needs_a_person(monkeypatch):
    image, _ = on_black(("HOLM, Ana", 5, 4))
    # The package's function hides the module of the same name.
    monkeypatch.setattr(sys.modules["importer.burned_in.clean"], "_ROUNDS", 0)
    assert clean(image, scanner(), READ, sample=False).doubt == "text-remains"


def test_without_the_detector_reading_is_doubted_and_scanning_goes_on(monkeypatch):
    image, (line,) = on_black(("HOLM, Ana 1950-02-28", 5, 4))
    text_module._session.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for verdict in (READ, SCAN):
        cleaned = clean(image, scanner(), verdict, sample=False)
        assert (cleaned.doubt, cleaned.read, cleaned.clear) == ("no-ocr", False, False)
        assert covered(line, cleaned.boxes) > 0.5
    assert clean(plain(CT), scanner(), SCAN, sample=True).doubt == "no-ocr"
    assert clean(plain(CT), scanner(), SCAN, sample=False).doubt is None
    text_module._session.cache_clear()


def test_what_an_earlier_frame_showed_is_blacked_out_unread():
    image, _ = on_black(("HOLM, Ana", 5, 4))
    first = clean(image, scanner(), READ, sample=False)
    second = clean(image, scanner(), READ, sample=False, before=first.boxes)
    assert np.array_equal(second.image, first.image)
    assert second.boxes == first.boxes


def test_what_lies_outside_the_regions_is_no_found_text_of_the_next_frame():
    image = np.zeros((256, 320), np.uint8)  # 41 % outside, and no text anywhere
    image[40:230, 40:290] = np.random.default_rng(0).integers(60, 90, (190, 250))
    dataset = ultrasound((40, 40, 289, 229, 1))
    first = clean(image, dataset, care_for(dataset), sample=False)
    assert (first.found, first.doubt, first.clear) == ((), None, True)
    assert covered((0, 0, 256, 40), first.boxes) == 1
    second = clean(image, dataset, care_for(dataset), sample=False, before=first.found)
    assert (second.doubt, second.boxes) == (None, first.boxes)


@pytest.mark.parametrize("shape", [(8,), (8, 8, 4), (2, 8, 8, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="uint8"):
        clean(np.zeros(shape, np.uint8), scanner(), READ, sample=False)


def test_stored_pixels_are_blacked_out_with_their_own_black():
    stored = np.full((10, 12), 40, np.int16)
    out = blacken(stored, [(-3, -3, 2, 3), (8, 10, 99, 99)], -1000)
    assert out.dtype == np.int16
    assert (out == -1000).sum() == 2 * 3 + 2 * 2
    assert (stored == 40).all()
