"""k-means, and which members of a cluster are typical of it."""

from __future__ import annotations

import numpy as np

from .distances import _BLOCK, Points, Rows, nearest_of, squared_from, squared_to
from .registry import Indices

_NEIGHBOURS = 20  # TypiClust's number of nearest neighbours
_MOST_COMPARED = 1000  # slices of one cluster compared each with each: (n, n) distances


def k_means(
    rows: Rows, clusters: int, seed: int, steps: int = 30, restarts: int = 4
) -> tuple[Indices, Rows]:
    """Lloyd's k-means of (N, D), k-means++ starts: each point's cluster (N,), centres (G, D).

    Of the restarts the one with the least sum of squared distances: a single one may leave two
    clusters joined. A cluster may be empty where fewer points differ than there are clusters.
    Takes at most restarts * steps * 4 N G D operations.
    """
    generator = np.random.default_rng(seed)
    points = Points(rows)
    best: tuple[float, Indices, Rows] | None = None
    for _ in range(restarts):
        centres = _far_apart(points, clusters, generator)
        assigned = nearest_of(points, centres)
        for _ in range(steps):
            centres = _means(points, assigned, centres)
            before, assigned = assigned, nearest_of(points, centres)
            if np.array_equal(before, assigned):
                break
        cost = float(squared_to(points, centres, assigned).sum())
        if best is None or cost < best[0]:
            best = cost, assigned, centres
    if best is None:
        raise ValueError(f"restarts must be at least 1: it is {restarts}")
    return best[1], best[2]


def _means(points: Points, assigned: Indices, centres: Rows) -> Rows:
    """The mean of each cluster's points, (G, D); the centre it had for one without any."""
    total = np.zeros(centres.shape, dtype=np.float64)
    names = np.arange(len(centres))[:, None]  # (G, 1)
    for start in range(0, len(points), _BLOCK):
        part = slice(start, start + _BLOCK)
        total += (names == assigned[part]).astype(np.float32) @ points[part]
    sizes = np.bincount(assigned, minlength=len(centres))[:, None]
    return np.where(sizes > 0, total / np.maximum(sizes, 1), centres).astype(np.float32)


def _far_apart(points: Points, clusters: int, generator: np.random.Generator) -> Rows:
    """First centres (G, D), drawn by the squared distance to those drawn before.

    k-means++ (Arthur and Vassilvitskii, SODA 2007).
    """
    centres = [points[int(generator.integers(len(points)))]]
    nearest = squared_from(points, centres[0])
    while len(centres) < clusters:
        weight = nearest if nearest.any() else np.ones(len(points))
        centre = points[int(generator.choice(len(points), p=weight / weight.sum()))]
        centres.append(centre)
        np.minimum(nearest, squared_from(points, centre), out=nearest)
    return np.stack(centres)


def by_nearness(points: Points, members: Indices, centre: Rows) -> Indices:
    """A cluster's members, the nearest to its centre first."""
    return members[np.argsort(squared_from(points, centre, members), kind="stable")]


def by_typicality(points: Points, members: Indices, centre: Rows) -> Indices:
    """A cluster's members, the most typical first; those not compared by distance to the centre.

    Typical is a small mean distance to the 20 nearest (half the cluster if that is less), among
    the 1,000 nearest to the centre.
    """
    order = by_nearness(points, members, centre)
    compared, others = order[:_MOST_COMPARED], order[_MOST_COMPARED:]
    if len(compared) < 2:
        return order
    neighbours = max(1, min(_NEIGHBOURS, len(compared) // 2))
    block = points[compared].astype(np.float64)
    length = np.einsum("nd,nd->n", block, block)
    squared = length[:, None] + length - 2 * block @ block.T  # (n, n)
    np.fill_diagonal(squared, 0.0)
    distance = np.sqrt(np.maximum(squared, 0))
    distance.partition(neighbours, axis=1)  # each one's distance 0 to itself is among the least
    spread = distance[:, : neighbours + 1].sum(axis=1) / neighbours
    ranked = compared[np.argsort(spread, kind="stable")]
    return np.concatenate([ranked, others])
