"""What a strategy is, what it may look at, and the registry of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
LooksAt = Literal["nothing", "candidates", "pool"]

_BLOCK = 4096  # rows checked at once
_MOST_SINGLE = 2**28  # numbers kept in single precision (1 GiB): a larger pool's in half of it


@dataclass(frozen=True)
class Candidates:
    """What a strategy may look at: N slices without a label, and what the committee says of each.

    Scores that only one strategy uses may be NaN for the others. Descriptors may be those of R
    slices alone, which `described` names: a million slices' would take 4 GiB.
    """

    uncertainty: Floats  # (N,) mean pixel variance over the members
    entropy: Floats  # (N,) mean pixel entropy of the members' mean, nats
    bald: Floats  # (N,) mean pixel mutual information, nats
    mc_dropout: Floats  # (N,) mean pixel variance over one network's dropout passes
    descriptors: Floats  # (R, D), of all N slices in their order without `described`
    shares: Floats  # (N, C) predicted share of each class, background first
    labelled: Floats  # (L, D) descriptors of labelled slices
    foreground: Floats | None = None  # (N,) true foreground share: a simulation alone knows it
    depths: Floats | None = None  # (N,) place in its series, 0 to 1; NaN or None: not known
    labelled_share: float = 0.0  # of these and the slices with a label, from 0 to 1
    seed: int = 0
    described: Indices | None = None  # (R,) whose descriptors are there

    def rows(self, indices: Indices) -> Floats:
        """Descriptors of some slices, in their order. Raises ValueError if one's is not there."""
        if self.described is None:
            return self.descriptors[indices]
        order = np.argsort(self.described, kind="stable")
        places = np.searchsorted(self.described, indices, sorter=order)
        places = order[np.minimum(places, len(order) - 1)] if len(order) else places[:0]
        if len(places) != len(indices) or not np.array_equal(self.described[places], indices):
            raise ValueError("descriptors of slices that the strategy reads are not there")
        return self.descriptors[places]


Select = Callable[[Candidates, int, int], Indices]
Read = Callable[[Indices], Floats]  # from R indices to their descriptors, (R, D)


@dataclass(frozen=True)
class Strategy:
    """One way to choose; `select(candidates, K, k)` gives k indices in the order chosen.

    `select` returns min(k, N) indices, and reads the descriptors of the slices that `first_stage`
    returns for the same arguments, no others. Both raise ValueError for shapes that do not fit,
    values they use that are not finite, k < 1, or k > K.
    """

    name: str
    select: Select
    first_stage: Select
    training: Mapping[str, object] = field(default_factory=dict)  # TrainingSettings fields it needs
    note: str = ""  # one line, shown in tables' legends
    uses_labelled: bool = False  # whether Candidates.labelled counts: else it need not be computed
    looks_at: LooksAt = "pool"  # whose descriptors it reads; "candidates": those of K slices
    simulation_only: bool = False  # whether it needs what nobody knows of a slice without a label

    def choose(self, candidates: Candidates, K: int, k: int, read: Read) -> Indices:
        """select() of candidates without descriptors, of which only those needed are read.

        Raises as select().
        """
        bare = replace(
            candidates,
            descriptors=np.zeros((0, candidates.labelled.shape[-1]), dtype=np.float32),
            described=np.zeros(0, dtype=np.int64),
        )
        wanted = self.first_stage(bare, K, k)
        if len(wanted) == 0:
            return self.select(bare, K, k)
        described = None if self.looks_at == "pool" else wanted
        return self.select(replace(bare, descriptors=read(wanted), described=described), K, k)


STRATEGIES: dict[str, Strategy] = {}


