"""Tasks that came after the order was made are scored at once, so that it never runs dry."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from ..committees import load
from ..gathering import Problem
from ..label_studio import Task
from ..order import late_score
from ..pool import held_back, prediction, score_pool
from ..survey import Survey
from .context import Context

log = logging.getLogger(__name__)

BARE = "bare"  # noted of a version: what was pushed again as a rank alone


def extend(context: Context, found: Survey, version: str, at_most: int | None = None) -> int:
    """Bring a version's order up to date with the tasks there are; how many joined it.

    Late tasks are placed by their uncertainty, behind the selected batch; slices that are asked
    for to evaluate with come first, other held-out ones last. Raises LabelStudioError,
    TooLittleMemory, or StoreError if the version cannot be read.
    """
    project, store = context.project_id, context.store
    order = store.noted(version, "order")
    known = set(order.get("tasks", []))
    late = [task for task in found.open_tasks() if task.id not in known][:at_most]
    if not late:
        return 0
    # After a crash between pushing and noting they have their predictions already.
    there = context.label_studio.predicted(project, version, [task.id for task in late])
    lacking = [task for task in late if task.id not in there]
    _push(context, found, version, lacking, order)
    joined = [*order.get("tasks", []), *(task.id for task in late)]
    store.note(version, "order", {**order, "tasks": joined})
    return len(late)


def repair(context: Context, found: Survey, version: str) -> int:
    """Push again what Label Studio has lost of a version's predictions; how many.

    As after it was restored from a backup, or the version's predictions were cleaned up.
    Raises as extend() does.
    """
    order = context.store.noted(version, "order")
    ranks = {task_id: rank for rank, task_id in enumerate(order.get("tasks", []))}
    held = [task for task in found.tasks if task.id in ranks]
    # Labelled tasks that lack theirs, as was found before: nobody is served them. Were they
    # expected, each look would list what is there, 200 tasks a call, where one count will do.
    gaps = set(order.get("gaps", []))
    expected = sum(not task.is_labeled or task.id not in gaps for task in held)
    counts = context.label_studio.prediction_counts(context.project_id)
    if counts.get(version, 0) >= expected:
        return 0
    ids = [task.id for task in held]
    there = context.label_studio.predicted(context.project_id, version, ids)
    lacking = [task for task in held if task.id not in there]
    lost = [task for task in lacking if not task.is_labeled]
    first = set(order.get("first", []))
    scores = {task.id: 0.0 if task.id in first else ranks[task.id] / len(ranks) for task in lost}
    # As in the order that was lost, slices far down carry a rank alone.
    drafted = {task.id for task in lost if ranks[task.id] < context.settings.drafts_ahead}
    bare = {task.id for task in lost} - drafted
    if bare:  # before they are: "annotate the rest" may have given them a draft that is lost
        before = context.store.noted(version, BARE).get("tasks", [])
        context.store.note(version, BARE, {"tasks": sorted(bare.union(before))})
    _push(context, found, version, lost, order, scores, drafted)
    found_gaps = [task.id for task in lacking if task.is_labeled]
    if gaps != set(found_gaps):
        context.store.note(version, "order", {**order, "gaps": found_gaps})
    return len(lost)


def bring_forward(context: Context, found: Survey, version: str) -> int:
    """Serve first what is newly asked for to evaluate with, once nothing asked before is; how many.

    Where all that stood first was skipped or deleted, others are asked for in its place. They stand
    behind the whole pool, and without one of them measured no round would ever be due. While some
    stand first none is added: which are asked for changes with each that is labelled.
    Raises LabelStudioError, StoreError.
    """
    order = context.store.noted(version, "order")
    tasks, selected = order.get("tasks", []), set(order.get("selected", []))
    if not selected:  # nothing stands before them but what is asked for
        return 0
    first = {*takewhile(lambda task_id: task_id not in selected, tasks), *order.get("first", [])}
    open_ = [task for task in found.open_tasks() if not task.annotations]
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    if any(task.id in first and out[task.id] and not task.skipped for task in open_):
        return 0
    flags = dict(zip((task.id for task in found.tasks), found.evaluation, strict=True))
    # Others join with their place: see extend().
    known = set(tasks)
    asked = [task.id for task in open_ if flags[task.id] and task.id in known]
    if not asked:
        return 0
    server, project = context.label_studio, context.project_id
    for held in server.held_predictions(project, version, asked):
        server.rescore(project, held, 0.0)
    joined = [*order.get("first", []), *asked]
    context.store.note(version, "order", {**order, "first": joined})
    return len(asked)


def _push(
    context: Context,
    found: Survey,
    version: str,
    tasks: Sequence[Task],
    order: dict[str, Any],
    ranks: dict[int, float] | None = None,
    drafted: set[int] | None = None,
) -> None:
    """`drafted` are those to score and draft, all of them if it is None."""
    if not tasks:
        return
    settings = context.settings
    # Without a draft a task goes last: it must not displace the selected batch.
    scores = {task.id: 1.0 for task in tasks}
    drafts = {}
    if context.store.metadata(version)["training"]:
        committee = load(
            context.store, version, found.config.labels, settings.device, settings.network
        )
        problems: list[Problem] = []
        wanted = [task for task in tasks if drafted is None or task.id in drafted]
        pool = score_pool(
            context.label_studio, committee, wanted, found.config, problems, context.progress
        )
        drafts = {i: draft for i, draft in pool.drafts.items() if not held_back(settings, i)}
        for task_id, value in zip(pool.task_ids.tolist(), pool.uncertainty, strict=True):
            scores[task_id] = late_score(
                float(value), order.get("quantiles", []), order.get("first_free_score", 0.0)
            )
    for task, out, asked in zip(found.tasks, found.held_out, found.evaluation, strict=True):
        if out and task.id in scores:
            scores[task.id] = 0.0 if asked else 1.0
    scores |= ranks or {}
    pushed = context.label_studio.push_predictions(
        context.project_id,
        (prediction(version, t.id, scores[t.id], drafts, found.config) for t in tasks),
        settings.push_chunk,
        settings.push_pause_s,
    )
    if pushed.refused:
        log.warning("project %d: Label Studio refuses %s", context.project_id, pushed.refused)
