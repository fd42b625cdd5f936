"""How large pixels are, of the matrix and of the picture."""

import math

import pytest

from ml_backend.spacing import picture_spacing, stored_spacing

SQUARE = {"rows": 256, "columns": 128, "pixel_spacing_mm": [0.5, 1.0]}


def test_a_stretched_picture_has_smaller_pixels_along_what_was_stretched():
    assert stored_spacing(SQUARE) == (0.5, 1.0)
    assert picture_spacing(SQUARE, 256, 256) == (0.5, 0.5)
    assert picture_spacing(SQUARE, 256, 128) == (0.5, 1.0)
    assert picture_spacing(SQUARE, 128, 64) == (1.0, 2.0)  # as it lies in a network's square


@pytest.mark.parametrize("size", [None, 0, -3, "256", 1e9, 2**40])
def test_without_the_matrix_s_size_it_is_the_picture(size):
    data = {**SQUARE, "rows": size, "columns": size}
    assert picture_spacing(data, 256, 256) == (0.5, 1.0)


@pytest.mark.parametrize(
    "said",
    [None, "0.5", [0.5], [0.5, 0.0], [0.5, -1.0], [0.5, "1"], [0.5, 1e9], [0.5, math.nan]],
)
def test_what_cannot_be_true_is_not_known(said):
    assert stored_spacing({"pixel_spacing_mm": said}) is None
    assert picture_spacing({"pixel_spacing_mm": said}, 9, 9) is None
