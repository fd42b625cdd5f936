"""Descriptors at length 1, for cosine similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .registry import Floats, Indices

Directions = npt.NDArray[np.floating[Any]]

BLOCK = 4096  # rows compared at once
_MOST_HELD = 2**28  # numbers of a pool's directions that are held: 1 GiB in single precision


def directions(descriptors: Floats, precision: type[np.floating[Any]]) -> Directions:
    """Rows of (N, D) at length 1."""
    rows = np.empty(descriptors.shape, dtype=precision)
    for start in range(0, len(rows), BLOCK):
        block = descriptors[start : start + BLOCK].astype(np.float64)
        # A zero vector has no direction: it is like nothing (similarity 0), and no NaN arises.
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        rows[start : start + BLOCK] = block / np.where(lengths == 0, 1.0, lengths)
    return rows


class PoolDirections:
    """A pool's directions, (N, D) float32: held, or of a large pool made again when asked for."""

    def __init__(self, descriptors: Floats) -> None:
        self._held = descriptors.size <= _MOST_HELD
        self._rows = directions(descriptors, np.float32) if self._held else descriptors

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: slice | Indices) -> Directions:
        rows = self._rows[which]
        return rows if self._held else directions(rows, np.float32)
