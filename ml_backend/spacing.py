"""How large pixels are: the stored matrix's, and those of the picture that people draw on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spacing = tuple[float, float]  # between rows, between columns, in mm

_LONGEST_MM = 1000.0


def stored_spacing(data: Mapping[str, Any]) -> Spacing | None:
    """What a task says of the stored matrix, None if it says nothing that can be true."""
    value = data.get("pixel_spacing_mm")
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if not all(isinstance(item, int | float) and 0 < item < _LONGEST_MM for item in value):
        return None
    return float(value[0]), float(value[1])


def picture_spacing(data: Mapping[str, Any], height: int, width: int) -> Spacing | None:
    """That of a picture of `height` rows and `width` columns, None if it is not known.

    The importer stretches pixels that are not square: there are more of them than in the matrix.
    """
    stored = stored_spacing(data)
    if stored is None:
        return None
    # Of tasks that do not say how large the matrix is, it is the picture.
    rows, columns = (_size(data.get(key)) for key in ("rows", "columns"))
    return stored[0] * (rows or height) / height, stored[1] * (columns or width) / width


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**16 else None
