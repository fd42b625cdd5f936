"""The first step: read what is labelled, name the version, and plan what is to be done for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from typing import Any

import numpy as np

from ..auto_annotations import figures_of, is_unseen
from ..committees import recipe, training_settings
from ..gathering import LabelledSet, Problem, fingerprint, gather, read_images
from ..label_cache import LabelCache
from ..label_studio import Task
from ..learning.geometry import thumbnails
from ..learning.self_supervision import describe, train_encoder
from ..learning.strategies import cold_start
from ..learning.training_set import TrainingSet
from ..readers import adjudicate, readings, suspects, table, weights
from ..store import Store, StoreError, number_of
from ..survey import Survey, survey
from .artefacts import from_arrays, from_labelled, from_value
from .context import GATHERED, Context, RoundError, metadata_of, refuse_lost_store
from .graph import Plan, grouped, sharded

# Slices that self- and semi-supervision look at: more cost memory and bring little.
_UNLABELLED = 2000

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
    context.store.keep_sides(found.division.sides)
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
    }
    if training.task_ids:
        return _plan_training(context, found, training, evaluation, about, problems)
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
    return gather(
        context.label_studio,
        found.project_id,
        found.labelled(held_out),
        found.config,
        problems,
        settings.consensus,
        {int(reader): float(weight) for reader, weight in weighed.items()},
        # A committee that learnt from its own masks would only grow surer of its mistakes.
        leave_out=partial(is_unseen, figures_of(store)),
        cache=cache,
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
    made_of = [training.fingerprint, evaluation.fingerprint, chosen]
    version = store.name_for(fingerprint(made_of))
    if version == store.current() and not _can_be_read(store, version):
        # Versions never change: a damaged one is replaced by another of the same labels.
        version = store.name_for(fingerprint([*made_of, "instead of", version]))
    if version == store.current() and store.noted(version, "order"):
        # What seemed to have changed has not: it must not call for a round again.
        seen = {str(task_id): list(value) for task_id, value in found.seen().items()}
        store.note(version, "kept", {"seen": seen})
        return None
    learn = training_settings(settings)
    tasks = found.open_tasks()
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    free = [task.id for task in tasks if task.annotations == 0 and not out[task.id]]
    # Evenly spread: the first ones would be those of few patients.
    spread = np.linspace(0, len(free) - 1, min(len(free), _UNLABELLED)).round().astype(int)
    unlabelled = [free[index] for index in spread]
    plan = Plan(
        version,
        grouped(settings.members, context.workers),
        sharded([task.id for task in tasks], settings.shard_slices),
        encoder=learn.start == "encoder",
        further=learn.semi_supervised and bool(unlabelled),
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
        "plan": plan.as_json(),
        "training": chosen,
        "training_tasks": training.task_ids,
        "evaluation_tasks": evaluation.task_ids,
        "unlabelled": unlabelled,
        "problems": [asdict(problem) for problem in problems],
        "crowd": _crowd(context, found, (training, evaluation)),
    }
    _begun(store, version, values)
    return version


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


def _crowd(context: Context, found: Survey, sets: Sequence[LabelledSet]) -> dict[str, Any]:
    """How far annotators agree, who stands out, and which slices a reviewer should see."""
    settings, classes = context.settings, len(found.config.labels) + 1
    targets = {task_id: target for each in sets for task_id, target in each.targets.items()}
    read = [
        readings(target.by_annotator, classes, target.label_map if target.ground_truth else None)
        for target in targets.values()
    ]
    suspected = suspects(read)
    disagreement = {
        task_id: target.disagreement
        for task_id, target in targets.items()
        if len(target.by_annotator) > 1
    }
    found_out = {
        "readers": [asdict(reader) for reader in table(read).values()],
        "suspects": [asdict(suspect) for suspect in suspected],
        "weights": {
            str(who): weight for who, weight in weights(suspected, settings.suspect_weight).items()
        },
        "disagreement": {str(task_id): value for task_id, value in disagreement.items()},
        "adjudicate": adjudicate(disagreement, settings.adjudicate_above),
    }
    return dict(_without_nan(found_out))


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and value != value else value


def _plan_order(
    context: Context, found: Survey, about: Mapping[str, Any], problems: list[Problem]
) -> str | None:
    """Before any label: evaluation slices first, then a diverse first batch, without drafts."""
    settings, store = context.settings, context.store
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    candidates = [task for task in found.open_tasks() if not out[task.id]]
    version = store.name_for(
        fingerprint(["order", list(found.config.labels), [task.id for task in found.open_tasks()]])
    )
    readable = version != store.current() or metadata_of(store, version) is not None
    if version == store.current() and readable and store.noted(version, "order"):
        return None
    if not readable:
        version = store.name_for(fingerprint(["order", "instead of", version]))
    read = list(read_images(context.label_studio, candidates, found.config, problems))
    selected: list[int] = []
    if read:
        images = [image for _, image in read]
        if settings.cold_start == "encoder":
            context.progress("encode", 0, len(images))
            features = describe(train_encoder(images, training_settings(settings)), images)
        else:
            features = thumbnails(images)
        selected = [read[index][0].id for index in cold_start(features, settings.k)]
    work = store.work(version)
    work.put(SELECTED, from_value([selected, [task.id for task, _ in read]]))
    values = {
        **about,
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


def _can_be_read(store: Store, version: str) -> bool:
    try:
        store.metadata(version)
        store.states(version)
    except StoreError:
        return False
    return True


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
