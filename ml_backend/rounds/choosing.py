"""The order of a round: chosen once from the scores of all shards, and kept in its work area."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..figures.next_batch import COLD_START, about_order
from ..learning.strategies import descriptor_type
from ..order import Ids, quantiles
from ..pool import ScoredPool, queue, select, unscored
from ..store import Work
from ..survey import survey
from .artefacts import from_value, to_arrays, to_value
from .begin import SELECTED
from .context import Context, Gathered, artefact
from .graph import descriptors_name, shard_name
from .train import LABELLED

ORDER = "order"


def chosen_order(context: Context, gathered: Gathered, work: Work) -> dict[str, Any]:
    """The order: from the work area if it was chosen already, else chosen and kept there."""
    kept = work.get(ORDER)
    if kept is not None:
        return dict(to_value(kept))
    started = time.time()
    # Read anew: what was labelled while the committee trained is no candidate any more.
    found = survey(context.label_studio, context.project_id, context.settings)
    if gathered.plan.groups:
        shards = [
            to_arrays(artefact(work, shard_name(index)))
            for index in range(len(gathered.plan.shards))
        ]
        pool = ScoredPool.of_scores(shards)
        labelled = None
        if LABELLED in work.names():
            labelled = to_arrays(artefact(work, LABELLED))["descriptors"]
        selected = select(
            found,
            pool,
            context.settings,
            read=lambda ids: _descriptors(work, shards, ids),
            labelled=labelled,
            seed=context.seed(gathered.version),
        )
        described = _descriptors(work, shards, np.array(selected, dtype=np.int64))
        about: dict[str, Any] = {
            "strategy": context.settings.strategy,
            "scored": (pool.task_ids, pool.uncertainty),
            "descriptors": described,
        }
    else:
        about = {"strategy": COLD_START}
        selected, readable = to_value(artefact(work, SELECTED))
        open_now = {task.id for task in found.open_tasks()}
        selected = [task_id for task_id in selected if task_id in open_now]
        pool = unscored(readable)
    tasks = queue(found, pool, selected)
    if gathered.plan.groups:
        # What came during the round is scored before the switch: see extend().
        known = {*pool.task_ids.tolist(), *(p["task_id"] for p in problems_of(gathered, work))}
        tasks = [task for task in tasks if task in known]
    batch = set(selected)
    last = max((rank for rank, task in enumerate(tasks) if task in batch), default=-1) + 1
    chosen = {
        "tasks": tasks,
        "selected": selected,
        "first_free_score": last / len(tasks) if tasks else 0.0,
        "quantiles": quantiles(pool.uncertainty.tolist()) if gathered.plan.groups else [],
        "wanted": tasks[: context.settings.k],
        "next": about_order(tasks, selected, **about),
        # For whoever annotates the rest: the least certain slices come first.
        "uncertainty": _uncertainty(about.get("scored")),
        "select_s": time.time() - started,
    }
    work.put(ORDER, from_value(chosen))
    return chosen


def _uncertainty(scored: tuple[Ids, npt.NDArray[Any]] | None) -> dict[str, list[Any]]:
    if scored is None:
        return {"task_ids": [], "values": []}
    return {
        "task_ids": scored[0].tolist(),
        "values": [float(f"{value:.4g}") for value in scored[1].tolist()],
    }


def _descriptors(
    work: Work, shards: Sequence[Mapping[str, npt.NDArray[Any]]], task_ids: Ids
) -> npt.NDArray[np.floating[Any]]:
    """Descriptors of some tasks, (R, D), read shard by shard: a large pool's do not fit."""
    place = {int(task_id): index for index, task_id in enumerate(task_ids)}
    rows: npt.NDArray[np.floating[Any]] | None = None
    for index, shard in enumerate(shards):
        wanted = [n for n, i in enumerate(shard["task_ids"].tolist()) if i in place]
        if not wanted:
            continue
        found = to_arrays(artefact(work, descriptors_name(index)))["descriptors"][wanted]
        if rows is None:
            kind = descriptor_type(len(task_ids), found.shape[1])
            rows = np.zeros((len(task_ids), found.shape[1]), dtype=kind)
        rows[[place[int(i)] for i in shard["task_ids"][wanted]]] = found
    return np.zeros((0, 1), np.float32) if rows is None else rows


def problems_of(gathered: Gathered, work: Work) -> list[dict[str, Any]]:
    """Tasks that could not be scored, and why."""
    found: list[dict[str, Any]] = []
    for index in range(len(gathered.plan.shards)):
        found += to_value(work.get(f"problems-{index}") or b"[]")
    return found
