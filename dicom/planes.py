"""Where a slice lies, and how slices stack into volumes (PS3.3 C.7.6.2.1.1, NIfTI-1).

Coordinates are the patient's in mm, x to the left, y to the back, z to the head (LPS), except in an
affine for NIfTI, which is RAS+.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from .functional_groups import frame_value, value_of

Vector = npt.NDArray[np.float64]  # (3,)

# Of a direction cosine, and of an angle: scanners write six decimals, some only four.
_COSINE_WITHIN = 1e-3
_SAME_DIRECTION_WITHIN = 1e-4
# Positions that differ less are one: the scanner's jitter, and the rounding of task data.
_POSITION_WITHIN_MM = 0.01
_SPACING_WITHIN = 0.01  # share of the spacing
_SMALLEST_SPACING_MM = 0.2
# A spacing found as the common divisor of gaps is at most this many times finer than the smallest.
_MOST_PARTS = 32
_MOST_EMPTY = 32  # planes of a volume for each one that is there


@dataclass(frozen=True)
class Plane:
    """A slice in space: pixel (row r, column c) is centred at
    position + c * column_mm * along_row + r * row_mm * along_column.
    """

    position: tuple[float, float, float]  # centre of the first pixel, LPS mm
    along_row: tuple[float, float, float]  # unit vector, to the next column
    along_column: tuple[float, float, float]  # unit vector, to the next row
    row_mm: float  # from one row to the next
    column_mm: float

    @property
    def normal(self) -> Vector:
        normal: Vector = np.cross(np.array(self.along_row), np.array(self.along_column))
        return normal

    @property
    def offset_mm(self) -> float:
        """Along the normal, from the plane through the origin."""
        return float(self.normal @ np.array(self.position))


def plane_of(dataset: Dataset, frame: int = 0) -> Plane | None:
    """A frame's plane (frame from 0), of single-frame and enhanced images; None if it has none."""
    position = _numbers(frame_value(dataset, "ImagePositionPatient", frame), 3)
    cosines = _numbers(frame_value(dataset, "ImageOrientationPatient", frame), 6)
    spacing = _numbers(frame_value(dataset, "PixelSpacing", frame), 2)
    if position is None or cosines is None or spacing is None or min(spacing) <= 0:
        return None
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > _COSINE_WITHIN:
        return None
    if abs(float(row @ column)) > _COSINE_WITHIN:
        return None
    return Plane(_three(position), _three(row / lengths[0]), _three(column / lengths[1]), *spacing)


def own_plane(offset_mm: float, row_mm: float, column_mm: float) -> Plane:
    """A slice in its series' own frame, for those who may not know where the patient lay.

    The axes are the slices': the first pixel of the lowest slice is the origin, and the slices lie
    as those of a patient on the back in a scanner do, so that viewers show them upright.
    """
    return Plane((0.0, 0.0, offset_mm), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), row_mm, column_mm)


@dataclass(frozen=True)
class Stack:
    """Slices on a regular grid: `places` are indices of the slices given, by plane of the grid."""

    places: dict[int, int]  # plane of the grid, from 0: index of a slice
    planes: int
    step: tuple[float, float, float]  # from one plane to the next, LPS mm; zero with one plane
    first: Plane | None  # at plane 0; None: of a slice without a plane
    repeat: int = 0  # of slices that lie at one position, which of them these are

    @property
    def spacing_mm(self) -> float | None:
        """Between planes; None with one plane."""
        return float(np.linalg.norm(self.step)) if self.planes > 1 else None

    @property
    def sheared(self) -> bool:
        """Whether the planes are shifted against each other, as with a tilted gantry."""
        if self.first is None or self.planes < 2:
            return False
        across = np.array(self.step) - self.first.normal * (self.first.normal @ np.array(self.step))
        return float(np.linalg.norm(across)) > _POSITION_WITHIN_MM

    def affine(self, thickness_mm: float | None = None) -> npt.NDArray[np.float64]:
        """(4, 4): array index (column, row, plane, 1) to RAS+ mm, voxels at their centres.

        thickness_mm stands for the spacing of a single plane; 1 where nothing is known.
        """
        plane = self.first or own_plane(0.0, 1.0, 1.0)
        step = np.array(self.step) if self.planes > 1 else plane.normal * (thickness_mm or 1.0)
        lps = np.eye(4)
        lps[:3, 0] = np.array(plane.along_row) * plane.column_mm
        lps[:3, 1] = np.array(plane.along_column) * plane.row_mm
        lps[:3, 2] = step
        lps[:3, 3] = plane.position
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def stacks(planes: Sequence[Plane | None]) -> list[Stack]:
    """Slices of one series and size as stacks, each as large as it can be without being bent.

    A stack has one orientation, pixel size and spacing; positions between its slices may be empty.
    Slices that lie at the same position go to different stacks, in the order given. A slice without
    a plane is a stack of its own. Every slice is in exactly one stack.
    """
    found: list[Stack] = []
    for repeat, indices in layers(planes):
        placed = [(index, plane) for index in indices if (plane := planes[index]) is not None]
        if placed:
            found += [replace(stack, repeat=repeat) for stack in _regular(placed)]
        else:
            found.append(Stack({0: indices[0]}, 1, (0.0, 0.0, 0.0), None))
    return found


