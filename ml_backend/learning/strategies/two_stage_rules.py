"""Two-stage selection: the K most uncertain, then k of those by a rule of diversity."""

from __future__ import annotations

import numpy as np

from .directions import directions
from .ranking import most_uncertain
from .registry import Candidates, Floats, Indices, check, require_finite, strategy


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
    kept = most_uncertain(uncertainty, K)  # (C,)
    return kept[least_alike(descriptors[kept], np.zeros_like(kept), min(k, len(kept)))]


def _first_of_two(candidates: Candidates, K: int, k: int) -> Indices:
    return most_uncertain(candidates.uncertainty, K)


@strategy(
    "two-stage",
    "the K most uncertain, of those the k least alike (the seed paper's rule)",
    looks_at="candidates",
    first_stage=_first_of_two,
)
def two_stage_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage()."""
    kept = _first_of_two(candidates, K, k)
    return kept[least_alike(candidates.rows(kept), np.zeros_like(kept), k)]


def _first_by_entropy(candidates: Candidates, K: int, k: int) -> Indices:
    require_finite("entropy", candidates.entropy)
    return most_uncertain(candidates.entropy, K)


@strategy(
    "two-stage-entropy",
    "two-stage, the first stage by the entropy of the committee's mean",
    looks_at="candidates",
    first_stage=_first_by_entropy,
)
def two_stage_entropy_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage() of the entropy. Raises ValueError too if any is not finite.

    Variance is what members say differently; entropy counts too what all of them find unclear.
    """
    kept = _first_by_entropy(candidates, K, k)
    return kept[least_alike(candidates.rows(kept), np.zeros_like(kept), k)]


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
    kept, classes = _kept_by_class(uncertainty, shares, K)
    return kept[least_alike(descriptors[kept], classes, min(k, len(kept)))]


def _first_of_stratified(candidates: Candidates, K: int, k: int) -> Indices:
    return _kept_by_class(candidates.uncertainty, candidates.shares, K)[0]


@strategy(
    "two-stage-stratified",
    "two-stage, the predicted classes taking turns, so that rare ones get slices",
    looks_at="candidates",
    first_stage=_first_of_stratified,
)
def two_stage_stratified_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage_stratified()."""
    kept, classes = _kept_by_class(candidates.uncertainty, candidates.shares, K)
    return kept[least_alike(candidates.rows(kept), classes, k)]


def _kept_by_class(uncertainty: Floats, shares: Floats, K: int) -> tuple[Indices, Indices]:
    """Which of N two_stage_stratified() keeps, by falling uncertainty, and their classes."""
    if shares.ndim != 2 or len(shares) != len(uncertainty):
        raise ValueError(f"shares must be (N, C): their shape is {shares.shape}")
    require_finite("shares", shares)
    ranked = most_uncertain(uncertainty, len(uncertainty))
    if len(ranked) == 0:
        return ranked, ranked
    richest = _richest_class(shares)[ranked]  # (N,) in order of falling uncertainty
    quota = -(-K // max(1, len(np.unique(richest[richest > 0]))))  # rounded up
    rank_in_class = np.zeros(len(ranked), dtype=np.int64)
    for c in np.unique(richest):
        rank_in_class[richest == c] = np.arange((richest == c).sum())
    within = (richest > 0) & (rank_in_class < quota)
    # Those within their class's quota first, then the others; either by falling uncertainty.
    kept = np.sort(np.argsort(~within, kind="stable")[:K])
    return ranked[kept], richest[kept]


def least_alike(descriptors: Floats, classes: Indices, k: int) -> list[int]:
    """k of (C, D) in the order chosen: each the least like those before, the classes taking turns.

    Classes (C,) take turns from the one with the fewest candidates on; class 0 fills up.
    """
    rows = directions(descriptors, np.float64)
    names, counts = np.unique(classes, return_counts=True)
    turns = [int(names[n]) for n in np.argsort(counts, kind="stable") if names[n] > 0]
    taken = np.zeros(len(rows), dtype=bool)
    highest = np.full(len(rows), -np.inf)  # similarity to the most similar one chosen
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
        np.maximum(highest, rows @ rows[least], out=highest)
    return chosen


def _richest_class(shares: Floats) -> Indices:
    """The foreground class of which each of (N, C) has most in relation to the mean; 0 if none."""
    foreground = shares[:, 1:].astype(np.float64)
    if foreground.shape[1] == 0:
        return np.zeros(len(shares), dtype=np.int64)
    mean = foreground.mean(axis=0)
    relative = foreground / np.where(mean > 0, mean, 1.0)
    return np.where(relative.max(axis=1) > 0, relative.argmax(axis=1) + 1, 0).astype(np.int64)
