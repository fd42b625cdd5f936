"""The cheap filter: rows of thin, sharp-edged strokes, as text has and tissue rarely does.

A stroke is thinner than the kernel of a top-hat (or, for dark text, a black-hat) and begins and
ends within a pixel. Vessels and bone are thin too, but blurred by the scanner; a skull's rim is
sharp, but there are only two of it in a row of pixels. So the measure is the number of sharp
stroke edges along a row, beyond those that noise makes everywhere.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .boxes import Box, inside

# Letters up to 40 px high have strokes of 3 to 8 px; a wider kernel costs time and finds bone.
_KERNEL = np.ones((13, 13), dtype=np.uint8)
_STROKE_CONTRAST = 50
_EDGE_CONTRAST = 60
# A letter's edge goes on for two rows at least; noise rarely does.
_UPRIGHT = np.ones((2, 1), dtype=np.uint8)
_CELL_PX = 8
_RUN_CELLS = 8
# Edges per row of pixels and cell, mean of a run of cells (8 cells, 64 px): this many, and twice
# the image's own mean more; but a page full of text must not hide itself.
_ALARM = 0.65
_NOISE, _MOST_NOISE = 2.0, 0.9
# Pixels on edges in a run of that density; half a grey value a cell is lost in rounding.
_FEWEST_OF_A_RUN = int((_ALARM - 0.5 * _CELL_PX / 255) * _CELL_PX * _RUN_CELLS)
# The same in a single cell, to say where in the run the text is.
_CELL = 0.25


def grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) uint8 of an (H, W) or (H, W, 3) RGB image."""
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8)


def stroke_edges(
    image: NDArray[np.uint8], stroke_contrast: int, edge_contrast: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Where strokes brighter, and where strokes darker than their surroundings begin or end.

    Each (H, W) uint8, 0 or 255, from an (H, W) uint8 image; contrasts in grey values.
    """
    sharp = _sharp_steps(image, edge_contrast)
    maps = []
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        strokes = cv2.morphologyEx(image, operation, _KERNEL)
        _, strokes = cv2.threshold(strokes, stroke_contrast, 255, cv2.THRESH_BINARY)
        edges = np.zeros_like(image)
        cv2.absdiff(strokes[:, 1:], strokes[:, :-1], dst=edges[:, 1:])
        maps.append(cv2.bitwise_and(edges, sharp))
    return np.asarray(maps[0], np.uint8), np.asarray(maps[1], np.uint8)


def cheap_boxes(image: NDArray[np.uint8]) -> tuple[Box, ...]:
    """Where lines of text may stand in an (H, W) or (H, W, 3) uint8 image; under 1 ms at 512²."""
    picture = grey(image)
    height, width = picture.shape
    if min(height, width) < 2 * _CELL_PX:
        return ()
    below, right = -height % _CELL_PX, -width % _CELL_PX
    if below or right:
        picture = np.asarray(
            cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8
        )
    found: list[Box] = []
    size = (picture.shape[1] // _CELL_PX, picture.shape[0] // _CELL_PX)
    if not _may_alarm(picture, size):
        return ()
    for edges in stroke_edges(picture, _STROKE_CONTRAST, _EDGE_CONTRAST):
        density, runs = _densities(edges, size)
        limit = _ALARM + min(_NOISE * float(density.mean()), _MOST_NOISE)
        if runs.max() > limit:
            found += _boxes(density, np.asarray(runs) > limit)
    cut = (inside(box, height, width) for box in found)
    return tuple(box for box in cut if box)


def _densities(
    edges: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Edges per row of pixels in each cell, and their mean in runs of cells; `size` in cells."""
    upright = cv2.morphologyEx(edges, cv2.MORPH_OPEN, _UPRIGHT)
    cells = cv2.resize(upright, size, interpolation=cv2.INTER_AREA)
    # At most 3 edges a cell count: a few noisy cells must not make a run.
    density = np.minimum(cells.astype(np.float32) * (_CELL_PX / 255), 3.0)
    runs = cv2.blur(density, (_RUN_CELLS, 1), borderType=cv2.BORDER_CONSTANT)
    return density, np.asarray(runs, np.float32)


def _may_alarm(picture: NDArray[np.uint8], size: tuple[int, int]) -> bool:
    """Whether the image has sharp steps enough for an alarm, were all of them edges of strokes.

    Strokes' edges are among the sharp steps, no step of the computation makes fewer of more, and
    the limit is at least _ALARM: so a no is what the filter would say, for a fifth of its time.
    """
    sharp = _sharp_steps(picture, _EDGE_CONTRAST)
    upright = cv2.erode(sharp, _UPRIGHT)
    # A run that alarms has so many pixels; opening at most doubles those that erosion leaves.
    if 2 * cv2.countNonZero(upright) < _FEWEST_OF_A_RUN:
        return False
    _, runs = _densities(sharp, size)
    return float(runs.max()) > _ALARM - 1e-3  # more than sums of fractions can be off


def _sharp_steps(image: NDArray[np.uint8], contrast: int) -> NDArray[np.uint8]:
    """255 where a pixel differs by more than `contrast` from the one on its left, else 0."""
    sharp = np.zeros_like(image)
    step = cv2.absdiff(image[:, 1:], image[:, :-1])
    cv2.threshold(step, contrast, 255, cv2.THRESH_BINARY, dst=sharp[:, 1:])
    return sharp


def _boxes(density: NDArray[np.float32], alarm: NDArray[np.bool_]) -> list[Box]:
    """Boxes in pixels around the cells with edges in and next to the runs that alarm."""
    # One cell up and down: letters end between two rows of cells.
    near = cv2.dilate(alarm.astype(np.uint8), np.ones((3, _RUN_CELLS + 3), np.uint8))
    text = ((density > _CELL) & (near > 0)).astype(np.uint8)
    joined = cv2.morphologyEx(text, cv2.MORPH_CLOSE, np.ones((1, 3), np.uint8))
    count, _, places, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
    boxes: list[Box] = []
    for column, row, columns, rows, _ in places[1:count].tolist():
        if columns < 3:
            continue
        top, left = row * _CELL_PX - 3, column * _CELL_PX - 4
        bottom, end = (row + rows) * _CELL_PX + 3, (column + columns) * _CELL_PX + 4
        boxes.append((top, left, bottom, end))
    return boxes
