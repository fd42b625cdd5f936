"""The first step: read what is labelled, name the version, and plan what is to be done for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ..auto_annotations import figures_of, is_unseen
from ..caches.labels import LabelCache
from ..committees import recipe, training_settings
from ..gathering import LabelledSet, Problem, Unread, gather
from ..label_studio import Task
from ..learning.sample import evenly
from ..learning.training_set import TrainingSet
from ..store import Store, number_of
from ..survey import Survey, remembered, survey
from .artefacts import from_arrays, from_labelled, from_value
from .context import (
    DECIDING,
    GATHERED,
    Context,
    RoundError,
    metadata_of,
    refuse_lost_store,
    seen_by,
)
from .crowd import crowd
from .first_batch import MOST_LOOKED_AT, choose_first_batch
from .graph import Plan, grouped, marked, sharded
from .naming import version_of

TRAINING, EVALUATION, POOL, SELECTED = "training", "evaluation", "pool", "selected"


def begin(context: Context, force: bool = False, anew: bool | None = None) -> str | None:
    """Gather a project's labels and plan a round; the version it makes, None if there is none to.

    Before any usable label the version is an order alone. Repeated, it finds the same version and
    leaves what was done for it. `anew` allows to begin in a store that has lost its versions, as
    `force` does unless it is told otherwise. Raises LabelStudioError, MaskError, StoreError, or
    RoundError if training is forced without any label.
    """
    settings, gathered_at = context.settings, _now()
    context.progress("gather", 0, 0)
    if not (force if anew is None else anew):
        refuse_lost_store(context)
    found = survey(context.label_studio, context.project_id, context.settings)
    found = remembered(found, context.label_studio, context.settings)
    if not found.tasks:
        return None
    problems: list[Problem] = []
    cache = LabelCache(
        settings.data_dir / "cache",
        settings.label_studio_url,
        context.project_id,
        settings.cache_mib * 2**20,
    )
    cache.forget_others([task.id for task in found.tasks if task.annotations])
    training, evaluation = (
        _labelled(context, found, side, problems, cache) for side in (False, True)
    )
    about = {
        "gathered_at": gathered_at,
        "labels": list(found.config.labels),
        "held_out_unit": found.held_out_unit,
        "seen": {str(task_id): list(value) for task_id, value in found.seen().items()},
        "image_key": found.config.image_key,
        "settings": {name: getattr(settings, name) for name in DECIDING},
    }
    if training.task_ids:
        return _plan_training(context, found, training, evaluation, about, problems)
    if _is_served(context, found):
        _refuse_unread(problems, {task.id for task in found.labelled(held_out=False)})
    if force and context.store.current() is not None:
        raise RoundError(
            "no usable label outside the held-out set: label more slices, then start training"
        )
    return _plan_order(context, found, about, problems)


def _labelled(
    context: Context, found: Survey, held_out: bool, problems: list[Problem], cache: LabelCache
) -> LabelledSet:
    settings, store = context.settings, context.store
    current = store.current()
    # As the last round found them: to find them again first would read everything twice.
    weighed = store.noted(current, "readers").get("weights", {}) if current else {}
    tasks = found.labelled(held_out)
    return gather(
        context.label_studio,
        found.project_id,
        tasks,
        found.config,
        problems,
        settings.consensus,
        {int(reader): float(weight) for reader, weight in weighed.items()},
        # A committee that learnt from its own masks would only grow surer of its mistakes.
        leave_out=partial(is_unseen, figures_of(store)),
        cache=cache,
        # Drafts are held against labels at their own sizes, but members see no more than a square.
        side_px=training_settings(settings).side_px if tasks and not held_out else None,
    )


def _plan_training(
    context: Context,
    found: Survey,
    training: LabelledSet,
    evaluation: LabelledSet,
    about: Mapping[str, Any],
    problems: Sequence[Problem],
) -> str | None:
    settings, store = context.settings, context.store
    chosen = recipe(settings, found.config.labels)
    version, made_of = version_of(store, [training.fingerprint, evaluation.fingerprint, chosen])
    if version == store.current() and store.noted(version, "order"):
        known = seen_by(store.noted(version, "kept") or metadata_of(store, version))
        _refuse_unread(problems, {i for i, seen in found.seen().items() if known.get(i) != seen})
        # What seemed to have changed has not: it must not call for a round again.
        seen = {str(task_id): list(value) for task_id, value in found.seen().items()}
        told = [asdict(problem) for problem in problems]
        store.note(version, "kept", {"seen": seen, "problems": told})
        return None
    learn = training_settings(settings)
    tasks = found.open_tasks()
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    free = [task.id for task in tasks if task.annotations == 0 and not out[task.id]]
    unlabelled = evenly(free, MOST_LOOKED_AT)
    shards = sharded([task.id for task in tasks], settings.shard_slices)
    plan = Plan(
        version,
        grouped(settings.members, context.workers),
        shards,
        encoder=learn.start == "encoder",
        further=learn.semi_supervised and bool(unlabelled),
        marks=marked(shards),
    )
    work = store.work(version)
    work.put(POOL, from_value(_addresses(tasks, found)))
    pieces = TrainingSet.of(
        training.images, training.label_maps, found.config.labels, learn, training.groups
    )
    work.put(TRAINING, from_arrays(pieces.arrays()))
    work.put(EVALUATION, from_labelled(evaluation))
    values = {
        **about,
        "fingerprint": made_of,
        "plan": plan.as_json(),
        "training": chosen,
        "in_channels": pieces.in_channels,
        "training_tasks": training.task_ids,
        "evaluation_tasks": evaluation.task_ids,
        "unlabelled": unlabelled,
        "problems": [asdict(problem) for problem in problems],
        "crowd": crowd(settings, (training, evaluation)),
    }
    _begun(store, version, values)
    return version


def _is_served(context: Context, found: Survey) -> bool:
    """Whether annotators have an order of this project's classes, whatever becomes of the round."""
    metadata = metadata_of(context.store, context.store.current())
    return metadata is not None and tuple(metadata["labels"]) == found.config.labels


