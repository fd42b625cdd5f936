"""What a strategy is, what it may look at, and the registry of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """What a strategy may look at: N slices without a label, and what the committee says of each.

    Scores that only one strategy uses may be NaN for the others.
    """

    uncertainty: Floats  # (N,) mean pixel variance over the members
    entropy: Floats  # (N,) mean pixel entropy of the members' mean, nats
    bald: Floats  # (N,) mean pixel mutual information, nats
    mc_dropout: Floats  # (N,) mean pixel variance over one network's dropout passes
    descriptors: Floats  # (N, D)
    shares: Floats  # (N, C) predicted share of each class, background first
    labelled: Floats  # (L, D) descriptors of labelled slices
    foreground: Floats | None = None  # (N,) true foreground share: a simulation alone knows it
    seed: int = 0


Select = Callable[[Candidates, int, int], Indices]


@dataclass(frozen=True)
class Strategy:
    """One way to choose; `select(candidates, K, k)` gives k indices in the order chosen.

    `select` returns min(k, N) indices. It raises ValueError for shapes that do not fit, values it
    uses that are not finite, k < 1, or k > K.
    """

    name: str
    select: Select
    training: Mapping[str, object] = field(default_factory=dict)  # TrainingSettings fields it needs
    note: str = ""  # one line, shown in tables' legends
    uses_labelled: bool = False  # whether Candidates.labelled counts: else it need not be computed


STRATEGIES: dict[str, Strategy] = {}


def strategy(
    name: str,
    note: str,
    training: Mapping[str, object] | None = None,
    uses_labelled: bool = False,
) -> Callable[[Select], Select]:
    """Register a selection under a name, with its arguments checked before it is called.

    The function sees N >= 1 candidates, and 1 <= k <= N, K <= N.
    """

    def register(function: Select) -> Select:
        def select(candidates: Candidates, K: int, k: int) -> Indices:
            check_candidates(candidates, K, k)
            count = len(candidates.uncertainty)
            if count == 0:
                return np.zeros(0, dtype=np.int64)
            return function(candidates, min(K, count), min(k, count)).astype(np.int64)

        STRATEGIES[name] = Strategy(name, select, dict(training or {}), note, uses_labelled)
        return function

    return register


def check_candidates(candidates: Candidates, K: int, k: int) -> None:
    """Raise ValueError for shapes that do not fit or values that every strategy needs finite."""
    check(candidates.uncertainty, candidates.descriptors, K, k)
    count = len(candidates.uncertainty)
    for name in ("entropy", "bald", "mc_dropout", "foreground"):
        values = getattr(candidates, name)
        if values is not None and np.shape(values) != (count,):
            raise ValueError(f"{name} must be (N,) with N = {count}: its shape is {values.shape}")
    if candidates.shares.ndim != 2 or len(candidates.shares) != count:
        raise ValueError(
            f"shares must be (N, C) with N = {count}: their shape is {candidates.shares.shape}"
        )
    labelled, size = candidates.labelled, candidates.descriptors.shape[1]
    if labelled.ndim != 2 or (len(labelled) and count and labelled.shape[1] != size):
        raise ValueError(
            f"labelled must be (L, D) with the candidates' D = {size}: "
            f"their shape is {labelled.shape}"
        )
    require_finite("labelled", labelled)


def check(uncertainty: Floats, descriptors: Floats, K: int, k: int) -> None:
    """Raise ValueError for other shapes, values that are not finite, k < 1, or k > K."""
    if uncertainty.ndim != 1:
        raise ValueError(f"uncertainty must be (N,): its shape is {uncertainty.shape}")
    if descriptors.ndim != 2 or len(descriptors) != len(uncertainty):
        raise ValueError(
            f"descriptors must be (N, D) with N = {len(uncertainty)}: "
            f"their shape is {descriptors.shape}"
        )
    require_finite("uncertainty", uncertainty)
    require_finite("descriptors", descriptors)
    if k < 1:
        raise ValueError(f"k must be at least 1: it is {k}")
    if k > K:
        raise ValueError(f"k must be at most K = {K}: it is {k}")


def require_finite(name: str, values: Floats, remedy: str = "") -> None:
    """Raise ValueError if any of the values is NaN or infinite."""
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite: NaN or infinity found{remedy}")
