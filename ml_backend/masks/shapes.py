"""Polygons, rectangles and ellipses as Label Studio keeps them, to the pixels inside.

Coordinates are in percent of the image, (0, 0) its upper left corner and (100, 100) its lower
right one. A pixel is inside if its centre is, which neither grows nor shrinks a shape; outlines
that cross themselves fill by the non-zero rule, as the editor's canvas does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError
from .arrays import BoolMask

Floats = npt.NDArray[np.float64]

_MOST_POINTS = 20_000
_CROSSINGS = 2**20  # worked on at once: some 50 MB
_FURTHEST = 300.0  # percent; what lies further out was not drawn in the editor


class ShapeError(QuorumError, ValueError):
    """A shape that cannot be drawn; the message says why, and continues "the shape …"."""


def inside(kind: str, value: Mapping[str, Any], height: int, width: int) -> BoolMask:
    """The pixels, (height, width), inside of a region's value.

    `kind` is polygonlabels, rectanglelabels or ellipselabels. What lies outside of the image is
    cut off. Raises ShapeError for coordinates that are missing, not finite, far outside, or
    negative sizes, for an outline that was not closed or has too many points.
    """
    scale = np.array([width, height]) / 100
    if kind == "polygonlabels":
        return _fill(_polygon(value) * scale, height, width)
    turn = math.radians(_number(value, "rotation", 0.0) % 360)
    origin = np.array([_number(value, "x"), _number(value, "y")]) * scale
    names = ("width", "height") if kind == "rectanglelabels" else ("radiusX", "radiusY")
    across, along = (_number(value, name) * s for name, s in zip(names, scale, strict=True))
    if across < 0 or along < 0:
        raise ShapeError("has a negative size: draw it again")
    # Turned in pixels, clockwise: a rectangle about its upper left corner, an ellipse its centre.
    u = np.array([math.cos(turn), math.sin(turn)])
    v = np.array([-u[1], u[0]])
    if kind == "rectanglelabels":
        sides = [(0.0, 0.0), (across, 0.0), (across, along), (0.0, along)]
        return _fill(np.array([origin + a * u + b * v for a, b in sides]), height, width)
    if across == 0 or along == 0:
        return np.zeros((height, width), dtype=bool)
    reach = np.hypot(across * u, along * v)
    columns = _span(origin[0] - reach[0], origin[0] + reach[0], width)
    rows = _span(origin[1] - reach[1], origin[1] + reach[1], height)
    dx = np.arange(columns.start, columns.stop) + 0.5 - origin[0]
    dy = (np.arange(rows.start, rows.stop) + 0.5 - origin[1])[:, None]
    ellipse = np.zeros((height, width), dtype=bool)
    with np.errstate(over="ignore"):  # of a hair's breadth: infinitely far is outside
        first, second = (dx * u[0] + dy * u[1]) / across, (dx * v[0] + dy * v[1]) / along
        ellipse[rows, columns] = np.hypot(first, second) <= 1
    return ellipse


def _polygon(value: Mapping[str, Any]) -> Floats:
    """The corners, (P, 2), of a polygon in percent."""
    points = value.get("points")
    if not isinstance(points, list | tuple):
        raise ShapeError("has no points: draw it again")
    if len(points) > _MOST_POINTS:
        raise ShapeError(f"has {len(points)} points: at most {_MOST_POINTS} work")
    if value.get("closed") is False:
        raise ShapeError("was not closed: close it at its first point, and save again")
    try:
        corners = np.array([[float(x), float(y)] for x, y in points], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ShapeError("has points that are no numbers: draw it again") from None
    if not (np.abs(corners) <= _FURTHEST).all():  # neither is NaN
        raise ShapeError("lies far outside of the image: draw it again")
    return corners.reshape(-1, 2)


def _number(value: Mapping[str, Any], name: str, default: float | None = None) -> float:
    found = value.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ShapeError(f"has no number as its {name}: draw it again")
    # Compared before it is converted: a whole number in JSON may be larger than any float.
    if abs(found) <= (1e9 if name == "rotation" else _FURTHEST):
        return float(found)
    raise ShapeError(f"has an impossible {name}: draw it again")


def _span(low: float, high: float, size: int) -> slice:
    """The pixels of a row or column that something from `low` to `high` may reach, and a few more.

    Hundreds of small shapes on a slice are usual: each is drawn in a part of it alone.
    """
    start = min(max(math.floor(low) - 1, 0), size)
    return slice(start, max(start, min(math.ceil(high) + 1, size)))


def _fill(corners: Floats, height: int, width: int) -> BoolMask:
    """The pixels whose centres a closed outline, (P, 2) in pixels, winds around."""
    filled = np.zeros((height, width), dtype=bool)
    if len(corners) < 3:
        return filled
    (left, upper), (right, lower) = corners.min(axis=0), corners.max(axis=0)
    rows, columns = _span(upper, lower, height), _span(left, right, width)
    shape = rows.stop - rows.start, columns.stop - columns.start + 1
    winding = np.zeros(shape, dtype=np.int32)
    starts, ends = corners, np.roll(corners, -1, axis=0)
    upward = ends[:, 1] < starts[:, 1]
    tops, bottoms = np.where(upward[:, None], ends, starts), np.where(upward[:, None], starts, ends)
    # An edge crosses the middles of rows first <= row < last.
    first = np.clip(np.ceil(tops[:, 1] - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(bottoms[:, 1] - 0.5), 0, height).astype(np.int64)
    at_once = max(1, _CROSSINGS // height)
    for begin in range(0, len(corners), at_once):
        part = slice(begin, begin + at_once)
        rows_of = last[part] - first[part]
        edge = np.repeat(np.arange(len(rows_of)) + begin, rows_of)
        row = np.arange(rows_of.sum()) - np.repeat(
            np.cumsum(rows_of) - rows_of - first[part], rows_of
        )
        top, bottom = tops[edge], bottoms[edge]
        share = (row + 0.5 - top[:, 1]) / (bottom[:, 1] - top[:, 1])
        x = top[:, 0] + share * (bottom[:, 0] - top[:, 0])
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        # What lies to the left of the image, or to the right, is clipped to where the part ends.
        at = row - rows.start, np.clip(column, columns.start, columns.stop) - columns.start
        np.add.at(winding, at, np.where(upward[edge], -1, 1).astype(np.int32))
    filled[rows, columns] = np.cumsum(winding[:, :-1], axis=1) != 0
    return filled
