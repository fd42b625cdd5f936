"""Choice by descriptors alone: far apart, or typical of the pool."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .ranking import generator_of
from .registry import Candidates, Floats, Indices, require_finite, strategy

Rows = npt.NDArray[np.float32]
Distances = npt.NDArray[np.float64]

_BLOCK = 1024  # rows compared at once: differences of (_BLOCK, D) are all the memory it takes
_MOST_CLUSTERS = 500  # TypiClust's bound
_SMALLEST = 5  # TypiClust's: of fewer slices none is typical, they are outliers
_NEIGHBOURS = 20  # TypiClust's number of nearest neighbours
_MOST_COMPARED = 1000  # slices of one cluster compared each with each: (n, n) distances


def cold_start(descriptors: Floats, k: int) -> Indices:
    """The first k of N slices before any label exists: the medoid, then greedily the farthest.

    Descriptors are (N, D), compared by Euclidean distance. Raises ValueError for other shapes,
    values that are not finite, or k < 1.
    """
    return k_centre(descriptors, k)


def k_centre(descriptors: Floats, k: int, labelled: Floats | None = None) -> Indices:
    """Greedily k of N, each the farthest from the centres so far, by Euclidean distance.

    The first centres are the labelled (L, D), else the medoid, which is then the first chosen
    (Sener and Savarese, ICLR 2018, algorithm 1). Raises ValueError as cold_start().
    """
    _check(descriptors, k)
    count = len(descriptors)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    chosen: list[int] = []
    if labelled is None or len(labelled) == 0:
        middle = descriptors.mean(axis=0, dtype=np.float64)
        chosen.append(int(np.argmin(_squared_from(descriptors, middle))))
        nearest = _squared_from(descriptors, descriptors[chosen[0]])  # (N,)
    else:
        nearest = _squared_to(descriptors, labelled, _nearest_of(descriptors, labelled))
    while len(chosen) < min(k, count):
        nearest[chosen] = -1.0  # copies of a chosen slice are at distance 0: still better
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        np.minimum(nearest, _squared_from(descriptors, descriptors[farthest]), out=nearest)
    return np.array(chosen, dtype=np.int64)


@strategy(
    "k-centre", "greedily the slice farthest from all labelled ones (core-set)", uses_labelled=True
)
def k_centre_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """k_centre() from the labelled slices; uncertainty and K play no part."""
    return k_centre(candidates.descriptors, k, candidates.labelled)


@strategy(
    "typical",
    "the densest slice of each cluster that has no label yet (TypiClust)",
    uses_labelled=True,
)
def typical_strategy(candidates: Candidates, K: int, k: int) -> Indices:
    """typical() with the labelled slices; uncertainty and K play no part."""
    seed = int(generator_of(candidates).integers(2**31))
    return typical(candidates.descriptors, k, seed, candidates.labelled)


def typical(descriptors: Floats, k: int, seed: int, labelled: Floats | None = None) -> Indices:
    """k of N (N, D), each the most typical of its cluster (TypiClust: Hacohen et al., ICML 2022).

    k-means makes k clusters, and one more for each of the labelled (L, D), at most 500. Clusters
    with the fewest labels give first, of those the largest, and those of fewer than 5 slices last;
    of each the slice whose mean distance to its 20 nearest (half the cluster if that is less) is
    least. In a cluster of more than 1,000 only those nearest its centre are compared.
    Raises ValueError as cold_start().
    """
    _check(descriptors, k)
    count = len(descriptors)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    known = np.zeros((0, descriptors.shape[1])) if labelled is None else labelled
    rows = descriptors if len(known) == 0 else np.concatenate([descriptors, known])
    points = (rows - rows.mean(axis=0, dtype=np.float64)).astype(np.float32)
    clusters = min(k + len(known), len(points), _MOST_CLUSTERS)
    assigned, centres = k_means(points, clusters, seed)
    own = assigned[:count]
    covered = np.bincount(assigned[count:], minlength=clusters)
    sizes = np.bincount(own, minlength=clusters)
    open_ = {
        int(c): _by_typicality(points, np.flatnonzero(own == c), centres[c])
        for c in np.flatnonzero(sizes)
    }
    chosen: list[int] = []
    while len(chosen) < min(k, count):
        best = min(open_, key=lambda c: (sizes[c] < _SMALLEST, covered[c], -sizes[c]))
        chosen.append(open_[best].pop(0))
        covered[best] += 1
        if not open_[best]:
            del open_[best]
    return np.array(chosen, dtype=np.int64)


def k_means(
    points: Rows, clusters: int, seed: int, steps: int = 30, restarts: int = 4
) -> tuple[Indices, Rows]:
    """Lloyd's k-means of (N, D), k-means++ starts: each point's cluster (N,), centres (G, D).

    Of the restarts the one with the least sum of squared distances: a single one may leave two
    clusters joined. A cluster may be empty where fewer points differ than there are clusters.
    """
    generator = np.random.default_rng(seed)
    best: tuple[float, Indices, Rows] | None = None
    for _ in range(restarts):
        centres = _far_apart(points, clusters, generator)
        assigned = _nearest_of(points, centres)
        for _ in range(steps):
            centres = _means(points, assigned, centres)
            before, assigned = assigned, _nearest_of(points, centres)
            if np.array_equal(before, assigned):
                break
        cost = float(_squared_to(points, centres, assigned).sum())
        if best is None or cost < best[0]:
            best = cost, assigned, centres
    if best is None:
        raise ValueError(f"restarts must be at least 1: it is {restarts}")
    return best[1], best[2]


def _means(points: Rows, assigned: Indices, centres: Rows) -> Rows:
    """The mean of each cluster's points, (G, D); the centre it had for one without any."""
    total = np.zeros(centres.shape, dtype=np.float64)
    names = np.arange(len(centres))[:, None]  # (G, 1)
    for start in range(0, len(points), _BLOCK):
        part = slice(start, start + _BLOCK)
        total += (names == assigned[part]).astype(np.float32) @ points[part]
    sizes = np.bincount(assigned, minlength=len(centres))[:, None]
    return np.where(sizes > 0, total / np.maximum(sizes, 1), centres).astype(np.float32)


