"""Masks as drawn on the picture, brought back to the pixels that the scanner stored.

Pixels that are not square are stretched for the picture (importer.render.square): its longer side
has more pixels than the stored matrix. A stored pixel gets what the picture has at its centre, so a
mask that was made from stored pixels comes back equal; what was drawn finer than they are is lost.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

_Pixel = TypeVar("_Pixel", bound=np.generic)


def as_stored(
    shown: npt.NDArray[_Pixel], rows: int | None, columns: int | None
) -> npt.NDArray[_Pixel]:
    """A picture or label map, (H, W) or (H, W, C), as (rows, columns) or (rows, columns, C).

    None stands for a number that is not known: the picture's own. Raises ValueError if the picture
    cannot have been made from a matrix of that size.
    """
    height, width = shown.shape[:2]
    rows, columns = rows or height, columns or width
    stretched = (height > rows and width == columns) or (height == rows and width > columns)
    if (height, width) != (rows, columns) and not stretched:
        raise ValueError(
            f"the mask is {height} by {width} pixels, the image {rows} by {columns}: "
            "it was drawn on another picture"
        )
    if height > rows:
        shown = shown[_centres(height, rows)]
    if width > columns:
        shown = shown[:, _centres(width, columns)]
    return shown


def _centres(shown: int, stored: int) -> npt.NDArray[Any]:
    """The shown pixels that cover the centres of the stored ones."""
    return ((2 * np.arange(stored) + 1) * shown) // (2 * stored)
