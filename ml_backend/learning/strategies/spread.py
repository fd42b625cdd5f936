"""Choice by descriptors alone: far apart, typical of the pool, or the middles of its clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .clusters import by_nearness, by_typicality, k_means
from .distances import Distances, Points, Rows, mean_of, nearest_of, squared_from, squared_to
from .ranking import generator_of
from .registry import Candidates, Floats, Indices, require_finite, strategy

_MOST_CLUSTERS = 500  # TypiClust's bound
_SMALLEST = 5  # TypiClust's: of fewer slices none is typical, they are outliers
_LONE = 2  # a slice that is like no other stands for none
_MOST_CLUSTERED = 20_000  # slices that k-means looks at; of a larger pool so many at random


def cold_start(descriptors: Floats, k: int, seed: int = 0) -> Indices:
    """The first k of N slices before any label exists: half stand for the pool, half are its edges.

    Of k / 2 clusters (rounded down, but one) the slice nearest each middle, the largest cluster
    first and slices that are clusters of their own last; then greedily the farthest from all
    chosen, as k_centre(). Edges alone would be the ends of volumes, which show nothing; middles
    alone leave out what is at either end of a part that all slices show (docs/benchmarks.md).
    Descriptors are (N, D), compared by Euclidean distance. Of a large pool and for large k
    clusters are made as in typical(). Raises ValueError for other shapes, values that are not
    finite, or k < 1.
    """
    _check(descriptors, k)
    middles = _from_clusters(descriptors, max(1, k // 2), seed, None, by_nearness, smallest=_LONE)
    if len(middles) == 0:
        return middles
    points = Points(descriptors)
    centres = points[middles]
    nearest = squared_to(points, centres, nearest_of(points, centres))
    edges = _farthest(points, nearest, min(k, len(points)) - len(middles), middles)
    return np.concatenate([middles, edges])


def k_centre(descriptors: Floats, k: int, labelled: Floats | None = None) -> Indices:
    """Greedily k of N, each the farthest from the centres so far, by Euclidean distance.

    The first centres are the labelled (L, D), else the medoid, which is then the first chosen
    (Sener and Savarese, ICLR 2018, algorithm 1). Takes about 2 (k + L) N D operations, and besides
    the descriptors memory for N distances alone. Raises ValueError as cold_start().
    """
    _check(descriptors, k)
    count = len(descriptors)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    points = Points(descriptors)
    first: Indices = np.zeros(0, dtype=np.int64)
    if labelled is None or len(labelled) == 0:
        first = np.array([np.argmin(squared_from(points, mean_of(descriptors)))], dtype=np.int64)
        nearest = squared_from(points, points[int(first[0])])  # (N,)
    else:
        centres = Points(labelled)[:]
        nearest = squared_to(points, centres, nearest_of(points, centres))
    return np.concatenate([first, _farthest(points, nearest, min(k, count) - len(first), first)])


def _farthest(points: Points, nearest: Distances, count: int, taken: Indices) -> Indices:
    """Greedily `count` more, each the farthest from all chosen; `nearest` (N,) squared is used up.

    None of those `taken` is chosen again.
    """
    nearest[taken] = -1.0  # copies of a chosen slice are at distance 0: still better
    chosen: list[int] = []
    while len(chosen) < count:
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        if len(chosen) < count:
            np.minimum(nearest, squared_from(points, points[farthest]), out=nearest)
            nearest[farthest] = -1.0
    return np.array(chosen, dtype=np.int64)


@strategy(
    "k-centre",
    "greedily the slice farthest from all labelled ones (core-set)",
    uses_labelled=True,
    looks_at="pool",
)
def k_centre_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """k_centre() from the labelled slices; uncertainty and K play no part."""
    return k_centre(candidates.descriptors, k, candidates.labelled)


@strategy(
    "typical",
    "the densest slice of each cluster that has no label yet (TypiClust)",
    uses_labelled=True,
    looks_at="pool",
)
def typical_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """typical() with the labelled slices; uncertainty and K play no part."""
    seed = int(generator_of(candidates).integers(2**31))
    return typical(candidates.descriptors, k, seed, candidates.labelled)


def typical(descriptors: Floats, k: int, seed: int, labelled: Floats | None = None) -> Indices:
    """k of N (N, D), each the most typical of its cluster (TypiClust: Hacohen et al., ICML 2022).

    k-means makes k clusters, and one more for each of the labelled (L, D), at most 500; of a pool
    of more than 20,000 it looks at so many, and the others join the nearest centre: 2 G N D
    operations for G clusters. Clusters with the fewest labels give first, of those the largest,
    and those of fewer than 5 slices last; of each the slice that by_typicality() puts first.
    Raises ValueError as cold_start().
    """
    return _from_clusters(descriptors, k, seed, labelled, by_typicality, smallest=_SMALLEST)


def _from_clusters(
    descriptors: Floats,
    k: int,
    seed: int,
    labelled: Floats | None,
    rank: Callable[[Points, Indices, Rows], Indices],
    smallest: int,
) -> Indices:
    """k of N: cluster by cluster the next by `rank`, those of fewer than `smallest` slices last."""
    _check(descriptors, k)
    count = len(descriptors)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    size = descriptors.shape[1]
    known = labelled if labelled is not None and len(labelled) else descriptors[:0].reshape(0, size)
    middle = mean_of(descriptors, known)
    points, others = Points(descriptors, middle), Points(known, middle)
    looked_at = _sample(count, seed)
    clusters = min(k + len(known), len(looked_at) + len(known), _MOST_CLUSTERS)
    assigned, centres = k_means(np.concatenate([points[looked_at], others[:]]), clusters, seed)
    own = assigned[:count] if len(looked_at) == count else nearest_of(points, centres)
    covered = np.bincount(assigned[len(looked_at) :], minlength=clusters)
    sizes = np.bincount(own, minlength=clusters)
    # Ranked when a cluster gives its first: of a large pool few clusters are asked.
    ranked: dict[int, Indices] = {}
    given = np.zeros(clusters, dtype=np.int64)
    chosen: list[int] = []
    while len(chosen) < min(k, count):
        best = min(
            (int(c) for c in np.flatnonzero(given < sizes)),
            key=lambda c: (sizes[c] < smallest, covered[c], -sizes[c]),
        )
        if best not in ranked:
            ranked[best] = rank(points, np.flatnonzero(own == best), centres[best])
        chosen.append(int(ranked[best][given[best]]))
        given[best] += 1
        covered[best] += 1
    return np.array(chosen, dtype=np.int64)


def _sample(count: int, seed: int) -> Indices:
    """All of N indices, or _MOST_CLUSTERED of them at random, rising."""
    if count <= _MOST_CLUSTERED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:_MOST_CLUSTERED])


def _check(descriptors: Floats, k: int) -> None:
    if descriptors.ndim != 2:
        raise ValueError("descriptors must be (N, D) and finite")
    require_finite("descriptors", descriptors)
    if k < 1:
        raise ValueError(f"k must be at least 1: it is {k}")
