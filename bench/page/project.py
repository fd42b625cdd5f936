"""A project under way, made up and always the same: what the progress page shows in its bench.

Nothing is labelled or trained. Tasks, labels, masks and scores are generated, as a project has them
that twenty people have worked at for some weeks; what the page shows of them is then kept by the
same functions that looks and rounds keep it with. It stands where Label Studio's answers would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ml_backend.figures.data import CLASSES, areas_by_slice, class_figures
from ml_backend.figures.ledger import Ledger
from ml_backend.figures.next_pictures import refresh_next
from ml_backend.figures.pace import pace
from ml_backend.figures.people import people
from ml_backend.figures.quality import refresh_quality
from ml_backend.figures.records import Record
from ml_backend.figures.standing import standing
from ml_backend.figures.trial import trial
from ml_backend.label_studio import Task
from ml_backend.label_studio.drafts import StoredPrediction
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.pool import held_back
from ml_backend.settings import Settings
from ml_backend.store import Store
from ml_backend.survey import Survey, survey

from .annotations import Crowd
from .slices import LABELS, drawn
from .versions import SPENT, keep_order, publish_versions

TITLE = "Liver, portal phase"
_CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    + "".join(f'<Label value="{name}"/>' for name in LABELS)
    + "</BrushLabels></View>"
)
_SERIES_SLICES, _PATIENT_SERIES = 40, 3
_EVALUATION = 0.25  # of the labels
_OVERLAP = 2


@dataclass(frozen=True)
class MadeUp:
    """A project's tasks and drafts, as Label Studio would tell them."""

    url: str
    tasks_now: Sequence[Task]
    version: str = ""  # that drafts

    def project(self, project_id: int) -> dict[str, Any]:
        """What a survey reads of a project."""
        return {
            "id": project_id,
            "title": TITLE,
            "label_config": _CONFIG,
            "maximum_annotations": _OVERLAP,
        }

    def tasks(self, project_id: int) -> Iterator[Task]:
        """All tasks."""
        return iter(self.tasks_now)

    def stored_predictions(self, task_id: int) -> list[StoredPrediction]:
        """A draft that is somewhat off what is drawn in the slice."""
        regions = to_regions(drawn(task_id)[2], BrushConfig.parse(_CONFIG))
        return [StoredPrediction(task_id, self.version, "", regions)]


@dataclass(frozen=True)
class Kept:
    """What was kept of a project: to compare with what its page shows."""

    project_id: int
    found: Survey
    versions: list[str]  # the last one is the current one
    records: list[Record]


def fill(
    store: Store,
    project_id: int,
    settings: Settings,
    slices: int = 10_000,
    at: datetime | None = None,
) -> Kept:
    """Make up a project of so many slices and keep what its page shows. Raises StoreError."""
    moment = at or datetime.now(timezone.utc)
    generator = np.random.default_rng(slices)
    settings = replace(settings, evaluation_slices=max(1, round(slices * SPENT[-1] * _EVALUATION)))
    labelled, tasks = _labelled(_tasks(slices), project_id, settings, generator)
    server: Any = MadeUp(settings.label_studio_url.rstrip("/"), tasks)
    found = survey(server, project_id, settings)
    store.keep_sides(found.division.sides)
    versions = publish_versions(store, found, labelled, settings, moment, generator)
    crowd = Crowd(np.random.default_rng([1, slices]))
    records = _annotate(crowd, store, found, labelled, versions, settings)
    keep_order(store, versions[-1], found, settings, generator)
    store.note(versions[-1], "readers", crowd.readers(settings.adjudicate_above))
    store.point_to(versions[-1])
    problems = [
        {"task_id": task.id, "reason": "the image cannot be read: import the slice again"}
        for task in tasks[37::4001]
    ]
    store.keep_figures("standing", standing(found, problems=problems, at=moment))
    refresh_quality(store)
    server = replace(server, version=versions[-1])
    refresh_next(server, store, found, settings, lambda task: drawn(task.id)[0])
    _keep_records(store, found, records, settings, server.url)
    return Kept(project_id, found, versions, records)


