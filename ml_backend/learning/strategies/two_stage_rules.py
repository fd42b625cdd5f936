"""Two-stage selection: the K most uncertain, then k of those by a rule of diversity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .ranking import most_uncertain
from .registry import Candidates, Floats, Indices, check, require_finite, strategy

Directions = npt.NDArray[np.floating]
Gains = npt.NDArray[np.float64]

_BLOCK = 4096  # rows compared at once
_MOST_KEPT = 2**26  # similarities kept rather than computed again: 256 MiB in single precision
_TIE = 1e-6  # mean similarity a slice below which two gains differ by rounding alone


def two_stage(uncertainty: Floats, descriptors: Floats, K: int, k: int) -> Indices:
    """The K most uncertain of (N,), then the k of those most diverse by (N, D) descriptors.

    The first is the most uncertain; each next is the candidate whose highest cosine similarity to
    those already chosen is lowest, the more uncertain one where that ties (Computer Systems &
    Applications 2023, 32(2): 75-82, eq. 1 and 2).
    Returns k indices in the order chosen, or N if there are fewer; K is cut to N.
    Raises ValueError for other shapes, values that are not finite, k < 1, or k > K.
    """
    uncertainty, descriptors = np.asarray(uncertainty), np.asarray(descriptors)
    check(uncertainty, descriptors, K, k)
    candidates = most_uncertain(uncertainty, K)  # (C,)
    if len(candidates) == 0:
        return candidates
    everyone = np.zeros(len(candidates), dtype=np.int64)
    return candidates[_least_alike(descriptors[candidates], everyone, min(k, len(candidates)))]


@strategy("two-stage", "the K most uncertain, of those the k least alike (the seed paper's rule)")
def two_stage_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage()."""
    return two_stage(candidates.uncertainty, candidates.descriptors, K, k)


