"""Rounds on a person's word: train, stop, pause, resume, go back, and the project's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..jobs import JobsError
from ..settings import SettingsError, parse_setting, variable_of
from . import history
from .action import ActionError, Done, Field, Scene, form_field

SETTINGS = (
    ("k", "Slices of a batch (k)", "Selected for labelling in each round."),
    ("K", "Most uncertain slices (K)", "The batch is chosen from these; at least k."),
    (
        "target_mean_iou",
        "Target",
        "Held-out mean IoU that its lower bound must reach, 0 to 1. 0: no target.",
    ),
    ("label_budget", "Budget", "Labels that may be spent, evaluation slices too. 0: no budget."),
    (
        "hold_drafts_back",
        "Slices without a draft",
        "Share, 0 to 1, that never gets a draft, to measure whether drafts help.",
    ),
    ("pseudonymous", "Hide names", "People are numbers on this page."),
)
_NUMBERS: Mapping[str, tuple[float, float | None, str]] = {
    "k": (1, None, "1"),
    "K": (1, None, "1"),
    "target_mean_iou": (0, 0.999, "any"),
    "label_budget": (0, None, "1"),
    "hold_drafts_back": (0, 1, "any"),
}
_YES_NO = ({"value": "no", "label": "no"}, {"value": "yes", "label": "yes"})


def train(scene: Scene) -> Done:
    """Ask for a round. Raises JobsError."""
    scene.project.jobs.request_round(scene.project.project_id, force=True)
    return Done("A round was asked for. It begins as soon as a worker is free.")


def stop(scene: Scene) -> Done:
    """End the round that runs. Raises JobsError."""
    scene.project.jobs.cancel(scene.project.project_id)
    return Done("The round ends. None begins by itself for an hour.")


def pause(scene: Scene) -> Done:
    """Let no round begin by itself. Raises StoreError."""
    keep(scene, {"paused": True})
    return Done("Paused: no round begins by itself.")


def resume(scene: Scene) -> Done:
    """Let rounds begin by themselves again. Raises StoreError."""
    keep(scene, {"paused": False})
    _look_soon(scene)
    return Done("Rounds begin by themselves again.")


def roll_back(scene: Scene) -> Done:
    """Ask to draft and order with an older version. Raises ActionError, JobsError."""
    version = scene.values.get("version", "")
    if version not in scene.project.store.versions():
        raise ActionError("there is no such version: choose one that the page lists")
    if version == scene.project.store.current():
        raise ActionError(f"{version} drafts and orders already")
    project = scene.project
    project.jobs.errands.request_rollback(project.project_id, version)
    # A worker that trains now is free for it at once.
    project.jobs.cancel(project.project_id, hold_s=0)
    return Done(f"Going back to {version}. This page shows when it is done.", version)


def change(scene: Scene) -> Done:
    """Keep the settings of the form. Raises ActionError, SettingsError, StoreError."""
    values: dict[str, Any] = {}
    for name, label, _ in SETTINGS:
        text = scene.values.get(name)
        if text is None:
            continue
        text = text.strip()
        if name in _NUMBERS:
            text = text.replace(",", ".")  # 0,85 is how many write it
        try:
            values[name] = parse_setting(name, text) if text else None
        except SettingsError:
            raise ActionError(f"{label}: {text[:40]!r} is no value for it") from None
    changed = keep(scene, values)
    if not changed:
        return Done("Nothing was changed.")
    _look_soon(scene)
    return Done("Kept. A round that runs goes on with what held when it began.", changed)


def _look_soon(scene: Scene) -> None:
    """Ask for a look; what was kept holds without one, and the periodic look follows it."""
    with suppress(JobsError):
        scene.project.jobs.request_look(scene.project.project_id)


def in_words(error: str) -> str:
    """A setting's error with the labels of the form in place of environment variables."""
    for name, label, _ in SETTINGS:
        error = re.sub(rf"\b{variable_of(name)}\b", label, error)
    return error


def keep(scene: Scene, values: Mapping[str, Any]) -> str:
    """Keep settings of the project's own, None for the common one; what changed, in words.

    Raises SettingsError for values that do not fit together: nothing is kept then.
    """
    project = scene.project
    store = project.store
    with history.one_at_a_time(project.jobs, project.project_id):
        own = store.overrides()
        # Unchecked: what fits no longer, since the deployment's changed, must not stay for ever.
        before = {name: own.get(name, getattr(project.common, name)) for name in values}
        for name, value in values.items():
            if value is None:
                own.pop(name, None)
            # A form holds every setting: what is as the deployment's stays the deployment's.
            elif name in own or value != getattr(project.common, name):
                own[name] = value
        after = project.common.of_project(own)
        if own != store.overrides():
            store.keep_overrides(own)
    return ", ".join(
        f"{name}: {before[name]} → {getattr(after, name)}"
        for name in values
        if before[name] != getattr(after, name)
    )


def setting_fields(scene: Scene) -> list[Field]:
    """A field for each setting, with what holds now."""
    settings = scene.project.settings
    fields = []
    for name, label, hint in SETTINGS:
        value = _text(getattr(settings, name))
        if name in _NUMBERS:
            low, high, step = _NUMBERS[name]
            limits = {"min": low, "max": high, "step": step}
            fields.append(form_field(scene, name, label, "number", value, hint, **limits))
        else:
            fields.append(form_field(scene, name, label, "choice", value, hint, options=_YES_NO))
    return fields


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def version_field(scene: Scene) -> list[Field]:
    """Which version: the page fills it in."""
    return [form_field(scene, "version", "Version", "hidden", "")]