def _keep_records(
    store: Store, found: Survey, records: Sequence[Record], settings: Settings, url: str
) -> None:
    ledger = Ledger()
    by_task: dict[int, list[Record]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    changed = {task.id: task.changed for task in found.tasks}
    for task_id, own in by_task.items():
        ledger.replace(task_id, changed[task_id], own)
    ledger.save(store)
    panel = people(
        records,
        store.noted(str(store.current()), "readers"),
        address=lambda task_id: f"{url}/projects/{found.project_id}/data?task={task_id}",
        pseudonymous=settings.pseudonymous,
    )
    store.keep_figures("people", panel)
    store.keep_figures("trial", trial(records, share=settings.hold_drafts_back))
    store.keep_figures("pace", pace(records, overlap=found.overlap))
    store.keep_figures(CLASSES, class_figures(LABELS, areas_by_slice(records)))


def _annotate(
    crowd: Crowd,
    store: Store,
    found: Survey,
    labelled: Sequence[int],
    versions: Sequence[str],
    settings: Settings,
) -> list[Record]:
    """What each version was made with was labelled on the day before, beside the older drafts."""
    counts = {task.id: task.annotations for task in found.tasks}
    records = []
    ends = [round(share * len(found.tasks)) for share in SPENT]
    for number in range(1, len(versions)):
        records += crowd.annotate(
            labelled[ends[number - 1] : ends[number]],
            counts,
            datetime.fromisoformat(store.metadata(versions[number])["published_at"]),
            # The order of before the first label has no drafts.
            versions[number - 1] if number > 1 else None,
            lambda task_id: held_back(settings, task_id),
        )
    return records


# -- tasks --------------------------------------------------------------------------------------


def _tasks(slices: int) -> list[Task]:
    """Nobody has labelled any yet."""
    tasks = []
    for number in range(slices):
        series, place = divmod(number, _SERIES_SLICES)
        patient = series // _PATIENT_SERIES
        data = {
            "image": f"/data/local-files/?d=images/{number:08d}.png",
            "patient": _pseudonym("patient", patient),
            "study": _pseudonym("study", patient),
            "series": _pseudonym("series", series),
            "slice": _pseudonym("slice", number),
            "instance": _pseudonym("instance", number),
            "slice_position_mm": 2.5 * place,
            "modality": "CT" if patient % 10 < 7 else "MR",
            "body_part": ("ABDOMEN", "ABDOMEN", "ABDOMEN", "LIVER", None)[patient % 5],
        }
        tasks.append(Task(number + 1, data, is_labeled=False, annotations=0, skipped=0))
    return tasks


def _pseudonym(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()[:12]


def _labelled(
    tasks: list[Task], project_id: int, settings: Settings, generator: np.random.Generator
) -> tuple[list[int], list[Task]]:
    """Ids of the labelled tasks in the order of labelling, and all tasks as they are then."""
    server: Any = MadeUp("", tasks)
    found = survey(server, project_id, settings)
    wanted = settings.evaluation_slices
    evaluation = generator.permutation(np.flatnonzero(found.evaluation))[:wanted].tolist()
    pool = generator.permutation(np.flatnonzero(~found.held_out)).tolist()
    training = round(len(tasks) * SPENT[-1]) - len(evaluation)
    # One of each four is to evaluate with, as long as there are any.
    every = max(1, round(1 / _EVALUATION))
    rows = [*evaluation, *pool[:training]]
    ranks = [*(every * n for n in range(len(evaluation))), *(n * every / (every - 1) for n in
             range(training))]  # fmt: skip
    order = [rows[n] for n in np.argsort(np.asarray(ranks), kind="stable").tolist()]
    after = list(tasks)
    for place, row in enumerate(order):
        # The newest wait for their second annotator.
        count = _OVERLAP if place < 0.9 * len(order) else 1
        after[row] = replace(
            tasks[row],
            is_labeled=count == _OVERLAP,
            annotations=count,
            changed=f"{count}/0/{place}",
        )
    for row in pool[training : training + max(1, len(tasks) // 400)]:
        after[row] = replace(tasks[row], skipped=1, changed="0/1/0")
    return [tasks[row].id for row in order], after
