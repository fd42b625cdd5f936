"""A few slices at a time: scored, written to Label Studio, and written down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..auto_annotations import Entry, Made, changed_alone, mark, note_account
from ..committees import load
from ..errors import QuorumError
from ..gathering import Problem
from ..label_studio import Task
from ..learning.committee import Committee
from ..masks import BrushConfig, to_regions
from ..pool import ScoredPool, score_pool
from ..rounds.context import Context, silent
from .report import Report

# One request's worth: while 25 are written, SQLite keeps annotators waiting for half a second.
CHUNK = 25
# Label Studio makes annotations of one request in the order of the tasks. So many of the first,
# which a reviewer looks at first, are made one by one to stand exactly in their order.
_ONE_BY_ONE = 100
_LONGEST_PAUSE_S = 10.0
_REFUSED = "Label Studio refuses its mask: was the label config changed? Start training again"
_HELD = "somebody annotated, skipped or began to draw it meanwhile: it is left to people"


class RestError(QuorumError, RuntimeError):
    """The rest cannot be annotated now; the message names the remedy."""


@dataclass(frozen=True)
class Crew:
    """The committee that draws, and what it draws for."""

    version: str
    committee: Committee
    config: BrushConfig
    quantiles: Sequence[float]  # of its pool's uncertainty

    @classmethod
    def of(cls, context: Context, version: str | None) -> Crew:
        """The committee of a version.

        Raises RestError before there is one, StoreError if it cannot be read or is of other labels.
        """
        if version is None or not context.store.metadata(version)["training"]:
            raise RestError("there is no committee yet: label the first slices and train")
        project = context.label_studio.project(context.project_id)
        config = BrushConfig.parse(str(project["label_config"]))
        committee = load(
            context.store,
            version,
            config.labels,
            context.settings.device,
            context.settings.network,
        )
        order = context.store.noted(version, "order")
        return cls(version, committee, config, order.get("quantiles", []))

    def score(self, context: Context, tasks: Sequence[Task], report: Report) -> ScoredPool:
        """Masks and uncertainty of some slices; those that cannot be read become problems."""
        problems: list[Problem] = []
        pool = score_pool(
            context.label_studio, self.committee, tasks, self.config, problems, silent
        )
        report.problems += [asdict(problem) for problem in problems]
        return pool

    def confidence(self, uncertainty: float) -> float:
        """1 - the share of the pool that is less uncertain; by uncertainty alone without a pool."""
        if not self.quantiles:
            return 1 / (1 + uncertainty)
        share = np.interp(uncertainty, self.quantiles, np.linspace(0.0, 1.0, len(self.quantiles)))
        return round(1.0 - float(share), 6)


def make_annotations(
    context: Context, crew: Crew, tasks: Sequence[Task], made: Made, report: Report
) -> None:
    """Annotations of some slices without any, the least certain first. Raises LabelStudioError.

    Predictions of a version of their own become annotations in one request, and are removed again.
    """
    pool = crew.score(context, tasks, report)
    uncertain = dict(zip(pool.task_ids.tolist(), pool.uncertainty.tolist(), strict=True))
    ids = sorted(uncertain, key=lambda task_id: -uncertain[task_id])
    if not ids:
        return
    # No version's name may be part of another's.
    tag = f"auto-{crew.version.removeprefix('r')}"
    confidence = {str(i): crew.confidence(uncertain[i]) for i in ids}
    made.version = crew.version
    made.pending = {
        "as": "annotations",
        "version": crew.version,
        "tag": tag,
        "annotator": made.annotator,
        "tasks": confidence,
    }
    made.keep(context.store)
    note_account(context.store, made.annotator)
    server, project = context.label_studio, context.project_id
    pushed = server.push_predictions(
        project,
        (
            {
                "task": task_id,
                "result": mark(
                    to_regions(pool.drafts[task_id].label_map(), crew.config), crew.version
                ),
                "score": confidence[str(task_id)],
                "model_version": tag,
            }
            for task_id in ids
        ),
        context.settings.push_chunk,
        context.settings.push_pause_s,
    )
    started = time.monotonic()
    stored = [task_id for task_id in ids if task_id not in {*pushed.gone, *pushed.refused}]
    alone = len(made.tasks) < _ONE_BY_ONE
    for group in [[task_id] for task_id in stored] if alone else [stored]:
        server.annotate_from(project, tag, group)
    settle(context, made)
    report.problems += [asdict(Problem(task_id, _REFUSED)) for task_id in pushed.refused]
    left = [task_id for task_id in stored if task_id not in made.tasks]
    report.problems += [asdict(Problem(task_id, _HELD)) for task_id in left]
    rest(context, time.monotonic() - started)


def fill_predictions(
    context: Context, crew: Crew, tasks: Sequence[Task], made: Made, report: Report
) -> None:
    """Give score-only predictions of the current version their masks, where nobody has labelled.

    Raises LabelStudioError.
    """
    server, project = context.label_studio, context.project_id
    held = server.held_predictions(project, crew.version, [task.id for task in tasks])
    masked = {each.task_id for each in held if not each.empty}
    empty = {each.task_id: each for each in held if each.task_id not in masked}
    pool = crew.score(context, [task for task in tasks if task.id in empty], report)
    regions: dict[int, list[dict[str, Any]]] = {
        task_id: to_regions(draft.label_map(), crew.config)
        for task_id, draft in pool.drafts.items()
    }
    # Listed hours ago, perhaps: what people have labelled since was drawn without this draft, and
    # would seem to have changed.
    listed = server.tasks_of(project, list(regions))
    bare = {task.id for task in listed if not task.annotations}
    regions = {task_id: found for task_id, found in regions.items() if task_id in bare}
    drawn = [task_id for task_id, found in regions.items() if found]
    made.version = crew.version
    made.pending = {
        "as": "predictions",
        "version": crew.version,
        "tag": crew.version,
        "tasks": dict.fromkeys(map(str, drawn), 0.0),
    }
    made.drafted |= dict.fromkeys(drawn, crew.version)
    made.nothing |= dict.fromkeys(regions.keys() - set(drawn), crew.version)
    made.keep(context.store)
    for task_id in drawn:
        started = time.monotonic()
        server.redraw(project, empty[task_id], regions[task_id])
        rest(context, time.monotonic() - started)
    made.pending = None
    made.keep(context.store)


def settle(context: Context, made: Made) -> None:
    """Write down what became of the chunk that was being written, also after a crash.

    Raises LabelStudioError; then the chunk stays pending.
    """
    if made.pending is None:
        return
    if made.pending["as"] == "annotations":
        _settle_annotations(context, made)
    else:
        _settle_predictions(context, made)
    made.pending = None
    made.keep(context.store)


def _settle_annotations(context: Context, made: Made) -> None:
    server, project, pending = context.label_studio, context.project_id, made.pending or {}
    confidence, annotator = made.pending_tasks(), made.pending_annotator()
    server.delete_predictions(project, str(pending["tag"]))
    # The tasks first: whatever a person changes from here on makes them differ. Not only those
    # that count an annotation: Label Studio makes them first, and may fail before it counts.
    listed = server.tasks_of(project, confidence)
    changed = {task.id: changed_alone(task) for task in listed}
    found = list(server.annotations(project, sorted(changed)))
    there = {annotation.id for annotation in found}
    for annotation in found:
        entry = made.tasks.get(annotation.task_id)
        known = entry is not None and entry.annotation in there
        if annotation.annotator != annotator or annotation.edited_by is not None or known:
            continue
        made.annotations[annotation.id] = annotation.updated_at
        made.tasks[annotation.task_id] = Entry(
            annotation.id,
            confidence[annotation.task_id],
            changed[annotation.task_id],
            str(pending["version"]),
            annotator,
        )


def _settle_predictions(context: Context, made: Made) -> None:
    """Those that did not get their mask are still to get it."""
    version, pending = str((made.pending or {})["version"]), made.pending_tasks()
    held = context.label_studio.held_predictions(context.project_id, version, pending.keys())
    for each in held:
        if each.empty:
            made.drafted.pop(each.task_id, None)


def rest(context: Context, elapsed_s: float) -> None:
    """Leave Label Studio to its annotators for as long as it was kept busy."""
    time.sleep(max(context.settings.push_pause_s, min(elapsed_s, _LONGEST_PAUSE_S)))
