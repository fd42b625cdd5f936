"""Rectangles of pixels: cut to the image, joined into lines, blacked out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""row0, column0, row1, column1 in pixels, half open."""


def blacken(pixels: NDArray[Any], boxes: Sequence[Box], value: int = 0) -> NDArray[Any]:
    """A copy of (H, W) or (H, W, C) pixels of any type with the boxes set to `value`.

    On stored values `value` is what the image shows as black: not 0 where PixelRepresentation is
    signed or the image is MONOCHROME1.
    """
    out = pixels.copy()
    for row0, column0, row1, column1 in boxes:
        out[max(0, row0) : max(0, row1), max(0, column0) : max(0, column1)] = value
    return out


def inside(box: Box, height: int, width: int) -> Box | None:
    """The part of a box that lies in an image of (height, width), None if there is none."""
    row0, column0 = max(0, box[0]), max(0, box[1])
    row1, column1 = min(height, box[2]), min(width, box[3])
    return (row0, column0, row1, column1) if row0 < row1 and column0 < column1 else None


def grown(box: Box, rows: int, columns: int) -> Box:
    """A box with a margin of rows above and below and of columns left and right."""
    return box[0] - rows, box[1] - columns, box[2] + rows, box[3] + columns


def touch(a: Box, b: Box) -> bool:
    """Whether two boxes share a pixel."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def mask_of(boxes: Iterable[Box], height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool, True inside any box."""
    mask = np.zeros((height, width), dtype=bool)
    for row0, column0, row1, column1 in boxes:
        mask[max(0, row0) : max(0, row1), max(0, column0) : max(0, column1)] = True
    return mask


def lines_of(boxes: Iterable[Box]) -> list[Box]:
    """Words that stand side by side, joined into lines.

    Two boxes belong to one line if they share 60 % of the lower one's height, are alike in height
    within a factor of 1.6 and no further apart than the lower one is high.
    """
    lines: list[Box] = []
    for box in sorted(boxes, key=lambda b: b[1]):
        joined = box
        rest: list[Box] = []
        for line in lines:
            if _same_line(line, joined):
                joined = _around(line, joined)
            else:
                rest.append(line)
        lines = [*rest, joined]
    return lines


def _same_line(a: Box, b: Box) -> bool:
    heights = sorted((a[2] - a[0], b[2] - b[0]))
    shared = min(a[2], b[2]) - max(a[0], b[0])
    gap = max(a[1], b[1]) - min(a[3], b[3])
    return shared > 0.6 * heights[0] and heights[1] < 1.6 * heights[0] and gap < heights[0]


def _around(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