def _refuse_unread(problems: Sequence[Problem], wanted: Set[int]) -> None:
    """Begin no round that would be done with these slices' labels without having read them.

    Raises RoundError: the next one comes by itself, each time twice as late.
    """
    unread = [each for each in problems if isinstance(each, Unread) and each.task_id in wanted]
    if unread:
        count = "a slice" if len(unread) == 1 else f"{len(unread)} slices"
        raise RoundError(
            f"the pictures of {count} cannot be read, of task {unread[0].task_id} because "
            f"{unread[0].reason}"
        )


def _begun(store: Store, version: str, values: Mapping[str, Any]) -> None:
    """Keep what was gathered, the last to be written: without it the round has not begun.

    What rounds of other labels left that failed or were stopped is of no use to this one; each
    holds all training images, and rounds that fail for days would fill the disk.
    """
    store.work(version).put(GATHERED, from_value(values))
    for other in store.works():
        # A later one is of a round that another worker may have begun already.
        if other != version and number_of(other) <= number_of(version):
            store.work(other).clear()


def _plan_order(
    context: Context, found: Survey, about: Mapping[str, Any], problems: list[Problem]
) -> str | None:
    """Before any label: evaluation slices first, then the first batch, without drafts."""
    store = context.store
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    candidates = [task for task in found.open_tasks() if not out[task.id]]
    version, made_of = version_of(
        store, ["order", list(found.config.labels), [task.id for task in found.open_tasks()]]
    )
    if version == store.current() and store.noted(version, "order"):
        return None
    depths = dict(zip((task.id for task in found.tasks), found.depths().tolist(), strict=True))
    selected, readable = choose_first_batch(context, candidates, found.config, problems, depths)
    if not readable:
        _refuse_unread(problems, {task.id for task in candidates})
    work = store.work(version)
    work.put(SELECTED, from_value([selected, readable]))
    values = {
        **about,
        "fingerprint": made_of,
        "plan": Plan(version, [], []).as_json(),
        "training": {},
        "training_tasks": [],
        "evaluation_tasks": [],
        "unlabelled": [],
        "problems": [asdict(problem) for problem in problems],
        "crowd": {},
    }
    _begun(store, version, values)
    return version


def _addresses(tasks: Sequence[Task], found: Survey) -> dict[str, Any]:
    """Where the pool's images are: all that scoring needs of a task."""
    return {str(task.id): task.data.get(found.config.image_key) for task in tasks}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
