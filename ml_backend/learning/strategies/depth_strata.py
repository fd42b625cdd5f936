"""Strata of depth: the usual slice of each, of all slices or of the most uncertain."""

from __future__ import annotations

import numpy as np

from .clusters import by_nearness
from .distances import Points, mean_of
from .ranking import most_uncertain
from .registry import Candidates, Floats, Indices, check, strategy
from .two_stage_rules import least_alike


def two_stage_depth(
    uncertainty: Floats, descriptors: Floats, depths: Floats, K: int, k: int
) -> Indices:
    """The K most uncertain of (N,), then of each of k depths the one that is usual there.

    `depths` (N,) are places in a series from 0 to 1, NaN where not known. Of the K, of_each_depth()
    chooses the share of k that have a depth by descriptors (N, D); the other places go to those
    without, by two_stage()'s rule. The least alike of volumes are often slices that hold nothing
    of what is sought: docs/benchmarks-choices.md compares both.
    Returns k indices, or N if there are fewer; K is cut to N. Raises ValueError as two_stage(), and
    for depths that are not (N,).
    """
    uncertainty, descriptors = np.asarray(uncertainty), np.asarray(descriptors)
    depths = np.asarray(depths)
    check(uncertainty, descriptors, K, k)
    if depths.shape != uncertainty.shape:
        raise ValueError(f"depths must be (N,): their shape is {depths.shape}")
    kept = most_uncertain(uncertainty, K)
    return kept[_by_depth(descriptors[kept], depths[kept], min(k, len(kept)))]


def _first_stage(candidates: Candidates, K: int, k: int) -> Indices:
    return most_uncertain(candidates.uncertainty, K)


@strategy(
    "two-stage-depth",
    "the K most uncertain, of those the usual one of each depth; of images without a depth the "
    "k least alike",
    looks_at="candidates",
    first_stage=_first_stage,
)
def two_stage_depth_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """two_stage_depth(); two_stage() where no depth is known."""
    return of_kept_by_depth(candidates, _first_stage(candidates, K, k), k)


def of_kept_by_depth(candidates: Candidates, kept: Indices, k: int) -> Indices:
    """The second stage of two_stage_depth(): k of the kept candidates, which stand by falling
    uncertainty; two_stage()'s where no depth is known.
    """
    depths = np.full(len(kept), np.nan) if candidates.depths is None else candidates.depths[kept]
    return kept[_by_depth(candidates.rows(kept), depths, k)]


def _by_depth(descriptors: Floats, depths: Floats, k: int) -> Indices:
    """k of C candidates (C, D), which stand by falling uncertainty: places in them, in order.

    Of those with a depth of (C,), no NaN, their share of k by of_each_depth(); the rest the least
    alike.
    """
    known = np.isfinite(depths)
    others = np.flatnonzero(~known)
    share = round(k * int(known.sum()) / max(1, len(depths)))
    chosen = of_each_depth(descriptors, depths, share)
    rest = least_alike(descriptors[others], np.zeros_like(others), k - share)
    return np.concatenate([chosen, others[rest]])


def of_each_depth(descriptors: Floats, depths: Floats, k: int) -> Indices:
    """k of the slices (N, D) whose depth (N,) is no NaN: of k strata of depth one each.

    Strata hold as many slices each, and give the one nearest the mean of theirs: what is usual
    there, not what is alike in all; of equals the one that stands first. The middle stratum first,
    then the halves' middles, and so on: if a round starts before all have a label, those that have
    one are spread too. Takes about 2 N D operations. Raises ValueError if fewer than k have a
    depth.
    """
    by_depth = np.argsort(depths, kind="stable")[: int(np.isfinite(depths).sum())]  # NaN is last
    if k > len(by_depth):
        raise ValueError(f"{len(by_depth)} slices have a depth: k is {k}")
    points = Points(descriptors)
    chosen = []
    for stratum in np.array_split(by_depth, k) if k else []:
        rows = np.sort(stratum)
        if len(rows) > 2:  # two are as near their mean: rounding is not to decide
            rows = by_nearness(points, rows, mean_of(descriptors[rows]).astype(np.float32))
        chosen.append(rows[0])
    return np.array([chosen[index] for index in _from_the_middle(k)], dtype=np.int64)


def _from_the_middle(count: int) -> list[int]:
    """0 to count - 1 so that each beginning is spread: van der Corput's sequence from 1/2 on."""
    bits = count.bit_length()
    halved = (int(f"{n:0{bits}b}"[::-1], 2) * count >> bits for n in range(1, 2**bits))
    return list(dict.fromkeys([*halved, *range(count)]))
