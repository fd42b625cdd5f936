"""The detectors: text is found, anatomy is not."""

import sys

import numpy as np
import pytest

from demo import brain
from importer.burned_in import OcrMissingError, cheap_boxes, ocr_boxes, strokes, text_boxes
from importer.burned_in import text as text_module
from importer.burned_in.boxes import lines_of, mask_of

from .drawing import covered, plain, written

CT, MR = "CT_small.dcm", "MR_small.dcm"


@pytest.mark.parametrize("name", [CT, MR])
@pytest.mark.parametrize("points", [14, 20, 40])
@pytest.mark.parametrize(("ink", "paper"), [(255, 0), (0, 230), (255, None)])
def test_a_clear_line_is_covered(name, points, ink, paper):
    image = plain(name) // 2
    image, line = written(image, "HOLM, Ana 1950", 30, 10, points, ink, paper)
    assert covered(line, text_boxes(image)) >= 0.9


@pytest.mark.parametrize("points", [14, 20, 40])
@pytest.mark.parametrize(("ink", "paper"), [(255, 0), (0, 230)])
def test_the_cheap_filter_alarms_for_a_clear_line(points, ink, paper):
    image, line = written(plain(CT) // 2, "HOLM, Ana 1950", 200, 10, points, ink, paper)
    assert covered(line, cheap_boxes(image)) > 0.3


def test_the_cheap_filter_is_silent_on_plain_slices_and_on_noise():
    slices = brain.slices()[0][::8]
    noise = np.random.default_rng(0).normal(0, 15, slices[0].shape)
    noisy = [np.clip(image + noise, 0, 255).astype(np.uint8) for image in slices]
    plain_slices = [plain(CT), plain(MR), *slices, *noisy]
    assert [n for n, image in enumerate(plain_slices) if cheap_boxes(image)] == []


def test_a_word_at_the_last_rows_and_columns_is_found():
    image, line = written(np.zeros((251, 317), np.uint8), "ID 4711-0815", 234, 210, 16)
    assert covered(line, text_boxes(image)) >= 0.9


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_lines_that_lie_or_stand_on_their_heads_are_found(turns):
    image, box = written(plain(CT) // 2, "HOLM, Ana 1950", 100, 40, 20, 255, 0)
    marked = np.rot90(mask_of([box], *image.shape), turns)
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    line = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    assert covered(line, text_boxes(np.rot90(image, turns))) >= 0.9


def test_a_large_image_is_read_in_tiles():
    image, line = written(np.zeros((1500, 2000), np.uint8), "Smith, J 1950", 747, 700, 24)
    assert covered(line, ocr_boxes(image)) >= 0.9


def test_coloured_text_is_found():
    grey = np.zeros((200, 300), np.uint8)
    drawn, line = written(grey, "Right kidney 12", 90, 40, 18)
    image = np.stack([drawn, drawn // 2, grey], axis=-1)
    assert covered(line, text_boxes(image)) >= 0.9


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (16, 16), (8, 3000)])
def test_images_of_odd_shapes_are_read(shape):
    assert text_boxes(np.zeros(shape, np.uint8)) == ()


def test_words_side_by_side_are_one_line():
    words = [(10, 0, 20, 30), (11, 36, 21, 60), (40, 0, 50, 30)]
    assert sorted(lines_of(words)) == [(10, 0, 21, 60), (40, 0, 50, 30)]


def test_without_the_package_the_detector_says_so(monkeypatch):
    text_module._session.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OcrMissingError, match="rapidocr-onnxruntime"):
        ocr_boxes(np.zeros((64, 64), np.uint8))
    text_module._session.cache_clear()


def hard_images():
    """Text, noise, stripes and dots around the filter's threshold, over slices and on black."""
    generator = np.random.default_rng(3)
    slices = brain.slices()[0]
    for number in range(300):
        image = slices[number % len(slices)].copy()
        if number % 4 == 0:
            noise = generator.normal(0, generator.uniform(5, 60), image.shape)
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
        elif number % 4 == 1:
            ink = int(generator.integers(60, 256))
            points = int(generator.integers(8, 30))
            image, _ = written(image, "HOLM, Ana 1950", 20, 5, points, ink, None)
        elif number % 4 == 2:
            image = np.zeros((64, 130), np.uint8)
            for column in range(3, 128, int(generator.integers(5, 14))):
                top = int(generator.integers(0, 30))
                rows = slice(top, top + int(generator.integers(2, 34)))
                image[rows, column : column + 2] = generator.integers(55, 80)
        else:
            dots = generator.random((80, 121)) < generator.uniform(0, 0.3)
            image = dots.astype(np.uint8) * np.uint8(generator.integers(50, 130))
        yield image


def test_the_filter_s_short_way_out_changes_no_answer(monkeypatch):
    images = list(hard_images())
    short = [cheap_boxes(image) for image in images]
    asked = []

    def never(*picture):
        asked.append(may_alarm(*picture))
        return True

    may_alarm = strokes._may_alarm
    monkeypatch.setattr(strokes, "_may_alarm", never)
    assert [cheap_boxes(image) for image in images] == short
    assert 30 < sum(map(bool, short)) < 270 and asked.count(False) > 30
