"""What "annotate the rest" (see ml_backend.rest) has made, and which of it no person has touched.

Kept under the figures "rest-made", all ids as text:
    {"annotator": user, "version": the newest,
     "annotations": {annotation: updated_at as made},
     "tasks": {task: [annotation, confidence, Task.changed once made, version]},
     "drafted": {task: version},      predictions that got a mask beyond what a round gives
     "pending": {"as", "version", "tag", "tasks": {task: confidence}} or null}
A chunk is written down as pending before Label Studio is told: whoever looks in between, or after
a crash, knows whose annotations these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .label_studio import Annotation, LabelStudio, Task
from .store import Store

MADE, SEEN = "rest-made", "rest-seen"
_MARK = "Made by Quorum"


@dataclass(frozen=True)
class Entry:
    """One annotation that was made."""

    annotation: int
    confidence: float  # 1 - share of the pool that the committee was less uncertain of
    changed: str  # Task.changed once it was there
    version: str


@dataclass
class Made:
    """All that was made; see the module."""

    annotator: int = 0
    version: str = ""
    annotations: dict[int, str] = field(default_factory=dict)
    tasks: dict[int, Entry] = field(default_factory=dict)
    drafted: dict[int, str] = field(default_factory=dict)
    pending: dict[str, Any] | None = None

    @classmethod
    def of(cls, store: Store) -> Made:
        """What a project's store holds. Raises StoreError."""
        return cls.read(store.figures(MADE))

    @classmethod
    def read(cls, figures: Mapping[str, Any]) -> Made:
        """The figures "rest-made"."""
        return cls(
            int(figures.get("annotator") or 0),
            str(figures.get("version") or ""),
            {int(key): str(value) for key, value in figures.get("annotations", {}).items()},
            {
                int(key): Entry(int(one), float(confidence), str(changed), str(version))
                for key, (one, confidence, changed, version) in figures.get("tasks", {}).items()
            },
            {int(key): str(value) for key, value in figures.get("drafted", {}).items()},
            figures.get("pending"),
        )

    def keep(self, store: Store) -> None:
        """Write it down. Raises StoreError."""
        tasks = {
            str(key): [e.annotation, e.confidence, e.changed, e.version]
            for key, e in self.tasks.items()
        }
        value = {
            "annotator": self.annotator,
            "version": self.version,
            "annotations": {str(key): value for key, value in self.annotations.items()},
            "tasks": tasks,
            "drafted": {str(key): value for key, value in self.drafted.items()},
            "pending": self.pending,
        }
        store.keep_figures(MADE, value)

    def pending_tasks(self) -> dict[int, float]:
        """Confidence by task of the chunk that is being written."""
        return {int(key): float(v) for key, v in (self.pending or {}).get("tasks", {}).items()}


def mark(regions: Sequence[Mapping[str, Any]], version: str) -> list[dict[str, Any]]:
    """Regions that say where they come from, as Label Studio shows it beside each of them."""
    text = f"{_MARK} {version}, before any person saw it"
    return [{**region, "meta": {"text": [text]}} for region in regions]


def untouched(figures: Mapping[str, Any]) -> dict[int, str]:
    """Task.changed by task id as the figures "rest-made" have it: where it still is so, nobody
    has touched the annotation that was made."""
    return {task_id: entry.changed for task_id, entry in Made.read(figures).tasks.items()}


def is_unseen(figures: Mapping[str, Any], annotation: Annotation) -> bool:
    """Whether an annotation was made by "annotate the rest" and no person changed it since.

    Regions carry a mark too: should the figures be lost, no mask is taken for a person's.
    """
    kept = figures.get("annotations", {}).get(str(annotation.id))
    if kept is not None:
        return bool(kept == annotation.updated_at)
    return annotation.edited_by is None and _marked(annotation.regions)


def _marked(regions: Iterable[Mapping[str, Any]]) -> bool:
    for region in regions:
        text = (region.get("meta") or {}).get("text") or []
        if any(str(line).startswith(_MARK) for line in ([text] if isinstance(text, str) else text)):
            return True
    return False


def auto_tasks(server: LabelStudio, store: Store, project: int, tasks: Sequence[Task]) -> set[int]:
    """Ids of the tasks that hold nothing but what "annotate the rest" made.

    Costs nothing where Task.changed is as kept. Other tasks' annotations are read once, and what
    was found is kept with their new Task.changed. Raises LabelStudioError, StoreError.
    """
    figures = store.figures(MADE)
    made = Made.read(figures)
    if not made.tasks and not made.pending:
        return set()
    pending = made.pending_tasks() if (made.pending or {}).get("as") == "annotations" else {}
    seen = store.figures(SEEN)
    auto: set[int] = set()
    unknown: list[Task] = []
    for task in tasks:
        entry, known = made.tasks.get(task.id), seen.get(str(task.id))
        if not task.annotations or (entry is None and task.id not in pending):
            continue
        if entry is not None and entry.changed == task.changed:
            auto.add(task.id)
        elif known is not None and known[0] == task.changed:
            auto |= {task.id} if known[1] else set()
        else:
            unknown.append(task)
    if not unknown:
        return auto
    others = _others(server, project, figures, made, pending, unknown)
    auto |= {task.id for task in unknown if task.id not in others}
    settled = {str(t.id): [t.changed, t.id not in others] for t in unknown if t.id not in pending}
    if settled:
        there = {str(task_id) for task_id in made.tasks}
        kept = {key: value for key, value in seen.items() if key in there}
        store.keep_figures(SEEN, {**kept, **settled})
    return auto


def _others(
    server: LabelStudio,
    project: int,
    figures: Mapping[str, Any],
    made: Made,
    pending: Mapping[int, float],
    tasks: Sequence[Task],
) -> set[int]:
    """Ids of those tasks that hold an annotation which a person made or changed."""
    found = set()
    for annotation in server.annotations(project, [task.id for task in tasks]):
        ours = is_unseen(figures, annotation) or (
            annotation.task_id in pending
            and annotation.annotator == made.annotator
            and annotation.edited_by is None
        )
        if not ours:
            found.add(annotation.task_id)
    return found
