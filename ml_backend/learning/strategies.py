"""Which slices to label next: pure functions from scores and descriptors to indices.

Two-stage selection follows Suggestive Annotation (Yang et al., MICCAI 2017, section 2.3): the K
most uncertain slices first, of those the k most diverse, with the seed paper's rule for the second
stage (Computer Systems & Applications 2023, 32(2): 75-82, eq. 1 and 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Strategy = Callable[[Floats, Floats, int, int], Indices]

STRATEGIES: dict[str, Strategy] = {}


def strategy(name: str) -> Callable[[Strategy], Strategy]:
    """Register a strategy: (uncertainty (N,), descriptors (N, D), K, k) → k indices in order."""

    def register(function: Strategy) -> Strategy:
        STRATEGIES[name] = function
        return function

    return register


@strategy("two-stage")
def two_stage(uncertainty: Floats, descriptors: Floats, K: int, k: int) -> Indices:
    """The K most uncertain of (N,), then the k of those most diverse by (N, D) descriptors.

    The first is the most uncertain; each next is the candidate whose highest cosine similarity to
    those already chosen is lowest (eq. 1 and 2), the more uncertain one where that ties.
    Returns k indices in the order chosen, or N if there are fewer; K is cut to N.
    Raises ValueError for other shapes, values that are not finite, k < 1, or k > K.
    """
    uncertainty, descriptors = np.asarray(uncertainty), np.asarray(descriptors)
    _check(uncertainty, descriptors, K, k)
    candidates = most_uncertain(uncertainty, K)  # (C,)
    if len(candidates) == 0:
        return candidates
    directions = _unit_rows(descriptors[candidates])  # (C, D)
    chosen = [0]
    highest = directions @ directions[0]  # (C,) similarity to the most similar one chosen
    while len(chosen) < min(k, len(candidates)):
        open_ = highest.copy()
        open_[chosen] = np.inf
        # argmin takes the first of equals: candidates stand in order of falling uncertainty.
        nearest = int(np.argmin(open_))
        chosen.append(nearest)
        np.maximum(highest, directions @ directions[nearest], out=highest)
    return candidates[chosen]


@strategy("uncertainty")
def uncertainty_only(uncertainty: Floats, descriptors: Floats, K: int, k: int) -> Indices:
    """The k most uncertain of (N,), whatever their likeness; raises as two_stage()."""
    _check(uncertainty, descriptors, K, k)
    return most_uncertain(uncertainty, k)


@strategy("k-centre")
def k_centre(uncertainty: Floats, descriptors: Floats, K: int, k: int) -> Indices:
    """Greedy k-centre (Sener and Savarese, ICLR 2018) over all descriptors, from the medoid.

    Uncertainty and K play no part; raises as two_stage().
    """
    _check(uncertainty, descriptors, K, k)
    return cold_start(descriptors, k)


@strategy("random")
def random(uncertainty: Floats, descriptors: Floats, K: int, k: int) -> Indices:
    """k of N at random, the same for the same pool; raises as two_stage()."""
    _check(uncertainty, descriptors, K, k)
    seed = np.frombuffer(np.ascontiguousarray(uncertainty).tobytes(), dtype=np.uint8).sum()
    return np.random.default_rng(int(seed)).permutation(len(uncertainty))[:k].astype(np.int64)


def most_uncertain(uncertainty: Floats, count: int) -> Indices:
    """Indices of the `count` highest of (N,), falling; of equals the lower index first."""
    return np.argsort(-uncertainty, kind="stable")[:count].astype(np.int64)


def queue_order(uncertainty: Floats, selected: Indices) -> Indices:
    """All N indices: those selected, in their order, then the rest by falling uncertainty."""
    rest = most_uncertain(uncertainty, len(uncertainty))
    return np.concatenate([selected, rest[~np.isin(rest, selected)]]).astype(np.int64)


def cold_start(descriptors: Floats, k: int) -> Indices:
    """The first k of N slices before any label exists: the medoid, then greedily the farthest.

    Descriptors are (N, D), compared by Euclidean distance. Raises ValueError for other shapes,
    values that are not finite, or k < 1.
    """
    if descriptors.ndim != 2 or not np.isfinite(descriptors).all():
        raise ValueError("descriptors must be (N, D) and finite")
    if k < 1:
        raise ValueError(f"k must be at least 1: it is {k}")
    count = len(descriptors)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    chosen = [int(np.argmin(np.linalg.norm(descriptors - descriptors.mean(axis=0), axis=1)))]
    nearest = np.linalg.norm(descriptors - descriptors[chosen[0]], axis=1)  # (N,)
    while len(chosen) < min(k, count):
        nearest[chosen] = -1.0  # copies of a chosen slice are at distance 0: still better
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        distance = np.linalg.norm(descriptors - descriptors[farthest], axis=1)
        np.minimum(nearest, distance, out=nearest)
    return np.array(chosen, dtype=np.int64)


def _unit_rows(descriptors: Floats) -> npt.NDArray[np.float64]:
    rows = descriptors.astype(np.float64)
    # A zero vector has no direction: it is like nothing (similarity 0), and no NaN arises.
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = rows / np.where(lengths == 0, 1.0, lengths)
    return unit


def _check(uncertainty: Floats, descriptors: Floats, K: int, k: int) -> None:
    if uncertainty.ndim != 1:
        raise ValueError(f"uncertainty must be (N,): its shape is {uncertainty.shape}")
    if descriptors.ndim != 2 or len(descriptors) != len(uncertainty):
        raise ValueError(
            f"descriptors must be (N, D) with N = {len(uncertainty)}: "
            f"their shape is {descriptors.shape}"
        )
    if not np.isfinite(uncertainty).all() or not np.isfinite(descriptors).all():
        raise ValueError("uncertainty and descriptors must be finite: NaN or infinity found")
    if k < 1:
        raise ValueError(f"k must be at least 1: it is {k}")
    if k > K:
        raise ValueError(f"k must be at most K = {K}: it is {k}")
