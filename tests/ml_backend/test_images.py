"""A task's image as the browser shows it."""

import io

import numpy as np
import pytest
from PIL import Image

from ml_backend.images import ImageError, read_image

from .photographs import MARKED, UPRIGHT, marked

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def encoded(array, kind="png", **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def test_a_grey_picture_is_one_plane_even_if_it_is_stored_in_colour():
    assert np.array_equal(read_image(encoded(GREY)), GREY)
    assert np.array_equal(read_image(encoded(np.dstack([GREY] * 3))), GREY)


def test_a_colour_picture_keeps_its_colours():
    colour = np.dstack([GREY, GREY + 1, GREY])
    assert np.array_equal(read_image(encoded(colour)), colour)


def test_a_turned_photograph_is_read_as_the_browser_shows_it():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    photograph = np.zeros((16, 32), np.uint8)
    photograph[:, :8] = 255
    shown = read_image(encoded(photograph, "jpeg", exif=exif, quality=95))
    assert shown.shape == (32, 16)
    assert shown[:6].min() > 200 and shown[12:].max() < 50


@pytest.mark.parametrize("name", MARKED)
def test_a_picture_is_turned_by_the_marks_that_browsers_heed_alone(name):
    """tests/browser/test_pictures.py holds the same pictures against a real browser."""
    content, turned = marked(name)
    assert np.array_equal(read_image(content) > 128, np.rot90(UPRIGHT, -turned) > 128)


def test_a_mark_that_cannot_be_read_is_none():
    stream = io.BytesIO()
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(stream, "jpeg", exif=b"Exif\0\0no exif")
    assert read_image(stream.getvalue()).shape == (20, 30)


def test_what_is_no_picture_or_too_large_is_told_with_its_remedy():
    with pytest.raises(ImageError, match="import it again"):
        read_image(b"not a picture")
    with pytest.raises(ImageError, match="import it again"):
        read_image(encoded(GREY)[:40])
    with pytest.raises(ImageError, match=r"too large.*import it smaller"):
        read_image(encoded(np.zeros((1, 8192 * 8192 + 1), np.uint8)))
