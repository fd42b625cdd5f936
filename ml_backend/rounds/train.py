"""Steps that learn: the encoder, the members, and the version made of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

import numpy as np
from safetensors.torch import load, save
from torch import Tensor

from ..gathering import Grey, Problem, read_images, reduced
from ..label_studio import Task
from ..learning.committee import (
    Committee,
    member_from_state,
    member_state,
    train_members,
    train_members_further,
)
from ..learning.self_supervision import train_encoder
from ..learning.stopping import decide
from ..learning.strategies import STRATEGIES
from ..learning.training_set import TrainingSet
from ..masks import BrushConfig
from .artefacts import from_arrays, to_arrays, to_labelled, to_value
from .begin import EVALUATION, POOL, TRAINING
from .context import Context, Gathered, artefact
from .evaluate import evaluate
from .graph import ENCODER, final_name, member_name

LABELLED = "labelled"


def encode(context: Context, gathered: Gathered, index: int) -> None:
    """Train the encoder that all members start from, on labelled and unlabelled slices."""
    work = context.store.work(gathered.version)
    training = _training(context, gathered)
    images: list[Grey] = [*training.squares, *_unlabelled(context, gathered)]
    context.progress("encode", 0, len(images))
    settings = gathered.training_settings(context.settings.device)
    encoder = train_encoder(
        images,
        settings,
        context.seed(gathered.version),
        in_channels=3 if training.squares.ndim == 4 else 1,
    )
    work.put(ENCODER, save(member_state(encoder)))


def train(context: Context, gathered: Gathered, index: int) -> None:
    """Train the members of one group from scratch, together on one copy of the data."""
    work = context.store.work(gathered.version)
    # Of a group that died half-way only what lacks is trained again: each is kept as it is ready.
    there = work.names()
    lacking = [m for m in gathered.plan.groups[index] if member_name(m) not in there]
    encoder: Mapping[str, Tensor] | None = (
        load(artefact(work, ENCODER)) if gathered.plan.encoder else None
    )
    train_members(
        _training(context, gathered),
        lacking,
        gathered.training_settings(context.settings.device),
        context.seed(gathered.version),
        on_progress=lambda done, total: context.progress("train", done, total),
        encoder=encoder,
        on_trained=lambda number, member: work.put(member_name(number), save(member_state(member))),
    )


def further(context: Context, gathered: Gathered, index: int) -> None:
    """Train the members of one group on, with what the whole committee agrees on."""
    work = context.store.work(gathered.version)
    settings = gathered.training_settings(context.settings.device)
    training = _training(context, gathered)
    members = [
        member_from_state(
            load(artefact(work, member_name(number))),
            gathered.labels,
            settings,
            training.in_channels,
        )
        for number in gathered.plan.members
    ]
    there = work.names()
    lacking = [m for m in gathered.plan.groups[index] if final_name(m) not in there]
    train_members_further(
        training,
        members,
        lacking,
        _unlabelled(context, gathered),
        settings,
        context.seed(gathered.version),
        on_progress=lambda done, total: context.progress("train", done, total),
        on_trained=lambda number, member: work.put(final_name(number), save(member_state(member))),
    )


def publish(context: Context, gathered: Gathered, index: int) -> None:
    """Evaluate the committee on the held-out slices, and put the version into the store."""
    store, plan, version = context.store, gathered.plan, gathered.version
    work = store.work(version)
    values = gathered.values
    metadata = {
        "version": version,
        "fingerprint": values.get("fingerprint"),  # none if an earlier release began the round
        **{
            name: values[name]
            for name in (
                "labels",
                "training",
                "training_tasks",
                "evaluation_tasks",
                "held_out_unit",
                "seen",
                "gathered_at",
            )
        },
        "in_channels": values.get("in_channels"),
        "quality": None,
        "published_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    if not plan.groups:
        store.publish(version, [], metadata)
        return
    name = final_name if plan.further else member_name
    states = [load(artefact(work, name(member))) for member in plan.members]
    settings = gathered.training_settings(context.settings.device)
    committee = Committee.from_state(states, gathered.labels, settings, values.get("in_channels"))
    evaluation = to_labelled(artefact(work, EVALUATION))
    context.progress("evaluate", 0, len(evaluation.task_ids))
    measured = evaluate(committee, evaluation)
    decision = decide(
        measured.of_patients(evaluation, values["held_out_unit"]),
        len(values["training_tasks"]) + len(evaluation.task_ids),
        target=context.settings.target_mean_iou or None,
        budget=context.settings.label_budget or None,
    )
    if STRATEGIES[context.settings.strategy].uses_labelled:
        squares = list(_training(context, gathered).squares)
        descriptors = np.stack([scored.descriptor for scored in committee.score(squares)])
        # From a slice that the network gives no number for nothing can be kept away.
        known = descriptors[np.isfinite(descriptors).all(axis=1)].astype(np.float32)
        work.put(LABELLED, from_arrays({"descriptors": known}))
    metadata["quality"] = measured.quality(committee.class_names)
    metadata["stopping"] = decision.figures()
    store.publish(version, states, metadata)


def _training(context: Context, gathered: Gathered) -> TrainingSet:
    content = artefact(context.store.work(gathered.version), TRAINING)
    return TrainingSet.from_arrays(to_arrays(content), gathered.labels)


def _unlabelled(context: Context, gathered: Gathered) -> list[Grey]:
    problems: list[Problem] = []
    tasks = tasks_of(context, gathered, gathered.values["unlabelled"])
    config = config_of(gathered)
    side_px = gathered.training_settings(context.settings.device).side_px
    read = read_images(context.label_studio, tasks, config, problems)
    return [reduced(image, side_px) for _, image in read]


def tasks_of(context: Context, gathered: Gathered, task_ids: list[int]) -> list[Task]:
    """The tasks of some ids, with their images' addresses as gather read them."""
    addresses = to_value(artefact(context.store.work(gathered.version), POOL))
    key = gathered.values["image_key"]
    return [Task(i, {key: addresses.get(str(i))}, False, 0, 0) for i in task_ids]


def config_of(gathered: Gathered) -> BrushConfig:
    """What reading images needs of the label config."""
    return BrushConfig("", "", gathered.values["image_key"], gathered.labels)