def layers(planes: Sequence[Plane | None]) -> list[tuple[int, list[int]]]:
    """Indices of parallel slices of one pixel size, by position; no position twice in a layer.

    Each with how many slices lie at its positions in layers before it. A slice without a plane is
    alone.
    """
    found = [(0, [index]) for index, plane in enumerate(planes) if plane is None]
    for group in _parallel(planes):
        for repeat, layer in enumerate(_layers(group)):
            found.append((repeat, [index for index, _ in layer]))
    return found


_Placed = tuple[int, Plane]


def _parallel(planes: Sequence[Plane | None]) -> list[list[_Placed]]:
    """Slices of one orientation and pixel size, in the order of their first."""
    groups: list[list[_Placed]] = []
    for index, plane in enumerate(planes):
        if plane is None:
            continue
        for group in groups:
            if _same_way(group[0][1], plane):
                group.append((index, plane))
                break
        else:
            groups.append([(index, plane)])
    return groups


def _same_way(one: Plane, other: Plane) -> bool:
    return (
        np.allclose(one.along_row, other.along_row, rtol=0, atol=_SAME_DIRECTION_WITHIN)
        and np.allclose(one.along_column, other.along_column, rtol=0, atol=_SAME_DIRECTION_WITHIN)
        and math.isclose(one.row_mm, other.row_mm, rel_tol=1e-4)
        and math.isclose(one.column_mm, other.column_mm, rel_tol=1e-4)
    )


def _layers(group: Sequence[_Placed]) -> list[list[_Placed]]:
    """By position along the normal, one slice a position in each layer."""
    normal = group[0][1].normal
    ordered = sorted(group, key=lambda placed: float(normal @ np.array(placed[1].position)))
    at: list[list[_Placed]] = []
    last = -math.inf
    for index, plane in ordered:
        offset = float(normal @ np.array(plane.position))
        if offset - last > _POSITION_WITHIN_MM:
            at.append([])
            last = offset
        at[-1].append((index, plane))
    layers: dict[int, list[_Placed]] = defaultdict(list)
    for here in at:
        for repeat, placed in enumerate(sorted(here, key=lambda one: one[0])):
            layers[repeat].append(placed)
    return [layers[repeat] for repeat in sorted(layers)]


def _regular(layer: Sequence[_Placed]) -> list[Stack]:
    """One stack if there is a grid that all lie on, else one for each stretch of even spacing."""
    positions = np.array([plane.position for _, plane in layer], dtype=np.float64)
    whole = _grid(positions, layer[0][1].normal)
    if whole is not None:
        return [_stack(layer, positions, whole)]
    found: list[Stack] = []
    start = 0
    while start < len(layer):
        end = min(start + 2, len(layer))
        while end < len(layer) and _evenly(positions[start : end + 1]):
            end += 1
        part = positions[start:end]
        found.append(_stack(layer[start:end], part, list(range(end - start))))
        start = end
    return found


def _stack(layer: Sequence[_Placed], positions: npt.NDArray[Any], places: list[int]) -> Stack:
    last = places[-1]
    step = (positions[-1] - positions[0]) / last if last else np.zeros(3)
    by_place = {place: index for place, (index, _) in zip(places, layer, strict=True)}
    return Stack(by_place, last + 1, _three(step), layer[0][1])


def _grid(positions: npt.NDArray[Any], normal: Vector) -> list[int] | None:
    """Each position's place on the coarsest regular grid that all lie on, None if there is none."""
    if len(positions) == 1:
        return [0]
    gaps = np.diff(positions @ normal)
    smallest = float(gaps.min())
    for parts in range(1, _MOST_PARTS + 1):
        step = smallest / parts
        if parts > 1 and step < _SMALLEST_SPACING_MM:
            return None
        places = np.concatenate([[0], np.cumsum(np.rint(gaps / step))]).astype(int)
        if places[-1] + 1 > _MOST_EMPTY * len(positions):
            return None
        if _on(positions, places):
            return [int(place) for place in places]
    return None


def _evenly(positions: npt.NDArray[Any]) -> bool:
    return _on(positions, np.arange(len(positions)))


def _on(positions: npt.NDArray[Any], places: npt.NDArray[Any]) -> bool:
    """Whether the positions lie where their places say, in all three directions."""
    step = (positions[-1] - positions[0]) / places[-1]
    off = np.linalg.norm(positions - positions[0] - places[:, None] * step, axis=1)
    return bool(off.max() <= max(_POSITION_WITHIN_MM, _SPACING_WITHIN * np.linalg.norm(step)))


def _numbers(value: Any, count: int) -> list[float] | None:
    try:
        numbers = [float(item) for item in value]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def _three(vector: Any) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in vector)
    return x, y, z


def thickness_of(dataset: Dataset, frame: int = 0) -> float | None:
    """A frame's slice thickness in mm, None if it is unknown."""
    found = _numbers([frame_value(dataset, "SliceThickness", frame)], 1)
    return found[0] if found and found[0] > 0 else None


def size_of(dataset: Dataset) -> tuple[int, int] | None:
    """Rows and columns of the stored matrix, None if they are unknown."""
    rows, columns = value_of(dataset, "Rows"), value_of(dataset, "Columns")
    if isinstance(rows, int) and isinstance(columns, int) and rows > 0 and columns > 0:
        return rows, columns
    return None
