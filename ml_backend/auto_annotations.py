"""What "annotate the rest" (see ml_backend.rest) has made, and which of it no person has touched.

Kept under the figures "rest-made", all ids as text:
    {"annotator": user, "version": the newest,
     "annotations": {annotation: updated_at as made},
     "tasks": {task: [annotation, confidence, Task.changed once made, version, user]},
     "drafted": {task: version},      predictions that got a mask beyond what a round gives
     "nothing": {task: version},      predictions without a mask, because the version saw nothing
     "pending": {"as", "version", "tag", "annotator", "tasks": {task: confidence}} or null}
A chunk is written down as pending before Label Studio is told: whoever looks in between, or after
a crash, knows whose annotations these are.

And apart, so that it outlives them, under "rest-account": {user: [the first chunk's time, the last
one's]}, ISO 8601. An empty mask has no region to carry a mark: it is known by these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .label_studio import Annotation, LabelStudio, Task
from .moments import moment
from .store import Store

MADE, SEEN, ACCOUNTS = "rest-made", "rest-seen", "rest-account"
_MARK = "Made by Quorum"
# Label Studio's clock may be another machine's, and its answer may come late.
_MARGIN = timedelta(hours=1)
_READ_AT_ONCE = 500  # tasks whose annotations are read before it is noted what was found


@dataclass(frozen=True)
class Entry:
    """One annotation that was made."""

    annotation: int
    confidence: float  # 1 - share of the pool that the committee was less uncertain of
    changed: str  # Task.changed once it was there, see changed_alone()
    version: str
    annotator: int  # the token's user then


@dataclass
class Made:
    """All that was made; see the module."""

    annotator: int = 0
    version: str = ""
    annotations: dict[int, str] = field(default_factory=dict)
    tasks: dict[int, Entry] = field(default_factory=dict)
    drafted: dict[int, str] = field(default_factory=dict)
    nothing: dict[int, str] = field(default_factory=dict)
    pending: dict[str, Any] | None = None

    @classmethod
    def of(cls, store: Store) -> Made:
        """What a project's store holds. Raises StoreError."""
        return cls.read(store.figures(MADE))

    @classmethod
    def read(cls, figures: Mapping[str, Any]) -> Made:
        """The figures "rest-made"."""
        annotator = int(figures.get("annotator") or 0)

        def entry(one: Any, confidence: Any, changed: Any, version: Any, who: Any = None) -> Entry:
            # An earlier release kept one account for all of them.
            by = annotator if who is None else int(who)
            return Entry(int(one), float(confidence), str(changed), str(version), by)

        def by_id(name: str) -> dict[int, str]:
            return {int(key): str(value) for key, value in figures.get(name, {}).items()}

        return cls(
            annotator,
            str(figures.get("version") or ""),
            by_id("annotations"),
            {int(key): entry(*value) for key, value in figures.get("tasks", {}).items()},
            by_id("drafted"),
            by_id("nothing"),
            figures.get("pending"),
        )

    def keep(self, store: Store) -> None:
        """Write it down. Raises StoreError."""
        tasks = {
            str(key): [e.annotation, e.confidence, e.changed, e.version, e.annotator]
            for key, e in self.tasks.items()
        }
        value = {
            "annotator": self.annotator,
            "version": self.version,
            "annotations": {str(key): value for key, value in self.annotations.items()},
            "tasks": tasks,
            "drafted": {str(key): value for key, value in self.drafted.items()},
            "nothing": {str(key): value for key, value in self.nothing.items()},
            "pending": self.pending,
        }
        store.keep_figures(MADE, value)

    def pending_tasks(self) -> dict[int, float]:
        """Confidence by task of the chunk that is being written."""
        return {int(key): float(v) for key, v in (self.pending or {}).get("tasks", {}).items()}

    def pending_annotator(self) -> int:
        """In whose name the chunk is being written."""
        return int((self.pending or {}).get("annotator") or self.annotator)


def mark(regions: Sequence[Mapping[str, Any]], version: str) -> list[dict[str, Any]]:
    """Regions that say where they come from, as Label Studio shows it beside each of them."""
    text = f"{_MARK} {version}, before any person saw it"
    return [{**region, "meta": {"text": [text]}} for region in regions]


def changed_alone(task: Task) -> str:
    """What to keep as the Task.changed of a task whose annotation was made: "" if it holds others.

    Somebody may have submitted or skipped it meanwhile: while it is as it was then, it is not the
    committee's alone. No task with an annotation has "", so such a one is always read.
    """
    return task.changed if task.annotations + task.skipped == 1 else ""


def note_account(store: Store, annotator: int) -> None:
    """Note that annotations are about to be made in a user's name. Raises StoreError."""
    now, known = datetime.now(timezone.utc).isoformat(), store.figures(ACCOUNTS)
    began = (known.get(str(annotator)) or [now])[0]
    store.keep_figures(ACCOUNTS, {**known, str(annotator): [began, now]})


