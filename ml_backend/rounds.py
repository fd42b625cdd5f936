"""One round: gather → train → evaluate → publish → score → select → reorder.

Every step can be run again: a version is named after the annotations it was trained on, so a round
that died after training finds its version in the store, and predictions pushed twice change
nothing. The switch to the new version is the last step, so a half-made round never shows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import numpy as np

from .committees import load, recipe, training_settings
from .label_studio import LabelStudio, Task
from .learning.committee import Committee, train_committee
from .learning.geometry import thumbnails
from .learning.metrics import Counts, confusion, mean_iou_by, report
from .learning.self_supervision import describe, train_encoder
from .learning.stopping import decide
from .learning.strategies import STRATEGIES, cold_start
from .order import late_score, quantiles, rank_scores
from .pool import Progress, ScoredPool, predictions, queue, score_pool, select, unscored
from .settings import Settings
from .store import Store, number_of
from .survey import Grey, LabelledSet, Problem, Survey, fingerprint, gather, read_images, survey

# Slices that self- and semi-supervision look at: more cost memory and bring little.
_UNLABELLED = 2000


class RoundError(RuntimeError):
    """A round cannot be run; the message says what is missing."""


def _silent(step: str, done: int, total: int) -> None:
    """No one watches."""


def run_round(
    settings: Settings,
    label_studio: LabelStudio,
    project_id: int,
    *,
    force: bool = False,
    progress: Progress = _silent,
) -> dict[str, Any]:
    """Bring a project up to date; what was done, as JSON-able values with a key "did".

    "trained": a new version. "ordered": the first order, before any label. "extended": tasks
    imported since were scored and queued. "nothing": neither was due (see Survey.due; `force`
    trains whatever the count).

    Raises LabelStudioError, MaskError, StoreError, or RoundError if forced without any label.
    """
    store = Store(settings.store_dir, project_id)
    progress("gather", 0, 0)
    found = survey(label_studio, project_id, settings)
    store.keep_sides(found.division.sides)
    current = store.current()
    trained = store.metadata(current)["training_tasks"] if current else []
    if force or found.due(trained, settings):
        return _train_and_order(settings, label_studio, store, found, progress)
    if current is None:
        return _first_order(settings, label_studio, store, found, progress)
    return _extend(settings, label_studio, store, found, current, progress)


def _train_and_order(
    settings: Settings, label_studio: LabelStudio, store: Store, found: Survey, progress: Progress
) -> dict[str, Any]:
    problems: list[Problem] = []
    training, evaluation = (
        gather(
            label_studio,
            found.project_id,
            found.labelled(side),
            found.config,
            problems,
            settings.consensus,
        )
        for side in (False, True)
    )
    if not training.task_ids:
        raise RoundError(
            "no usable label outside the held-out set: label more slices, then start training"
        )
    started = time.perf_counter()
    version, committee = _trained(
        settings, label_studio, store, found, training, evaluation, problems, progress
    )
    trained = time.perf_counter()
    pool = score_pool(
        label_studio,
        committee,
        found.open_tasks(),
        found.config,
        problems,
        progress,
        seed=settings.seed + number_of(version),
    )
    scored = time.perf_counter()
    labelled = None
    if STRATEGIES[settings.strategy].uses_labelled:
        labelled = np.stack([score.descriptor for score in committee.score(training.images)])
    selected = select(found, pool, settings, labelled)
    chosen = time.perf_counter()
    order = queue(found, pool, selected)
    _push_order(settings, label_studio, store, found, version, order, selected, pool, progress)
    outcome = {
        "did": "trained",
        "version": version,
        "labelled": len(training.task_ids),
        "evaluated_on": len(evaluation.task_ids),
        "held_out_unit": found.held_out_unit,
        "quality": store.metadata(version)["quality"],
        "wanted": [task.id for task in order[: settings.k]],
        "train_s": trained - started,
        "score_s": scored - trained,
        "select_s": chosen - scored,
        "reorder_s": time.perf_counter() - chosen,
        "problems": [asdict(problem) for problem in problems],
    }
    store.note(version, "round", outcome)
    return outcome


def _trained(
    settings: Settings,
    label_studio: LabelStudio,
    store: Store,
    found: Survey,
    training: LabelledSet,
    evaluation: LabelledSet,
    problems: list[Problem],
    progress: Progress,
) -> tuple[str, Committee]:
    """The version for these labels: from the store if it is there, else trained and published."""
    labels = found.config.labels
    chosen = recipe(settings, labels)
    version = store.name_for(fingerprint([training.fingerprint, evaluation.fingerprint, chosen]))
    if version in store.versions():
        return version, load(store, version, labels, settings.device)
    chosen_settings = training_settings(settings)
    unlabelled: list[Grey] = []
    if chosen_settings.semi_supervised or chosen_settings.start == "encoder":
        others = [task for task in found.open_tasks() if task.annotations == 0]
        read = read_images(label_studio, others[:_UNLABELLED], found.config, problems)
        unlabelled = [image for _, image in read]
    committee = train_committee(
        training.images,
        training.label_maps,
        labels,
        chosen_settings,
        seed=settings.seed + number_of(version),
        on_progress=lambda done, total: progress("train", done, total),
        groups=training.groups,
        unlabelled=unlabelled,
    )
    progress("evaluate", 0, len(evaluation.task_ids))
    counts = evaluate(committee, evaluation)
    # By patient where there are several: slices of one are no independent values.
    by = evaluation.groups if len(set(evaluation.groups)) > 1 else evaluation.task_ids
    decision = decide(
        list(mean_iou_by([str(group) for group in by], counts).values()),
        len(training.task_ids) + len(evaluation.task_ids),
        target=settings.target_mean_iou or None,
        budget=settings.label_budget or None,
    )
    metadata = {
        "version": version,
        "labels": list(labels),
        "training": chosen,
        "training_tasks": training.task_ids,
        "evaluation_tasks": evaluation.task_ids,
        "held_out_unit": found.held_out_unit,
        "quality": report(sum(counts[1:], counts[0]), committee.class_names) if counts else None,
        "stopping": decision.figures(),
        "published_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    store.publish(version, committee.state(), metadata)
    return version, committee


def evaluate(committee: Committee, evaluation: LabelledSet) -> list[Counts]:
    """The confusion matrix, (C, C), of the committee's draft of each held-out slice."""
    classes = len(committee.class_names) + 1
    scores = committee.score(evaluation.images)
    return [
        confusion(label_map, scored.draft, classes)
        for label_map, scored in zip(evaluation.label_maps, scores, strict=True)
    ]


