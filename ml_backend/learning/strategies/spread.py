"""Choice by descriptors alone: far apart, typical of the pool, or the middles of its clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .clusters import by_typicality, k_means
from .distances import Distances, Points, Rows, mean_of, nearest_of, squared_from, squared_to
from .ranking import generator_of
from .registry import Candidates, Floats, Indices, require_finite, strategy

_MOST_CLUSTERS = 500  # TypiClust's bound
_SMALLEST = 5  # TypiClust's: of fewer slices none is typical, they are outliers
_MOST_CLUSTERED = 20_000  # slices that k-means looks at; of a larger pool so many at random


def k_centre(descriptors: Floats, k: int, labelled: Floats | None = None) -> Indices:
    """Greedily k of N, each the farthest from the centres so far, by Euclidean distance.

    The first centres are the labelled (L, D), else the medoid, which is then the first chosen
    (Sener and Savarese, ICLR 2018, algorithm 1). Takes about 2 (k + L) N D operations, and besides
    the descriptors memory for N distances alone. Raises ValueError for other
    shapes, values that are not finite, or k < 1.
    """
    check(descriptors, k)
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
    return np.concatenate([first, farthest(points, nearest, min(k, count) - len(first), first)])


def farthest(points: Points, nearest: Distances, count: int, taken: Indices) -> Indices:
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
    return from_clusters(descriptors, k, seed, labelled, by_typicality, smallest=_SMALLEST)


def from_clusters(
    descriptors: Floats,
    k: int,
    seed: int,
    labelled: Floats | None,
    rank: Callable[[Points, Indices, Rows], Indices],
    smallest: int,
) -> Indices:
    """k of N: cluster by cluster the next by `rank`, those of fewer than `smallest` slices last."""
    check(descriptors, k)
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


def check(descriptors: Floats, k: int) -> None:
    if descriptors.ndim != 2:
        raise ValueError("descriptors must be (N, D) and finite")
    require_finite("descriptors", descriptors)
    if k < 1:
        raise ValueError(f"k must be at least 1: it is {k}")
