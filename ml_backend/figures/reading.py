"""Records made from what Label Studio holds of some tasks.

Which draft an annotator began with, as Label Studio 1.23.2 tells it:
- The editor sends `parent_prediction`, the id of the prediction that it copied: exact, though the
  version may have changed between opening and submitting. It is null where somebody began with an
  empty image or submitted through the API, and becomes null once that prediction is removed.
- Then it is the newest prediction of one of our versions that was there when the slice was opened
  (submitted, less the time that it took); predictions of labelled tasks are never cleaned up.
- Label Studio's own copy of a prediction in an annotation is no answer: it is of the version that
  was served at the submission.
A prediction without a region may be a draft, of a committee that found nothing; or its slice is
held back, stands behind those that a round drafts, or no committee was there yet.

What "annotate the rest" made is nobody's work. Who changes it has reviewed it, which is no drawing
and tells nothing of drafts: a mask was there before, whatever arm the slice is of.

Imported annotations keep the `lead_time` that they were exported with, and are all stamped with the
moment of the import: it is no time in which anybody drew here. Nobody is named as their editor. Who
changes one later adds his seconds to that time, so it stays without.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from ..auto_annotations import is_marked, is_unseen
from ..label_studio import Annotation
from ..label_studio.drafts import StoredPrediction
from ..masks import BrushConfig, LabelMap, MaskError, to_label_map
from ..masks.targets import target_of
from ..moments import moment
from ..pool import held_back
from ..readers import readings
from ..settings import Settings
from ..store import is_version
from .records import WITH, WITHOUT, Record, record_of, size_of

_A_DAY_S = 86_400.0
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc) + timedelta(days=2)


class Source(Protocol):
    """What is asked of Label Studio."""

    def annotations(self, project_id: int, task_ids: Sequence[int]) -> Iterable[Annotation]: ...
    def stored_predictions(self, task_id: int) -> list[StoredPrediction]: ...


class RecordReader:
    """Makes the records of some tasks."""

    def __init__(
        self,
        label_studio: Source,
        project_id: int,
        config: BrushConfig,
        settings: Settings,
        drafted: Callable[[str], Container[int]],
        made: Mapping[str, Any],
    ) -> None:
        """`drafted`: the slices that a version was to draft; `made`: what figures_of() gives."""
        self._label_studio, self._project_id = label_studio, project_id
        self._config, self._settings = config, settings
        self._drafted, self._made = drafted, made

    def read(self, before: Mapping[int, Sequence[Record]]) -> dict[int, list[Record]]:
        """The records of tasks as they are now; `before` as they were, by task, perhaps none.

        Raises LabelStudioError.
        """
        by_task: dict[int, list[Annotation]] = {task_id: [] for task_id in before}
        for annotation in self._label_studio.annotations(self._project_id, list(before)):
            if not is_unseen(self._made, annotation):
                by_task[annotation.task_id].append(annotation)
        return {
            task_id: self._records(task_id, own, before[task_id]) if own else []
            for task_id, own in by_task.items()
        }

    def _records(
        self, task_id: int, annotations: Sequence[Annotation], before: Sequence[Record]
    ) -> list[Record]:
        known = {record.annotation: record for record in before}
        reviewed = {a.id for a in annotations if self._reviewed(a, known.get(a.id))}
        # The account that annotated the rest is still named as the author.
        annotations = [
            replace(a, annotator=a.edited_by) if a.id in reviewed and a.edited_by else a
            for a in annotations
        ]
        predictions = self._label_studio.stored_predictions(task_id)
        size = size_of([*(a.regions for a in annotations), *(p.regions for p in predictions)])
        agreement = self._agreement(annotations, size)
        # Beside a mask that Quorum submitted, nobody draws as with a draft or without.
        alone = not reviewed and str(task_id) not in self._made.get("tasks", {})
        records = []
        for annotation in annotations:
            shown = shown_to(annotation, predictions) if alone else None
            regions = shown.regions if shown else []
            arm, version = self._arm(task_id, shown), shown.version if shown else None
            old = known.get(annotation.id)
            if old and old.arm and annotation.id not in reviewed:
                # The share that is held back may be another now: what counts is how it was.
                arm, version = old.arm, old.draft_version
            drafted = self._map(regions, size) if regions or (shown and arm == WITH) else None
            if annotation.id not in reviewed and _is_imported(annotation, old):
                annotation = replace(annotation, lead_time_s=None)
            records.append(
                record_of(
                    annotation,
                    self._map(annotation.regions, size),
                    drafted,
                    self._config,
                    arm=arm,
                    draft_version=version,
                    agreement=agreement.get(annotation.annotator or -annotation.id),
                    reviewed=annotation.id in reviewed,
                )
            )
        return records

    def _reviewed(self, annotation: Annotation, old: Record | None) -> bool:
        """Whether a person changed what Quorum had made; still known once that was undone."""
        if str(annotation.id) in self._made.get("annotations", {}) or (old and old.reviewed):
            return True
        return is_marked(annotation)

    def _arm(self, task_id: int, shown: StoredPrediction | None) -> str | None:
        if shown is None:
            return None
        if shown.regions:
            return WITH
        # "Annotate the rest" draws drafts, too, and keeps where it found nothing.
        nothing = self._made.get("nothing", {}).get(str(task_id)) == shown.version
        if task_id not in self._drafted(shown.version) and not nothing:
            return None
        # A committee may well find nothing on a slice: that, too, is a draft.
        return WITHOUT if held_back(self._settings, task_id) else WITH

    def _map(self, regions: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> LabelMap | None:
        try:
            return to_label_map(regions, self._config, *size)
        except MaskError:
            return None  # a round says so, and what is to be done

    def _agreement(
        self, annotations: Sequence[Annotation], size: tuple[int, int]
    ) -> dict[int, float]:
        """Mean Dice of each annotator with the ground truth or the others of this slice."""
        if len(annotations) < 2:
            return {}
        target, _ = target_of(annotations, self._config, *size)
        if target is None:
            return {}
        truth = target.label_map if target.ground_truth else None
        dice: dict[int, list[float]] = defaultdict(list)
        for reading in readings(target.by_annotator, len(self._config.labels) + 1, truth):
            if reading.dice == reading.dice:  # NaN: neither drew anything
                dice[reading.annotator].append(reading.dice)
        return {who: sum(values) / len(values) for who, values in dice.items()}


def _is_imported(annotation: Annotation, old: Record | None) -> bool:
    """Whether it was not drawn here, whoever has changed it since; `old` is its record so far."""
    return annotation.edited_by is None or (old is not None and old.lead_time_s is None)


def shown_to(
    annotation: Annotation, predictions: Sequence[StoredPrediction]
) -> StoredPrediction | None:
    """The prediction that an annotation was begun with: see the module; None if there was none."""
    for prediction in predictions:
        if prediction.id == annotation.parent_prediction:
            return prediction
    ours = sorted((p for p in predictions if is_version(p.version)), key=_created)
    submitted = _moment(annotation.created_at)
    opened = submitted - timedelta(seconds=min(annotation.lead_time_s or 0.0, _A_DAY_S))
    for begun in (opened, submitted):
        there = [p for p in ours if _moment(p.created_at) <= begun]
        if there:
            return there[-1]
    return None


def _created(prediction: StoredPrediction) -> tuple[datetime, int]:
    return _moment(prediction.created_at), prediction.id


def _moment(text: str) -> datetime:
    return moment(text) or _LONG_AGO
