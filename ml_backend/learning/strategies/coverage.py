"""Two-stage selection whose second stage stands for the whole pool (Yang et al., MICCAI 2017)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .directions import BLOCK, Directions, PoolDirections, directions
from .ranking import most_uncertain
from .registry import Candidates, Floats, Indices, check, strategy

Gains = npt.NDArray[np.float64]

_MOST_KEPT = 2**26  # similarities kept rather than computed again: 256 MiB in single precision
_TIE = 1e-6  # mean similarity a slice below which two gains differ by rounding alone


@strategy(
    "two-stage-coverage",
    "the K most uncertain, of those the k that best stand for the pool (Yang et al.'s rule)",
    uses_labelled=True,
    looks_at="pool",
)
def two_stage_coverage_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage_coverage() with the labelled slices."""
    return two_stage_coverage(
        candidates.uncertainty, candidates.descriptors, K, k, candidates.labelled
    )


def two_stage_coverage(
    uncertainty: Floats,
    descriptors: Floats,
    K: int,
    k: int,
    labelled: Floats | None = None,
) -> Indices:
    """The K most uncertain of (N,), then the k of those that together stand best for all N.

    Greedily the candidate that most increases the sum, over the whole pool, of each slice's
    highest cosine similarity to those chosen or labelled (L, D): Yang et al., MICCAI 2017,
    section 2.3, whose sum has no labelled slices in it. The more uncertain one where gains tie.
    Takes 2 (K + L) N D operations, and again as much for each candidate looked at again if
    K N > 2^26; besides the descriptors at most 1.3 GiB.
    Returns and raises as two_stage().
    """
    uncertainty, descriptors = np.asarray(uncertainty), np.asarray(descriptors)
    check(uncertainty, descriptors, K, k)
    candidates = most_uncertain(uncertainty, K)  # (C,)
    pool = PoolDirections(descriptors)  # (N, D)
    # Nothing is less alike than -1: from there the first gain is the sum itself, less a constant.
    highest = np.full(len(pool), -1.0, dtype=np.float32)
    if labelled is not None and len(labelled) and len(pool):
        known = directions(labelled, np.float32)
        for start in range(0, len(pool), BLOCK):
            part = slice(start, start + BLOCK)
            highest[part] = (pool[part] @ known.T).max(axis=1)

    similarity, bounds = _similarity_to(pool, candidates, highest)

    def gain(candidate: int) -> float:
        return float(np.maximum(similarity(candidate) - highest, 0).sum(dtype=np.float64))

    chosen: list[int] = []
    while len(chosen) < min(k, len(candidates)):
        if chosen:
            _refresh(bounds, gain, _TIE * len(pool))
        best = int(np.flatnonzero(bounds >= bounds.max() - _TIE * len(pool))[0])
        chosen.append(best)
        np.maximum(highest, similarity(best), out=highest)
        bounds[best] = -np.inf
    return candidates[chosen]


def _similarity_to(
    pool: PoolDirections, candidates: Indices, highest: Directions
) -> tuple[Callable[[int], Directions], Gains]:
    """Each candidate's similarity to all of the pool, and what it adds to the highest.

    The first as a function from the candidate's position to (N,), the second as (C,).
    """
    gains = np.zeros(len(candidates), dtype=np.float64)
    keeps = len(candidates) * len(pool) <= _MOST_KEPT
    kept = np.empty((len(candidates), len(pool)) if keeps else (0, 0), dtype=np.float32)
    own = pool[candidates]  # (C, D)
    for start in range(0, len(pool), BLOCK):
        part = slice(start, start + BLOCK)
        block = pool[part]
        for first in range(0, len(candidates), BLOCK):
            some = slice(first, first + BLOCK)
            similar = own[some] @ block.T
            gains[some] += np.maximum(similar - highest[part], 0).sum(axis=1, dtype=np.float64)
            if keeps:
                kept[some, part] = similar

    def again(candidate: int) -> Directions:
        parts = (pool[start : start + BLOCK] for start in range(0, len(pool), BLOCK))
        return np.concatenate([block @ own[candidate] for block in parts])

    return (kept.__getitem__ if keeps else again), gains


def _refresh(bounds: Gains, gain: Callable[[int], float], tie: float) -> None:
    """Make the highest of the gains exact, and all that tie with it; lower ones stay bounds.

    A gain only falls as more is chosen (the sum is submodular), so an old one bounds the new one:
    few need to be computed again (Minoux, 1978).
    """
    highest = -np.inf
    for candidate in np.argsort(-bounds, kind="stable"):
        if bounds[candidate] < highest - tie or bounds[candidate] == -np.inf:
            break
        bounds[candidate] = gain(int(candidate))
        highest = max(highest, bounds[candidate])
