"""What every step of a round works with, and what gather left for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import QuorumError
from ..label_studio import LabelStudio
from ..learning.training import TrainingSettings
from ..pool import Progress
from ..settings import Settings
from ..store import DamagedError, Store, StoreError, Work, is_version, number_of
from .artefacts import ArtefactError, to_value
from .graph import Plan

GATHERED = "gathered"

# What decides a round's order, its drafts and its figures, beside what decides its training.
DECIDING = (
    "strategy",
    "K",
    "k",
    "target_mean_iou",
    "label_budget",
    "drafts_ahead",
    "hold_drafts_back",
)


class RoundError(QuorumError, RuntimeError):
    """A round cannot be run; the message says what is missing."""


def silent(step: str, done: int, total: int) -> None:
    """No one watches."""


@dataclass(frozen=True)
class Context:
    """A project, its store, and who watches."""

    settings: Settings  # the project's own already among them
    label_studio: LabelStudio
    project_id: int
    store: Store
    progress: Progress = silent
    workers: int = 1  # how many can train at the same time

    @classmethod
    def of(
        cls,
        settings: Settings,
        label_studio: LabelStudio,
        project_id: int,
        progress: Progress = silent,
        workers: int = 1,
    ) -> Context:
        """The context of a project. Raises SettingsError if what it set for itself is not valid."""
        store = Store(settings.store_root, project_id)
        own = settings.of_project(store.overrides())
        return cls(own, label_studio, project_id, store, progress, workers)

    def seed(self, version: str) -> int:
        """Of everything random in a version."""
        return self.settings.seed + number_of(version)


@dataclass(frozen=True)
class Gathered:
    """What gather decided and read, for the steps behind it."""

    version: str
    values: Mapping[str, Any]

    @property
    def plan(self) -> Plan:
        """The round's steps."""
        return Plan.from_json(self.values["plan"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes but background."""
        return tuple(self.values["labels"])

    def settings(self, now: Settings) -> Settings:
        """`now` with what decides this round as it was when the round began."""
        kept = self.values.get("settings", {})  # none in what an earlier release gathered
        return replace(now, **{name: kept[name] for name in DECIDING if name in kept})

    def training_settings(self, device: str) -> TrainingSettings:
        """As they were when the round began: a setting changed meanwhile waits for the next."""
        known = TrainingSettings.__dataclass_fields__
        kept = {k: v for k, v in self.values["training"].items() if k in known and k != "device"}
        return replace(TrainingSettings(**kept), device=device)


def gathered_of(store: Store, version: str) -> Gathered:
    """What gather left in a version's work area. Raises RoundError if it is gone."""
    content = store.work(version).get(GATHERED)
    if content is None:
        raise RoundError(f"the work of round {version} is gone: it will be begun anew")
    return Gathered(version, to_value(content))


def artefact(work: Work, name: str) -> bytes:
    """An artefact that an earlier step made.

    Raises ArtefactError if it is gone: the round then goes back to that step.
    """
    content = work.get(name)
    if content is None:
        raise ArtefactError(f"'{name}' of the round is gone or damaged: it is made again")
    return content


def metadata_of(store: Store, version: str | None) -> dict[str, Any] | None:
    """A version's metadata, None if there is none; a damaged version counts as none.

    A round must be able to replace what is damaged. Raises StoreError if the store does not answer:
    that says nothing about the version.
    """
    if version is None:
        return None
    try:
        return store.metadata(version)
    except DamagedError:
        return None


def seen_by(metadata: Mapping[str, Any] | None) -> dict[int, tuple[int, str]]:
    """The labels that a version was trained with, for Survey.fresh()."""
    kept: Mapping[str, Any] = (metadata or {}).get("seen", {})
    return {int(task_id): (int(value[0]), str(value[1])) for task_id, value in kept.items()}


def complaints(store: Store) -> list[dict[str, Any]]:
    """What could not be used when labels were last read, each a Problem's task_id and reason."""
    current = store.current()
    if current is None:
        return []
    # Labels that were read since, and made no round.
    kept = store.noted(current, "kept").get("problems")
    return list(store.noted(current, "round").get("problems", []) if kept is None else kept)


def refuse_lost_store(context: Context) -> None:
    """Go on in no empty store if Label Studio follows a version: it was not always empty.

    A round in an empty folder below a lost mount would train anew, and serve a version that is gone
    when the mount is back. Raises StoreError, LabelStudioError.
    """
    if context.store.current() is not None:
        return
    followed = str(context.label_studio.project(context.project_id).get("model_version") or "")
    if is_version(followed):
        raise StoreError(
            f"Label Studio follows {followed}, but the store holds no version: is its folder "
            "mounted, is its address right? If it is lost for good, press Start training"
        )