def _first_order(
    settings: Settings, label_studio: LabelStudio, store: Store, found: Survey, progress: Progress
) -> dict[str, Any]:
    """Before any label: evaluation slices first, then a diverse first batch, without drafts."""
    problems: list[Problem] = []
    if not found.tasks:
        return {"did": "nothing", "problems": []}
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    candidates = [task for task in found.open_tasks() if not out[task.id]]
    read = list(read_images(label_studio, candidates, found.config, problems))
    selected: list[int] = []
    if read:
        images = [image for _, image in read]
        if settings.cold_start == "encoder":
            progress("encode", 0, len(images))
            features = describe(train_encoder(images, training_settings(settings)), images)
        else:
            features = thumbnails(images)
        selected = [read[index][0].id for index in cold_start(features, settings.k)]
    tasks = [task for task, _ in read]
    pool = unscored(tasks)
    order = queue(found, pool, selected)
    version = store.name_for(fingerprint(["order", [task.id for task in order]]))
    metadata: dict[str, Any] = {
        "version": version,
        "labels": list(found.config.labels),
        "training": {},
        "training_tasks": [],
        "evaluation_tasks": [],
        "held_out_unit": found.held_out_unit,
        "quality": None,
        "published_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    store.publish(version, [], metadata)
    _push_order(settings, label_studio, store, found, version, order, selected, pool, progress)
    return {
        "did": "ordered",
        "version": version,
        "wanted": [task.id for task in order[: settings.k]],
        "problems": [asdict(problem) for problem in problems],
    }


def _push_order(
    settings: Settings,
    label_studio: LabelStudio,
    store: Store,
    found: Survey,
    version: str,
    order: Sequence[Task],
    selected: Sequence[int],
    pool: ScoredPool,
    progress: Progress,
) -> None:
    """Push drafts and scores, the first to be served first; then switch to the version."""
    drafts = {} if not pool.drafts else pool.draft_of()
    scores = rank_scores(len(order))
    chunk = settings.push_chunk
    for start in range(0, len(order), chunk):
        # Encoded a chunk at a time: full masks of a large pool do not fit in memory.
        part = slice(start, start + chunk)
        label_studio.push_predictions(
            found.project_id,
            predictions(version, order[part], scores[part], drafts, found.config),
            chunk,
            settings.push_pause_s,
        )
        progress("push", min(start + chunk, len(order)), len(order))
    ranks = {task.id: rank for rank, task in enumerate(order)}
    last = max((ranks[i] for i in selected if i in ranks), default=-1) + 1
    store.note(
        version,
        "order",
        {
            "tasks": [task.id for task in order],
            "first_free_score": last / len(order) if order else 0.0,
            "quantiles": quantiles(pool.uncertainty.tolist()) if drafts else [],
        },
    )
    if order:
        label_studio.serve_order_of(found.project_id, version)
    store.point_to(version)


def _extend(
    settings: Settings,
    label_studio: LabelStudio,
    store: Store,
    found: Survey,
    current: str,
    progress: Progress,
) -> dict[str, Any]:
    """Score tasks that came after the order was made, so that the queue never runs dry."""
    order = store.noted(current, "order")
    known = set(order.get("tasks", []))
    late = [task for task in found.open_tasks() if task.id not in known]
    if not late:
        return {"did": "nothing", "problems": []}
    problems: list[Problem] = []
    drafts = {}
    scores = {task.id: 1.0 for task in late}
    if store.metadata(current)["training"]:
        committee = load(store, current, found.config.labels, settings.device)
        pool = score_pool(label_studio, committee, late, found.config, problems, progress)
        drafts = pool.draft_of()
        for task, value in zip(pool.tasks, pool.uncertainty, strict=True):
            scores[task.id] = late_score(
                float(value), order.get("quantiles", []), order.get("first_free_score", 0.0)
            )
    pushed = predictions(current, late, [scores[task.id] for task in late], drafts, found.config)
    label_studio.push_predictions(
        found.project_id, pushed, settings.push_chunk, settings.push_pause_s
    )
    label_studio.serve_order_of(found.project_id, current)
    store.note(
        current, "order", {**order, "tasks": [*order.get("tasks", []), *(task.id for task in late)]}
    )
    return {
        "did": "extended",
        "version": current,
        "added": len(late),
        "problems": [asdict(problem) for problem in problems],
    }