def strategy(
    name: str,
    note: str,
    training: Mapping[str, object] | None = None,
    uses_labelled: bool = False,
    looks_at: LooksAt = "nothing",
    first_stage: Select | None = None,
    simulation_only: bool = False,
) -> Callable[[Select], Select]:
    """Register a selection under a name, with its arguments checked before it is called.

    The function sees N >= 1 candidates, and 1 <= k <= N, K <= N; so does `first_stage`, which a
    strategy that looks at candidates alone must name.
    """

    def whose(candidates: Candidates, K: int, k: int) -> Indices:
        if looks_at == "candidates" and first_stage is not None:
            return first_stage(candidates, K, k)
        return np.arange(len(candidates.uncertainty) if looks_at == "pool" else 0)

    def checked(function: Select) -> Select:
        def run(candidates: Candidates, K: int, k: int) -> Indices:
            check_candidates(candidates, K, k)
            count = len(candidates.uncertainty)
            if count == 0:
                return np.zeros(0, dtype=np.int64)
            return function(candidates, min(K, count), min(k, count)).astype(np.int64)

        return run

    def register(function: Select) -> Select:
        def select(candidates: Candidates, K: int, k: int) -> Indices:
            if looks_at == "pool" and candidates.described is not None:
                raise ValueError(f"{name} reads the whole pool's descriptors: give all of them")
            return function(candidates, K, k)

        STRATEGIES[name] = Strategy(
            name,
            checked(select),
            checked(whose),
            dict(training or {}),
            note,
            uses_labelled,
            looks_at,
            simulation_only,
        )
        return function

    return register


def descriptor_type(count: int, size: int) -> np.dtype[Any]:
    """How (count, size) descriptors of a pool are best kept: float16 where float32 takes > 1 GiB.

    Strategies reckon in single precision either way.
    """
    return np.dtype(np.float32 if count * size <= _MOST_SINGLE else np.float16)


def check_candidates(candidates: Candidates, K: int, k: int) -> None:
    """Raise ValueError for shapes that do not fit or values that every strategy needs finite."""
    described, count = candidates.described, len(candidates.uncertainty)
    check(candidates.uncertainty, candidates.descriptors, K, k, described)
    for name in ("entropy", "bald", "mc_dropout", "foreground", "depths"):
        values = getattr(candidates, name)
        if values is not None and np.shape(values) != (count,):
            raise ValueError(f"{name} must be (N,) with N = {count}: its shape is {values.shape}")
    if candidates.shares.ndim != 2 or len(candidates.shares) != count:
        raise ValueError(
            f"shares must be (N, C) with N = {count}: their shape is {candidates.shares.shape}"
        )
    if not 0 <= candidates.labelled_share <= 1:
        raise ValueError(f"labelled_share must be 0 to 1: it is {candidates.labelled_share}")
    labelled, (known, size) = candidates.labelled, candidates.descriptors.shape
    if labelled.ndim != 2 or (len(labelled) and known and labelled.shape[1] != size):
        raise ValueError(
            f"labelled must be (L, D) with the candidates' D = {size}: "
            f"their shape is {labelled.shape}"
        )
    require_finite("labelled", labelled)


def check(
    uncertainty: Floats, descriptors: Floats, K: int, k: int, described: Indices | None = None
) -> None:
    """Raise ValueError for other shapes, values that are not finite, k < 1, or k > K."""
    if uncertainty.ndim != 1:
        raise ValueError(f"uncertainty must be (N,): its shape is {uncertainty.shape}")
    count = len(uncertainty) if described is None else len(described)
    if descriptors.ndim != 2 or len(descriptors) != count:
        size = f"(N, D) with N = {count}" if described is None else f"(R, D) with R = {count}"
        raise ValueError(f"descriptors must be {size}: their shape is {descriptors.shape}")
    require_finite("uncertainty", uncertainty)
    require_finite("descriptors", descriptors)
    if k < 1:
        raise ValueError(f"k must be at least 1: it is {k}")
    if k > K:
        raise ValueError(f"k must be at most K = {K}: it is {k}")


def require_finite(name: str, values: Floats, remedy: str = "") -> None:
    """Raise ValueError if any of the values is NaN or infinite; in blocks, to save memory."""
    for start in range(0, len(values), _BLOCK):
        if not np.isfinite(values[start : start + _BLOCK]).all():
            raise ValueError(f"{name} must be finite: NaN or infinity found{remedy}")
