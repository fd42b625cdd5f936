"""Euclidean distances between many rows and few, a block of rows at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .registry import Floats, Indices

Rows = npt.NDArray[np.float32]
Distances = npt.NDArray[np.float64]

_BLOCK = 1024  # rows compared at once: differences of (_BLOCK, D) are all the memory it takes


class Points:
    """Rows (N, D) of any precision, less an offset, in at least single precision when asked for.

    Half precision would overflow in a sum of squares; all rows at once would take twice the
    memory of a large pool kept in it.
    """

    def __init__(self, rows: Floats, offset: Distances | None = None) -> None:
        self._rows, self._offset = rows, offset

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: slice | Indices | int) -> Floats:
        rows: Floats = self._rows[which]
        if self._offset is not None:
            return (rows - self._offset).astype(np.float32)
        return rows.astype(np.float32) if rows.dtype == np.float16 else rows


def mean_of(*parts: Floats) -> Distances:
    """The mean row, (D,), of several (n, D) one after another."""
    total = np.zeros(parts[0].shape[1], dtype=np.float64)
    for rows in parts:
        for start in range(0, len(rows), _BLOCK):
            # The sum so far comes first: the same rounding as of one sum over all rows.
            block = rows[start : start + _BLOCK].astype(np.float64)
            total = np.concatenate([total[None], block]).sum(axis=0)
    return total / max(1, sum(len(rows) for rows in parts))


def squared_from(points: Points, point: Floats, which: Indices | None = None) -> Distances:
    """Squared distance of the N points, or those named, to one (D,): exact 0 for a copy."""
    count = len(points) if which is None else len(which)
    squared = np.empty(count, dtype=np.float64)
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        difference = points[part if which is None else which[part]] - point
        squared[part] = np.einsum("nd,nd->n", difference, difference)
    return squared


def squared_to(points: Points, others: Floats, which: Indices) -> Distances:
    """Squared distance of each of N points to that of (L, D) which (N,) names: (N,)."""
    squared = np.empty(len(points), dtype=np.float64)
    for start in range(0, len(points), _BLOCK):
        part = slice(start, start + _BLOCK)
        difference = points[part] - others[which[part]]
        squared[part] = np.einsum("nd,nd->n", difference, difference)
    return squared


def nearest_of(points: Points, others: Floats) -> Indices:
    """Index of the nearest of (L, D) for each of N points: (N,)."""
    nearest = np.empty(len(points), dtype=np.int64)
    half_length = np.einsum("ld,ld->l", others, others) / 2
    for start in range(0, len(points), _BLOCK):
        # |a - b|² is least where a·b - |b|² / 2 is greatest.
        score = points[slice(start, start + _BLOCK)] @ others.T - half_length
        nearest[start : start + _BLOCK] = np.argmax(score, axis=1)
    return nearest
