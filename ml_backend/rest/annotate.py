"""The run: which slices are left, and chunk after chunk of them until none is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..auto_annotations import Made
from ..label_studio import LabelStudioError, Task
from ..learning.memory import TooLittleMemory
from ..masks import MaskError
from ..pool import Progress, held_back
from ..rounds.context import Context, silent
from ..rounds.extend import BARE
from ..settings import SettingsError
from ..store import Store, StoreError
from ..survey import Survey, survey
from .chunks import CHUNK, Crew, RestError, fill_predictions, make_annotations, settle
from .recovery import still_there, what_was_made
from .report import Report
from .tabs import show_review

AS = ("predictions", "annotations")
_CANNOT = (LabelStudioError, MaskError, RestError, SettingsError, StoreError, TooLittleMemory)
_OVERLAP = (
    "each slice is to get {overlap} annotators, and Label Studio would serve those begun by the "
    "committee first: annotate the rest as predictions, or ask for 1 annotator a slice first"
)


def _never() -> bool:
    return False


def annotate_rest(
    context: Context,
    as_: str,
    on_progress: Progress = silent,
    cancelled: Callable[[], bool] = _never,
    paused: Callable[[], bool] = _never,
) -> dict[str, Any]:
    """Mask every remaining slice as "predictions" or "annotations"; the figures "rest".

    Called again after it was killed, cancelled or failed, it goes on where it was. Both questions
    are asked between chunks: `cancelled` ends the run, `paused` returns with the state "running",
    to be called again, so that a round's steps need not wait. If another version takes over, the
    rest of the run is its work. Once it has ended, masks stay with the version that made them: as
    predictions, a later round's slices have drafts as far as it drafts ahead, until this is called
    again. `on_progress` is told only what is written and need not be done again.

    Raises LabelStudioError, MaskError, StoreError, TooLittleMemory, or RestError, all kept as the
    error of the figures; ValueError for any other `as_`.
    """
    if as_ not in AS:
        raise ValueError(f"the rest is annotated as {' or '.join(AS)}, not as {as_!r}")
    report = Report.begin(context.store, as_, context.store.current() or "")
    try:
        return _run(context, report, on_progress, cancelled, paused)
    except _CANNOT as error:
        report.end("failed", str(error))
        raise


def _run(
    context: Context,
    report: Report,
    on_progress: Progress,
    cancelled: Callable[[], bool],
    paused: Callable[[], bool],
) -> dict[str, Any]:
    made = what_was_made(context)
    settle(context, made)
    if report.made_as == "annotations":
        made.annotator = context.label_studio.user_id()
    write = make_annotations if report.made_as == "annotations" else fill_predictions
    crew: Crew | None = None
    left: list[Task] = []
    tried: set[int] = set()
    while True:
        if cancelled() or paused():
            show_review(context)
            return report.end("cancelled") if cancelled() else report.keep()
        current = context.store.current()
        if crew is None or crew.version != current:
            crew, left, tried = Crew.of(context, current), [], set()
            if report.made_as == "predictions" and report.version != crew.version:
                report.done = 0  # drafts are of a version: each slice gets this one's
        if not left:  # also what was imported meanwhile
            failed = {problem["task_id"] for problem in report.problems}
            left = _remaining(context, made, report.made_as, crew.version, tried | failed)
            if not left:
                show_review(context)
                return report.end("done")
            report.version, report.total = crew.version, report.done + len(left)
        part, left = left[:CHUNK], left[CHUNK:]
        before = _lasting(made, crew.version, report)
        write(context, crew, part, made, report)
        tried |= {task.id for task in part}
        report.done += len(part)
        report.keep()
        # A chunk that must be tried again is no progress: attempts at it have to run out.
        if _lasting(made, crew.version, report) != before:
            on_progress("annotate", report.done, report.total)


def _lasting(made: Made, version: str, report: Report) -> int:
    """How much there is that is not done again after a crash."""
    predictions = [*made.drafted.values(), *made.nothing.values()]
    return len(made.tasks) + predictions.count(version) + len(report.problems)


def _remaining(
    context: Context, made: Made, made_as: str, version: str, without: set[int]
) -> list[Task]:
    """The slices to mask, the least certain first."""
    found = survey(context.label_studio, context.project_id, context.settings)
    order = context.store.noted(version, "order")
    rank = {task_id: place for place, task_id in enumerate(order.get("tasks", []))}
    bare = [t for t in found.open_tasks() if t.annotations == 0 and t.id not in without]
    if made_as == "annotations":
        tasks = _for_annotations(found, bare)
        # Label Studio may have made one without counting it.
        there = still_there(context, made, [task.id for task in tasks if task.id in made.tasks])
        tasks = [task for task in tasks if task.id not in there]
    else:
        tasks = _for_predictions(context, made, bare, rank, version)
    known = noted_uncertainty(context.store, version)

    def place(task: Task) -> tuple[float, int]:
        return -known.get(task.id, -1.0), rank.get(task.id, len(rank))

    return sorted(tasks, key=place)


def _for_annotations(found: Survey, tasks: list[Task]) -> list[Task]:
    """All but skipped slices, and those that people are asked to label for the evaluation."""
    if found.overlap > 1:
        raise RestError(_OVERLAP.format(overlap=found.overlap))
    asked = {t.id for t, wanted in zip(found.tasks, found.evaluation, strict=True) if wanted}
    return [task for task in tasks if not task.skipped and task.id not in asked]


def _for_predictions(
    context: Context, made: Made, tasks: list[Task], rank: dict[int, int], version: str
) -> list[Task]:
    """Slices without a mask, and not of those that are never to get a draft."""
    settings = context.settings
    known = {i for each in (made.drafted, made.nothing) for i, v in each.items() if v == version}
    known -= _lost(context, made, version)
    left = [t for t in tasks if t.id not in known and not held_back(settings, t.id)]
    # Whether the round's own drafts are empty because nothing is there, or because they were held
    # back then, nobody knows: those are looked at again.
    ahead = settings.drafts_ahead
    near = {t.id for t in left if rank.get(t.id, ahead) < ahead}
    held = context.label_studio.held_predictions(context.project_id, version, near)
    near -= {each.task_id for each in held if each.empty}
    return [task for task in left if task.id not in near]


def _lost(context: Context, made: Made, version: str) -> set[int]:
    """Slices whose draft Label Studio has lost, as with an old backup: a look gave them a rank."""
    bare = context.store.noted(version, BARE).get("tasks", [])
    given = {task_id for task_id in bare if made.drafted.get(task_id) == version}
    held = context.label_studio.held_predictions(context.project_id, version, given)
    return {each.task_id for each in held if each.empty}


def noted_uncertainty(store: Store, version: str) -> dict[int, float]:
    """What a version's round found of its pool, by task; empty if it did not keep it."""
    kept = store.noted(version, "uncertainty")
    return dict(zip(kept.get("task_ids", []), kept.get("values", []), strict=False))
