"""The labelling order: what is selected, what follows it, and the scores that say so.

Label Studio's "Uncertainty sampling" serves ascending scores within [0, 1], so a task's score is
its rank divided by the number of tasks. Everything is an array over the project's N tasks in the
order of their ids: an object a task would take more memory than all of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .learning.strategies import Candidates, Strategy, most_uncertain

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]

_BY_SLICE = ("uncertainty", "entropy", "bald", "mc_dropout", "shares", "foreground", "depths")

# Points of the uncertainty distribution that a version keeps to place slices that come later.
_QUANTILES = np.linspace(0.0, 1.0, 101)


def select_ids(
    strategy: Strategy,
    task_ids: Ids,
    selectable: Flags,
    candidates: Candidates,
    K: int,
    k: int,
    read: Callable[[Ids], Floats],
) -> Ids:
    """Ids of the tasks selected for labelling, in order.

    `selectable` (N,) are the scored slices that are open, without any annotation, not skipped and
    not held out; what `candidates` say of others is not looked at, nor are its descriptors:
    `read` gives those of the slices at R positions, (R, D), and is asked only for what the
    strategy needs. Raises as Strategy.select().
    """
    open_ = np.flatnonzero(selectable)
    if len(open_) == 0:
        return np.zeros(0, dtype=np.int64)
    columns = {
        name: values[open_]
        for name in _BY_SLICE
        if (values := getattr(candidates, name)) is not None
    }
    # Of a small pool the first stage keeps half: if it kept all, uncertainty would decide nothing.
    kept = max(k, min(K, len(open_) // 2))
    chosen = strategy.choose(
        replace(candidates, **columns),
        kept,
        k,
        lambda which: read(open_[which]),
    )
    return task_ids[open_[chosen]]


def queue_positions(
    task_ids: Ids,
    *,
    open_: Flags,
    wanted: Flags,
    held_out: Flags,
    uncertainty: Floats,
    selected: Sequence[int] | Ids,
) -> Ids:
    """Ids of all open tasks in the order they are to be served.

    Those `wanted` for evaluation come first (the score depends on them), then the `selected`
    batch (ids; those no longer open are passed over), then the rest of the pool by falling
    uncertainty, then held-out slices that nobody needs to label, then those without a score: NaN,
    for their image cannot be read. Of equals the one that stands first.
    """
    count = len(task_ids)
    scored = ~np.isnan(uncertainty)
    group = np.where(scored, np.where(held_out, 3, 2), 4)
    rank = np.zeros(count, dtype=np.int64)  # within the group
    rank[most_uncertain(np.where(scored, uncertainty, -np.inf), count)] = np.arange(count)
    rank[~scored] = 0
    batch, found = _places(task_ids, list(dict.fromkeys(map(int, selected))))
    batch = batch[found]
    group[batch], rank[batch] = 1, np.arange(len(batch))
    group[wanted], rank[wanted] = 0, 0
    served = np.lexsort((rank, group))
    ordered: Ids = task_ids[served[open_[served]]]
    return ordered


def over_all(task_ids: Ids, scored_ids: Sequence[int] | Ids, values: Floats) -> Floats:
    """What is known of some tasks as a row for each of N, (N, ...): NaN for all others.

    Ids that are no longer among the N are passed over.
    """
    rows = np.full((len(task_ids), *values.shape[1:]), np.nan, dtype=np.float64)
    places, found = _places(task_ids, scored_ids)
    rows[places[found]] = values[found]
    return rows


def _places(task_ids: Ids, ids: Sequence[int] | Ids) -> tuple[Ids, Flags]:
    """Where some ids stand among N: a place each, and whether the id is there at all."""
    named = np.asarray(ids, dtype=np.int64)
    if len(task_ids) == 0:
        return np.zeros(len(named), dtype=np.int64), np.zeros(len(named), dtype=bool)
    order = np.argsort(task_ids, kind="stable")
    places = np.searchsorted(task_ids, named, sorter=order)
    places = order[np.minimum(places, len(order) - 1)]
    return places, task_ids[places] == named


def rank_scores(count: int) -> list[float]:
    """Scores of `count` tasks that are to be served in the order given: 0 first, below 1."""
    return [rank / count for rank in range(count)]


def quantiles(uncertainty: Sequence[float] | Floats) -> list[float]:
    """101 quantiles of a pool's uncertainty, for late_score(); none for an empty pool."""
    if not len(uncertainty):
        return []
    return [float(q) for q in np.quantile(np.asarray(uncertainty, dtype=float), _QUANTILES)]


def late_score(uncertainty: float, pool_quantiles: Sequence[float], first: float) -> float:
    """Score of a slice that was not in the pool when the order was made.

    It is placed by its uncertainty among the pool's, but never before `first`, the score where
    the selected batch ends.
    """
    if not pool_quantiles:
        return 1.0
    below = float(np.searchsorted(np.asarray(pool_quantiles), uncertainty)) / len(pool_quantiles)
    return min(1.0, max(0.0, first + (1.0 - first) * (1.0 - below)))
