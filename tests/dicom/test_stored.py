"""Masks as drawn on a picture, as the stored pixels again."""

import numpy as np
import pytest

from dicom.stored import as_stored
from tests.importer.dicom_series import COLUMNS, ROWS


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 24, 100, 511])
@pytest.mark.parametrize("ratio", [1.02, 1.1, 1.5, 2.0, 3.3, 7.9])
def test_every_stored_row_comes_back_from_any_stretch(rows, ratio):
    shown = max(rows + 1, round(rows * ratio))
    stored = np.arange(rows * 3).reshape(rows, 3) % 251
    stretched = stored[(np.arange(shown) * 2 + 1) * rows // (2 * shown)]
    assert np.array_equal(as_stored(stretched, rows, 3), stored)
    assert np.array_equal(as_stored(stretched.T, 3, rows), stored.T)


def test_a_mask_of_another_picture_is_refused():
    for shape in [(23, 20), (24, 19), (30, 30)]:
        with pytest.raises(ValueError, match="another picture"):
            as_stored(np.zeros(shape, np.uint8), ROWS, COLUMNS)
