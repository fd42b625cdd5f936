"""The order of a round: chosen once from the scores of all shards, and kept in its work area."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..figures.next_batch import COLD_START, about_order
from ..gathering import fingerprint
from ..learning.strategies import descriptor_type
from ..order import Ids, quantiles
from ..pool import ScoredPool, queue, select, unscored
from ..store import Work
from ..survey import survey
from .artefacts import from_value, to_arrays, to_value
from .begin import SELECTED
from .context import Context, Gathered, artefact
from .graph import descriptors_name, problems_name, shard_name
from .train import LABELLED

ORDER = "order"


def chosen_order(context: Context, gathered: Gathered, work: Work) -> dict[str, Any]:
    """The order: from the work area if it was chosen already, else chosen and kept there."""
    plan = gathered.plan
    chosen_of = fingerprint([list(plan.marks), gathered.values.get("settings")])
    kept = work.get(ORDER)
    if kept is not None:
        order = dict(to_value(kept))
        # Begun again, a round may have other slices and settings. But an order that is being
        # pushed stays, for ranks of two do not go together; what came since is put behind it.
        if order.get("of", chosen_of) == chosen_of or _is_pushed(context, gathered.version):
            return order
    started = time.time()
    # Read anew: what was labelled while the committee trained is no candidate any more.
    found = survey(context.label_studio, context.project_id, context.settings)
    if plan.groups:
        shards = [
            to_arrays(artefact(work, shard_name(plan, index))) for index in range(len(plan.shards))
        ]
        pool = ScoredPool.of_scores(shards)
        labelled = None
        if LABELLED in work.names():
            labelled = to_arrays(artefact(work, LABELLED))["descriptors"]
        selected = select(
            found,
            pool,
            context.settings,
            read=lambda ids: _descriptors(work, gathered, shards, ids),
            labelled=labelled,
            seed=context.seed(gathered.version),
        )
        described = _descriptors(work, gathered, shards, np.array(selected, dtype=np.int64))
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
        pool = unscored(readable, context.seed(gathered.version))
    tasks = queue(found, pool, selected)
    if plan.groups:
        # What came during the round is scored before the switch: see extend().
        known = {*pool.task_ids.tolist(), *(p["task_id"] for p in problems_of(gathered, work))}
        tasks = [task for task in tasks if task in known]
    batch = set(selected)
    last = max((rank for rank, task in enumerate(tasks) if task in batch), default=-1) + 1
    chosen = {
        "of": chosen_of,
        "tasks": tasks,
        "selected": selected,
        "first_free_score": last / len(tasks) if tasks else 0.0,
        "quantiles": quantiles(pool.uncertainty.tolist()) if plan.groups else [],
        "wanted": tasks[: context.settings.k],
        "next": about_order(tasks, selected, **about),
        # For whoever annotates the rest: the least certain slices come first.
        "uncertainty": _uncertainty(about.get("scored")),
        "select_s": time.time() - started,
    }
    work.put(ORDER, from_value(chosen))
    return chosen


def _is_pushed(context: Context, version: str) -> bool:
    """Whether Label Studio holds something of the version's order."""
    return context.label_studio.prediction_counts(context.project_id).get(version, 0) > 0


def _uncertainty(scored: tuple[Ids, npt.NDArray[Any]] | None) -> dict[str, list[Any]]:
    if scored is None:
        return {"task_ids": [], "values": []}
    return {
        "task_ids": scored[0].tolist(),
        "values": [float(f"{value:.4g}") for value in scored[1].tolist()],
    }


def _descriptors(
    work: Work,
    gathered: Gathered,
    shards: Sequence[Mapping[str, npt.NDArray[Any]]],
    task_ids: Ids,
) -> npt.NDArray[np.floating[Any]]:
    """Descriptors of some tasks, (R, D), read shard by shard: a large pool's do not fit."""
    plan = gathered.plan
    place = {int(task_id): index for index, task_id in enumerate(task_ids)}
    rows: npt.NDArray[np.floating[Any]] | None = None
    for index, shard in enumerate(shards):
        wanted = [n for n, i in enumerate(shard["task_ids"].tolist()) if i in place]
        if not wanted:
            continue
        found = to_arrays(artefact(work, descriptors_name(plan, index)))["descriptors"][wanted]
        if rows is None:
            kind = descriptor_type(len(task_ids), found.shape[1])
            rows = np.zeros((len(task_ids), found.shape[1]), dtype=kind)
        rows[[place[int(i)] for i in shard["task_ids"][wanted]]] = found
    return np.zeros((0, 1), np.float32) if rows is None else rows


def problems_of(gathered: Gathered, work: Work) -> list[dict[str, Any]]:
    """Tasks that could not be scored, and why."""
    plan = gathered.plan
    found: list[dict[str, Any]] = []
    for index in range(len(plan.shards)):
        found += to_value(work.get(problems_name(plan, index)) or b"[]")
    return found
