"""Taking back what "annotate the rest" made, and nothing that a person has changed since."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from ..auto_annotations import Made, figures_of, is_unseen
from ..errors import QuorumError
from ..label_studio import Task
from ..moments import moment
from ..pool import Progress
from ..rounds.context import Context, silent
from .chunks import CHUNK, rest, settle
from .recovery import still_there, what_was_made
from .report import Report
from .tabs import show_review


def undo_rest(context: Context, on_progress: Progress = silent) -> dict[str, Any]:
    """Remove the annotations that nobody has touched, and empty the drafts again; figures "rest".

    Annotations that a person has changed, or is drawing on, stay and are counted as "touched".
    Interrupted, it goes on when it is called again. Slices that are open again take their place in
    the order at the next look. `on_progress` is told of what is taken back alone. Raises
    LabelStudioError, StoreError, kept as the figures' error.
    """
    report = Report.read(context.store)
    report.touched, report.problems, report.done, report.undoes = 0, [], 0, True
    report.end("undoing")
    try:
        made = what_was_made(context)
        settle(context, made)
        ids = sorted(made.tasks)
        drafted = sorted(made.drafted)
        report.total = len(ids) + len(drafted)
        parts = [(_unannotate, ids), (_undraft, drafted)]
        for undo, every in parts:
            for start in range(0, len(every), CHUNK):
                part = every[start : start + CHUNK]
                started, before = time.monotonic(), _left(made)
                report.touched += undo(context, made, part)
                made.keep(context.store)
                report.done += len(part)
                report.keep()
                if _left(made) < before:
                    on_progress("undo", report.done, report.total)
                rest(context, time.monotonic() - started)
        made.nothing.clear()
        made.keep(context.store)
    except QuorumError as error:
        report.end("failed", str(error))
        raise
    show_review(context)
    return report.end("undone")


def _left(made: Made) -> int:
    return len(made.tasks) + len(made.drafted)


def _unannotate(context: Context, made: Made, task_ids: list[int]) -> int:
    """How many of some annotations stay because a person has touched them."""
    server, project = context.label_studio, context.project_id
    every = list(server.tasks_of(project, task_ids))
    uncounted = still_there(context, made, [task.id for task in every if not task.annotations])
    there = {task.id: task for task in every if task.annotations or task.id in uncounted}
    ours, shared = _unseen(context, made, list(there.values()))
    for annotator in {made.tasks[task_id].annotator for task_id in ours}:
        its = [task_id for task_id in ours if made.tasks[task_id].annotator == annotator]
        until = max(_moment(there[task_id].changed) for task_id in its)
        server.remove_annotations(project, its, annotator, until)
    for task_id in shared:  # a person's stands beside it, perhaps of the same user
        server.remove_annotation(made.tasks[task_id].annotation)
    left = {task.id for task in server.tasks_of(project, ours) if task.annotations}
    stay = (there.keys() - set(shared) - set(ours)) | left
    for task_id in task_ids:
        if task_id not in stay:
            made.annotations.pop(made.tasks.pop(task_id).annotation, None)
    return len(stay)


def _unseen(context: Context, made: Made, tasks: list[Task]) -> tuple[list[int], list[int]]:
    """Tasks whose annotation nobody has touched: those that hold no other one, and those that do.

    The tasks were read before: what is changed from then on is newer than what they say.
    """
    ours: list[int] = []
    shared: list[int] = []
    moved = []
    for task in tasks:
        # One that Label Studio does not count says nothing of what has changed.
        as_made = bool(task.annotations) and made.tasks[task.id].changed == task.changed
        ours += [task.id] if as_made else []
        moved += [] if as_made else [task.id]
    figures = figures_of(context.store)
    unseen: set[int] = set()
    for annotation in _annotations(context, moved):
        entry = made.tasks[annotation.task_id]
        if annotation.id == entry.annotation and is_unseen(figures, annotation):
            unseen.add(annotation.task_id)
    # Skipped ones count too: the bulk removal would take a user's skip with it.
    count = {task.id: task.annotations + task.skipped for task in tasks}
    for task_id in sorted(unseen):
        (ours if count[task_id] == 1 else shared).append(task_id)
    return ours, shared


def _annotations(context: Context, task_ids: list[int]) -> Any:
    """Annotations of some tasks; nothing is asked for none."""
    return context.label_studio.annotations(context.project_id, task_ids) if task_ids else ()


def _undraft(context: Context, made: Made, task_ids: list[int]) -> int:
    """Empty the masks of those slices that are still as open as they were; none is touched."""
    server, project, current = context.label_studio, context.project_id, context.store.current()
    # An older version's are superseded, and a labelled slice would seem to have changed.
    bare = {t.id for t in server.tasks_of(project, task_ids) if not t.annotations and not t.skipped}
    now = [i for i in task_ids if i in bare and made.drafted[i] == current]
    for held in server.held_predictions(project, current or "", now):
        if not held.empty:
            server.redraw(project, held, [])
    for task_id in task_ids:
        made.drafted.pop(task_id, None)
    return 0


def _moment(changed: str) -> datetime:
    """When Label Studio last changed a task, out of Task.changed."""
    when = moment(changed.rpartition("/")[2])
    if when is None:
        raise ValueError(f"Label Studio tells no time of the last change: {changed!r}")
    return when