def figures_of(store: Store) -> dict[str, Any]:
    """The figures "rest-made" and, as "accounts", "rest-account": all that is_unseen() goes by.

    Raises StoreError.
    """
    return {**store.figures(MADE), "accounts": store.figures(ACCOUNTS)}


def is_lost(figures: Mapping[str, Any]) -> bool:
    """Whether annotations were made, and the figures "rest-made" are gone or damaged."""
    return bool(figures.get("accounts")) and "tasks" not in figures


def untouched(figures: Mapping[str, Any]) -> dict[int, str]:
    """Task.changed by task id as the figures "rest-made" have it: where it still is so, nobody
    has touched the annotation that was made."""
    return {task_id: entry.changed for task_id, entry in Made.read(figures).tasks.items()}


def is_unseen(figures: Mapping[str, Any], annotation: Annotation) -> bool:
    """Whether an annotation was made by "annotate the rest" and no person changed it since.

    Should the figures "rest-made" be lost, no mask is taken for a person's: regions carry a mark,
    and an empty mask counts as made if it came in bulk, in the name and at the time that
    "rest-account" notes (see figures_of). Whoever submits in the editor, as the same user too, is
    noted in `edited_by`.
    """
    kept = figures.get("annotations", {}).get(str(annotation.id))
    if kept is not None:
        return bool(kept == annotation.updated_at)
    if annotation.edited_by is not None:
        return False
    return is_marked(annotation) or (not annotation.regions and _of_account(figures, annotation))


def is_marked(annotation: Annotation) -> bool:
    """Whether a region says that "annotate the rest" made it, changed since or not."""
    return _marked_by(annotation.regions) is not None


def marked_version(annotation: Annotation) -> str | None:
    """The version that a region's mark names."""
    return _marked_by(annotation.regions)


def _marked_by(regions: Iterable[Mapping[str, Any]]) -> str | None:
    for region in regions:  # of an import they hold anything: Label Studio asks for a list alone
        meta = region.get("meta") if isinstance(region, Mapping) else None
        text = meta.get("text") if isinstance(meta, Mapping) else None
        for line in text if isinstance(text, list | tuple) else [text]:
            if isinstance(line, str) and line.startswith(_MARK):
                return line.removeprefix(_MARK).partition(",")[0].strip()
    return None


def _of_account(figures: Mapping[str, Any], annotation: Annotation) -> bool:
    """Whether it was made in bulk in the name of a user, and at a time, of "rest-account"."""
    span = figures.get("accounts", {}).get(str(annotation.annotator))
    if not span or annotation.lead_time_s is not None:  # what is drawn in the editor took time
        return False
    try:
        first, last, made = (moment(text) for text in (*span, annotation.created_at))
    except (TypeError, ValueError):  # damaged
        return False
    if first is None or last is None or made is None:
        return False
    return first - _MARGIN <= made <= last + _MARGIN


def auto_tasks(server: LabelStudio, store: Store, project: int, tasks: Sequence[Task]) -> set[int]:
    """Ids of the tasks that hold nothing but what "annotate the rest" made.

    Costs nothing where Task.changed is as kept. Other tasks' annotations are read once, and what
    was found is kept with their new Task.changed; all are, should the figures "rest-made" be lost.
    Raises LabelStudioError, StoreError.
    """
    figures = figures_of(store)
    made, lost = Made.read(figures), is_lost(figures)
    if not made.tasks and not made.pending and not lost:
        return set()
    pending = made.pending_tasks() if (made.pending or {}).get("as") == "annotations" else {}
    seen = store.figures(SEEN)
    auto: set[int] = set()
    unknown: list[Task] = []
    for task in tasks:
        entry, known = made.tasks.get(task.id), seen.get(str(task.id))
        if not task.annotations or (entry is None and task.id not in pending and not lost):
            continue
        if entry is not None and entry.changed == task.changed:
            auto.add(task.id)
        elif known is not None and known[0] == task.changed:
            auto |= {task.id} if known[1] else set()
        else:
            unknown.append(task)
    kept = {key: value for key, value in seen.items() if lost or int(key) in made.tasks}
    for start in range(0, len(unknown), _READ_AT_ONCE):
        part = unknown[start : start + _READ_AT_ONCE]
        others = _others(server, project, figures, made, pending, part)
        auto |= {task.id for task in part if task.id not in others}
        settled = {str(t.id): [t.changed, t.id not in others] for t in part if t.id not in pending}
        if settled:
            kept |= settled
            store.keep_figures(SEEN, kept)
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
            and annotation.annotator == made.pending_annotator()
            and annotation.edited_by is None
        )
        if not ours:
            found.add(annotation.task_id)
    return found
