"""PNG and JPEG files of pixels alone."""

import io

import numpy as np
import pytest
from PIL import Image

from importer.image_files import encode, to_png

IMAGES = [
    np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for shape in [(30, 40), (1, 1), (30, 40, 3), (7, 5, 3)]
]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: str(image.shape))
def test_another_reader_sees_the_same_pixels(image):
    for view in (image, image[::-1], np.asfortranarray(image)):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(to_png(view)))), view)


def test_a_png_carries_pixels_and_nothing_else():
    content, kinds, position = to_png(IMAGES[0]), [], 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kinds.append(content[position + 4 : position + 8])
        position += length + 12
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_a_jpeg_is_near_and_carries_no_comment_or_exif():
    smooth = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    content = encode(smooth, "jpeg")
    assert np.abs(np.asarray(Image.open(io.BytesIO(content))).astype(int) - smooth).max() < 8
    assert b"Exif" not in content and b"\xff\xfe" not in content[:300]
    with pytest.raises(ValueError, match="choose of"):
        encode(smooth, "bmp")