def _far_apart(points: Rows, clusters: int, generator: np.random.Generator) -> Rows:
    """First centres (G, D), drawn by the squared distance to those drawn before.

    k-means++ (Arthur and Vassilvitskii, SODA 2007).
    """
    centres = [points[generator.integers(len(points))]]
    nearest = _squared_from(points, centres[0])
    while len(centres) < clusters:
        weight = nearest if nearest.any() else np.ones(len(points))
        centre = points[generator.choice(len(points), p=weight / weight.sum())]
        centres.append(centre)
        np.minimum(nearest, _squared_from(points, centre), out=nearest)
    return np.stack(centres)


def _by_typicality(points: Rows, members: Indices, centre: Rows) -> list[int]:
    """A cluster's members, the most typical first; those not compared by distance to the centre."""
    order = members[np.argsort(_squared_from(points[members], centre), kind="stable")]
    compared, others = order[:_MOST_COMPARED], order[_MOST_COMPARED:]
    if len(compared) < 2:
        return [int(i) for i in order]
    neighbours = max(1, min(_NEIGHBOURS, len(compared) // 2))
    block = points[compared].astype(np.float64)
    length = np.einsum("nd,nd->n", block, block)
    squared = length[:, None] + length - 2 * block @ block.T  # (n, n)
    np.fill_diagonal(squared, 0.0)
    distance = np.sqrt(np.maximum(squared, 0))
    distance.partition(neighbours, axis=1)  # each one's distance 0 to itself is among the least
    spread = distance[:, : neighbours + 1].sum(axis=1) / neighbours
    ranked = compared[np.argsort(spread, kind="stable")]
    return [int(i) for i in np.concatenate([ranked, others])]


def _squared_from(rows: Floats, point: Floats) -> Distances:
    """Squared Euclidean distance of (N, D) to one (D,): (N,), exact 0 for a copy."""
    squared = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(rows), _BLOCK):
        difference = rows[start : start + _BLOCK] - point
        squared[start : start + _BLOCK] = np.einsum("nd,nd->n", difference, difference)
    return squared


def _squared_to(rows: Floats, others: Floats, which: Indices) -> Distances:
    """Squared Euclidean distance of each of (N, D) to that of (L, D) which (N,) names: (N,)."""
    squared = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        difference = rows[part] - others[which[part]]
        squared[part] = np.einsum("nd,nd->n", difference, difference)
    return squared


def _nearest_of(rows: Floats, others: Floats) -> Indices:
    """Index of the nearest of (L, D) for each of (N, D): (N,)."""
    nearest = np.empty(len(rows), dtype=np.int64)
    half_length = np.einsum("ld,ld->l", others, others) / 2
    for start in range(0, len(rows), _BLOCK):
        # |a - b|² is least where a·b - |b|² / 2 is greatest.
        score = rows[start : start + _BLOCK] @ others.T - half_length
        nearest[start : start + _BLOCK] = np.argmax(score, axis=1)
    return nearest


def _check(descriptors: Floats, k: int) -> None:
    if descriptors.ndim != 2:
        raise ValueError("descriptors must be (N, D) and finite")
    require_finite("descriptors", descriptors)
    if k < 1:
        raise ValueError(f"k must be at least 1: it is {k}")
