"""The first slices, before any label exists: of each depth a middle, or middles and edges."""

from __future__ import annotations

import numpy as np

from .clusters import by_nearness
from .depth_strata import of_each_depth
from .distances import Points, nearest_of, squared_to
from .registry import Floats, Indices
from .spread import check, farthest, from_clusters

_LONE = 2  # a slice that is like no other stands for none


def cold_start(descriptors: Floats, k: int, seed: int = 0, depths: Floats | None = None) -> Indices:
    """The first k of N slices, from descriptors (N, D), compared by Euclidean distance.

    `depths` (N,) are places in a series from 0 to 1, NaN where not known (relative_depths). Of
    those that have one, of_each_depth() chooses their share of k, so that all of an organ is seen;
    of the others middles_and_edges(). docs/benchmarks-choices.md compares them. Raises ValueError
    for other shapes, descriptors that are not finite, or k < 1.
    """
    check(descriptors, k)
    count = len(descriptors)
    depths = np.full(count, np.nan) if depths is None else depths
    if depths.shape != (count,):
        raise ValueError(f"{count} slices need as many depths: their shape is {depths.shape}")
    others = np.flatnonzero(~np.isfinite(depths))
    if len(others) == count:
        return middles_and_edges(descriptors, k, seed)
    k = min(k, count)
    share = round(k * (1 - len(others) / count))
    chosen = of_each_depth(descriptors, depths, share)
    if share == k:
        return chosen
    return np.concatenate([chosen, others[middles_and_edges(descriptors[others], k - share, seed)]])


def middles_and_edges(descriptors: Floats, k: int, seed: int = 0) -> Indices:
    """k of N slices (N, D), of which half stand for the pool and half are its edges.

    Of k / 2 clusters (rounded down, but one) the slice nearest each middle, the largest cluster
    first and slices that are clusters of their own last; then greedily the farthest from all
    chosen, as k_centre(). Edges alone would show what is rare; middles alone leave out what is at
    either end of a part that all slices show. Of a large pool and for large k clusters are made
    as in typical(). Raises ValueError as cold_start().
    """
    check(descriptors, k)
    middles = from_clusters(descriptors, max(1, k // 2), seed, None, by_nearness, smallest=_LONE)
    if len(middles) == 0:
        return middles
    points = Points(descriptors)
    centres = points[middles]
    nearest = squared_to(points, centres, nearest_of(points, centres))
    edges = farthest(points, nearest, min(k, len(points)) - len(middles), middles)
    return np.concatenate([middles, edges])