@strategy(
    "two-stage-coverage",
    "the K most uncertain, of those the k that best stand for the pool (Yang et al.'s rule)",
    uses_labelled=True,
)
def two_stage_coverage_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage_coverage() with the labelled slices."""
    return two_stage_coverage(
        candidates.uncertainty, candidates.descriptors, K, k, candidates.labelled
    )


@strategy(
    "two-stage-stratified",
    "two-stage, the predicted classes taking turns, so that rare ones get slices",
)
def two_stage_stratified_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage_stratified()."""
    return two_stage_stratified(
        candidates.uncertainty, candidates.descriptors, candidates.shares, K, k
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
    Returns and raises as two_stage().
    """
    uncertainty, descriptors = np.asarray(uncertainty), np.asarray(descriptors)
    check(uncertainty, descriptors, K, k)
    candidates = most_uncertain(uncertainty, K)  # (C,)
    pool = _directions(descriptors, np.float32)  # (N, D)
    similarity = _similarity_to(pool, candidates)
    # Nothing is less alike than -1: from there the first gain is the sum itself, less a constant.
    highest = np.full(len(pool), -1.0, dtype=np.float32)
    if labelled is not None and len(labelled) and len(pool):
        known = _directions(labelled, np.float32)
        for start in range(0, len(pool), _BLOCK):
            part = slice(start, start + _BLOCK)
            highest[part] = (pool[part] @ known.T).max(axis=1)

    def gain(candidate: int) -> float:
        return float(np.maximum(similarity(candidate) - highest, 0).sum(dtype=np.float64))

    bounds = _first_gains(pool, candidates, highest)  # (C,)
    chosen: list[int] = []
    while len(chosen) < min(k, len(candidates)):
        if chosen:
            _refresh(bounds, gain, _TIE * len(pool))
        best = int(np.flatnonzero(bounds >= bounds.max() - _TIE * len(pool))[0])
        chosen.append(best)
        np.maximum(highest, similarity(best), out=highest)
        bounds[best] = -np.inf
    return candidates[chosen]


def two_stage_stratified(
    uncertainty: Floats, descriptors: Floats, shares: Floats, K: int, k: int
) -> Indices:
    """Two-stage selection in which the classes that (N, C) predicted shares show take turns.

    A slice belongs to the foreground class of which it has most in relation to the pool's mean.
    Each class keeps its K / G most uncertain, and the k come from the classes in turn, the rarest
    first, each time the least alike to all chosen so far; what a class cannot fill goes to the
    rest. Slices without any predicted foreground come in only to fill up.
    Returns and raises as two_stage(); ValueError too if shares are not finite or not (N, C).
    """
    uncertainty, descriptors = np.asarray(uncertainty), np.asarray(descriptors)
    check(uncertainty, descriptors, K, k)
    if shares.ndim != 2 or len(shares) != len(uncertainty):
        raise ValueError(f"shares must be (N, C): their shape is {shares.shape}")
    require_finite("shares", shares)
    ranked = most_uncertain(uncertainty, len(uncertainty))
    if len(ranked) == 0:
        return ranked
    richest = _richest_class(shares)[ranked]  # (N,) in order of falling uncertainty
    quota = -(-K // max(1, len(np.unique(richest[richest > 0]))))  # rounded up
    rank_in_class = np.zeros(len(ranked), dtype=np.int64)
    for c in np.unique(richest):
        rank_in_class[richest == c] = np.arange((richest == c).sum())
    within = (richest > 0) & (rank_in_class < quota)
    # Those within their class's quota first, then the others; either by falling uncertainty.
    kept = np.sort(np.argsort(~within, kind="stable")[:K])
    candidates, classes = ranked[kept], richest[kept]
    return candidates[_least_alike(descriptors[candidates], classes, min(k, len(candidates)))]


def _least_alike(descriptors: Floats, classes: Indices, k: int) -> list[int]:
    """k of (C, D) in the order chosen: each the least like those before, the classes taking turns.

    Classes (C,) take turns from the one with the fewest candidates on; class 0 fills up.
    """
    directions = _directions(descriptors, np.float64)
    names, counts = np.unique(classes, return_counts=True)
    turns = [int(names[n]) for n in np.argsort(counts, kind="stable") if names[n] > 0]
    taken = np.zeros(len(directions), dtype=bool)
    highest = np.full(len(directions), -np.inf)  # similarity to the most similar one chosen
    chosen: list[int] = []
    while len(chosen) < k:
        turns = [c for c in turns if (~taken & (classes == c)).any()]
        allowed = ~taken
        if turns:
            allowed &= classes == turns[0]
            turns.append(turns.pop(0))
        # argmin takes the first of equals: candidates stand in order of falling uncertainty.
        least = int(np.argmin(np.where(allowed, highest, np.inf)))
        chosen.append(least)
        taken[least] = True
        np.maximum(highest, directions @ directions[least], out=highest)
    return chosen


def _richest_class(shares: Floats) -> Indices:
    """The foreground class of which each of (N, C) has most in relation to the mean; 0 if none."""
    foreground = shares[:, 1:].astype(np.float64)
    if foreground.shape[1] == 0:
        return np.zeros(len(shares), dtype=np.int64)
    mean = foreground.mean(axis=0)
    relative = foreground / np.where(mean > 0, mean, 1.0)
    return np.where(relative.max(axis=1) > 0, relative.argmax(axis=1) + 1, 0).astype(np.int64)


def _similarity_to(pool: Directions, candidates: Indices) -> Callable[[int], Directions]:
    """A function from the position of a candidate to its similarity to all of the pool, (N,)."""
    if len(candidates) * len(pool) > _MOST_KEPT:
        return lambda candidate: pool @ pool[candidates[candidate]]
    kept = np.empty((len(candidates), len(pool)), dtype=np.float32)
    for start in range(0, len(pool), _BLOCK):
        part = slice(start, start + _BLOCK)
        kept[:, part] = pool[candidates] @ pool[part].T
    return lambda candidate: kept[candidate]


def _first_gains(pool: Directions, candidates: Indices, highest: Directions) -> Gains:
    """How much each of the candidates adds to the highest similarity of all the pool: (C,)."""
    gains = np.zeros(len(candidates), dtype=np.float64)
    for first in range(0, len(candidates), _BLOCK):
        some = slice(first, first + _BLOCK)
        rows = pool[candidates[some]]
        for start in range(0, len(pool), _BLOCK):
            part = slice(start, start + _BLOCK)
            added = np.maximum(rows @ pool[part].T - highest[part], 0)
            gains[some] += added.sum(axis=1, dtype=np.float64)
    return gains


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


def _directions(descriptors: Floats, precision: type[np.floating]) -> Directions:
    """Rows of (N, D) at length 1."""
    rows = np.empty(descriptors.shape, dtype=precision)
    for start in range(0, len(rows), _BLOCK):
        block = descriptors[start : start + _BLOCK].astype(np.float64)
        # A zero vector has no direction: it is like nothing (similarity 0), and no NaN arises.
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        rows[start : start + _BLOCK] = block / np.where(lengths == 0, 1.0, lengths)
    return rows
