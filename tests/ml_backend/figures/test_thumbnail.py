"""Pictures of slices with the draft drawn in."""

import io

import numpy as np
import pytest
from PIL import Image

from ml_backend.figures.thumbnail import SIDE_PX, legend, thumbnail

ORANGE, SKY_BLUE = (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)


def slice_(height=512, width=256):
    return np.full((height, width), 100, dtype=np.uint8)


def drawn(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def with_square(height=512, width=256, value=1, size=128):
    label_map = np.zeros((height, width), dtype=np.uint8)
    label_map[64 : 64 + size, 64 : 64 + size] = value
    return label_map


@pytest.mark.parametrize("shape", [(512, 256), (256, 512), (3000, 2), (100, 100), (1, 1)])
def test_the_long_side_is_at_most_192_pixels_and_nothing_is_enlarged(shape):
    size = drawn(thumbnail(slice_(*shape), None, ("A",))).shape
    assert max(size) == min(SIDE_PX, max(shape)) and min(size) >= 1


def test_a_draft_is_a_veil_within_an_outline_of_its_colour():
    picture = drawn(thumbnail(slice_(), with_square(), ("A",)))
    # 512 pixels are 192: the square reaches from 24 to 72.
    assert tuple(picture[24, 40]) == tuple(picture[40, 24]) == ORANGE
    veiled = np.round(0.65 * 100 + 0.35 * np.array(ORANGE))
    assert tuple(picture[48, 48]) == tuple(veiled)
    assert tuple(picture[10, 10]) == tuple(picture[80, 80]) == (100, 100, 100)


def test_classes_differ_in_colour():
    label_map = with_square()
    label_map[300:400, 64:192] = 2
    picture = drawn(thumbnail(slice_(), label_map, ("A", "B")))
    colours = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    assert {ORANGE, SKY_BLUE} <= colours
    assert legend(("A", "B")) == [
        {"name": "A", "colour": "#E69F00"},
        {"name": "B", "colour": "#56B4E9"},
    ]


def test_a_speck_is_still_seen():
    label_map = np.zeros((2048, 1024), dtype=np.uint8)
    label_map[300, 100] = 1
    picture = drawn(thumbnail(slice_(2048, 1024), label_map, ("A",)))
    assert (picture.reshape(-1, 3) == ORANGE).all(axis=1).sum() >= 1


def test_the_eighth_class_has_the_firsts_colour_and_a_dotted_outline():
    labels = tuple("ABCDEFGH")
    whole = drawn(thumbnail(slice_(), with_square(value=1), labels))
    dotted = drawn(thumbnail(slice_(), with_square(value=8), labels))

    def outlined(picture):
        return (picture.reshape(-1, 3) == ORANGE).all(axis=1).sum()

    assert 0 < outlined(dotted) < 0.7 * outlined(whole)


def test_values_that_are_no_class_are_not_drawn():
    assert drawn(thumbnail(slice_(), with_square(value=9), ("A",))).ndim == 2


def test_a_slice_in_colour_stays_in_colour():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[..., 0] = 200
    assert tuple(drawn(thumbnail(image, with_square(64, 64, size=0), ("A",)))[5, 5]) == (200, 0, 0)


def test_equal_slices_give_equal_bytes_that_hold_pixels_alone():
    first, second = (thumbnail(slice_(), with_square(), ("A",)) for _ in range(2))
    assert first == second
    chunks, at = set(), 8
    while at < len(first):
        length = int.from_bytes(first[at : at + 4], "big")
        chunks.add(first[at + 4 : at + 8])
        at += 12 + length
    assert chunks == {b"IHDR", b"IDAT", b"IEND"}


def test_a_draft_of_another_size_is_refused():
    with pytest.raises(ValueError, match="the draft is"):
        thumbnail(slice_(), with_square(256, 512), ("A",))
