"""The parts of an ultrasound image that show the patient's inside (PS3.3 C.8.5.5).

What lies outside the declared regions is the scanner's screen: banner, scales, name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from .boxes import Box, mask_of

# More regions than a real screen has; a sequence of thousands is an attack on time.
_MOST = 64
# RegionSpatialFormat 1 to 4: 2D, M-mode, spectral, wave form. 0 is none and 5 graphics: drawn.
_MEASURED = frozenset({1, 2, 3, 4})
# Regions that leave less than this share outside keep the banner with the picture.
_LEAST_OUTSIDE = 0.02


class RegionsError(ValueError):
    """The declared regions cannot be used; the message is a reason code."""


def kept_regions(dataset: Dataset) -> tuple[Box, ...]:
    """The measured regions of SequenceOfUltrasoundRegions as boxes in pixels.

    RegionLocationMaxX1 and MaxY1 name the last pixel inside (C.8.5.5.1.1, .2). Raises RegionsError
    "ultrasound-without-regions", "ultrasound-regions-invalid" or "ultrasound-regions-cover-all".
    """
    try:
        sequence = dataset.get("SequenceOfUltrasoundRegions")
        items = list(sequence[: _MOST + 1]) if sequence else []
        height, width = int(dataset.Rows), int(dataset.Columns)
        if len(items) > _MOST:
            raise ValueError
        kept = [
            _box(item, height, width)
            for item in items
            if _integer(item, "RegionSpatialFormat") in _MEASURED
        ]
    except Exception:  # pydicom converts lazily: any access can fail, and its text may quote
        raise RegionsError("ultrasound-regions-invalid") from None
    if not kept:
        raise RegionsError("ultrasound-without-regions")
    covered = sum((r1 - r0) * (c1 - c0) for r0, c0, r1, c1 in _apart(kept, inside=True))
    if covered > (1 - _LEAST_OUTSIDE) * height * width:
        raise RegionsError("ultrasound-regions-cover-all")
    return tuple(kept)


def outside(regions: Sequence[Box], height: int, width: int) -> tuple[Box, ...]:
    """Boxes that do not overlap and cover all of an image of (height, width) but the regions."""
    return tuple(_apart([*regions, (0, 0, height, width)], inside=False, frame=1))


def _integer(item: Dataset, keyword: str) -> int:
    value = item.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _box(item: Dataset, height: int, width: int) -> Box:
    column0, row0 = _integer(item, "RegionLocationMinX0"), _integer(item, "RegionLocationMinY0")
    column1, row1 = _integer(item, "RegionLocationMaxX1"), _integer(item, "RegionLocationMaxY1")
    # Some scanners write Rows and Columns themselves as the last pixel.
    if not (0 <= row0 < row1 <= height and 0 <= column0 < column1 <= width):
        raise ValueError
    return row0, column0, min(row1 + 1, height), min(column1 + 1, width)


def _apart(boxes: Sequence[Box], *, inside: bool, frame: int = 0) -> list[Box]:
    """Boxes that do not overlap, over what is inside (or outside) any box.

    The last `frame` boxes only say how far the plane reaches.
    """
    rows = sorted({row for box in boxes for row in (box[0], box[2])})
    columns = sorted({column for box in boxes for column in (box[1], box[3])})
    row_of, column_of = ({n: i for i, n in enumerate(cuts)} for cuts in (rows, columns))
    cells: Any = mask_of(
        [
            (row_of[r0], column_of[c0], row_of[r1], column_of[c1])
            for r0, c0, r1, c1 in boxes[: len(boxes) - frame]
        ],
        len(rows) - 1,
        len(columns) - 1,
    )
    if not inside:
        cells = ~cells
    found: list[Box] = []
    for i, line in enumerate(cells):
        edges = np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            found.append((rows[i], columns[start], rows[i + 1], columns[end]))
    return found
