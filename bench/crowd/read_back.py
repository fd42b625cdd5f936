"""What Label Studio and the store hold when a crowd has stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml_backend.label_studio import LabelStudio
from ml_backend.moments import moment
from ml_backend.settings import Settings
from ml_backend.store import Store
from ml_backend.survey import survey

from .recording import Published, Recording, Stored


def read_back(
    server: LabelStudio, settings: Settings, store: Store, project_id: int, recording: Recording
) -> None:
    """Add to a recording every annotation, every version, and what is held out.

    Raises LabelStudioError, StoreError.
    """
    found = survey(server, project_id, settings)
    recording.held_out = [
        task.id for task, out in zip(found.tasks, found.held_out, strict=True) if out
    ]
    labelled = [task.id for task in found.tasks if task.annotations > 0]
    recording.stored = [
        Stored(a.annotator, a.task_id, _moment(a.created_at))
        for a in server.annotations(project_id, labelled)
    ]
    recording.published = [_published(store, version) for version in store.versions()]


def _published(store: Store, version: str) -> Published:
    metadata = store.metadata(version)
    order, outcome = store.noted(version, "order"), store.noted(version, "round")
    # A round that was still under way when the crowd stopped has left no outcome yet.
    gathered = outcome.get("gathered_at") or metadata.get("gathered_at")
    problems: Sequence[Mapping[str, Any]] = outcome.get("problems", [])
    return Published(
        version=version,
        tasks=order.get("tasks", []),
        made=made(order),
        selected=selected(order),
        gathered_at=_moment(gathered or metadata["published_at"]),
        training_tasks=metadata["training_tasks"],
        evaluation_tasks=metadata["evaluation_tasks"],
        complaints=sorted({int(problem["task_id"]) for problem in problems}),
    )


def selected(order: Mapping[str, Any]) -> list[int]:
    """The selected batch of an order, without the evaluation slices before it."""
    chosen: list[int] = order.get("selected", [])
    return chosen


def made(order: Mapping[str, Any]) -> int:
    """How many tasks an order had when it was made: late ones were added at its end.

    `first_free_score` is the place behind the selected batch, divided by that number.
    """
    tasks, chosen = order.get("tasks", []), set(selected(order))
    last = max((place for place, task in enumerate(tasks) if task in chosen), default=-1) + 1
    first_free = float(order.get("first_free_score", 0.0))
    return round(last / first_free) if last and first_free else len(tasks)


def _moment(text: str) -> float:
    when = moment(text)
    if when is None:
        raise ValueError(f"no moment: {text!r}")
    return when.timestamp()
