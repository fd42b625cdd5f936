"""A labelled set as a Label Studio project in memory, for the rounds that serve users.

Only what ``ml_backend.rounds.run_round`` asks of Label Studio is here, with Label Studio's
behaviour: whatever else it may ask one day fails with a clear message instead of being made up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn
from xml.sax.saxutils import quoteattr

from ml_backend.label_studio import (
    SAMPLING,
    Annotation,
    LabelStudio,
    LabelStudioError,
    Pushed,
    StoredPrediction,
    Task,
)
from ml_backend.learning.held_out import Side
from ml_backend.masks import BrushConfig, to_regions

from .data import LabelledData

PROJECT_ID = 1
# When an annotation was changed is part of a version's fingerprint: it must be the same each run.
_NO_TIME = "2000-01-01T00:00:00Z"


class InMemoryProject(LabelStudio):
    """One project of a labelled set; a task's id is its slice's index plus 1."""

    def __init__(self, data: LabelledData) -> None:
        # Nothing of the connection is set up: there is none.
        self.url = "memory://"
        self.data = data
        labels = "".join(f"<Label value={quoteattr(name)}/>" for name in data.class_names)
        self.label_config = (
            '<View><Image name="image" value="$image"/>'
            f'<BrushLabels name="mask" toName="image">{labels}</BrushLabels></View>'
        )
        self.config = BrushConfig.parse(self.label_config)
        self._annotated: dict[int, list[dict[str, Any]]] = {}
        self._predictions: dict[str, dict[int, float]] = {}
        self._served = ""

    def sides(self) -> dict[str, Side]:
        """Where each patient stands, as the store is to remember it."""
        return {
            piece.patient or piece.name: Side.HELD_OUT if piece.test else Side.TRAINING
            for piece in self.data.slices
        }

    # -- what annotators do -------------------------------------------------------------------

    def annotate(self, indices: Sequence[int]) -> None:
        """Submit the reference masks of some slices as brush regions."""
        for index in indices:
            label_map = self.data.slices[index].label_map
            self._annotated[index + 1] = to_regions(label_map, self.config)

    def next_slices(self, count: int) -> list[int]:
        """The slices that annotators would be served next: the lowest scores of the version."""
        scores = self._predictions.get(self._served, {})
        waiting = [task_id for task_id in scores if task_id not in self._annotated]
        return [i - 1 for i in sorted(waiting, key=lambda i: (scores[i], i))[:count]]

    def open_pool(self) -> list[int]:
        """Slices to label that have no label yet, in the order of their tasks."""
        return [index for index in self.data.pool if index + 1 not in self._annotated]

    # -- what a round asks --------------------------------------------------------------------

    def project(self, project_id: int) -> dict[str, Any]:
        return {
            "id": project_id,
            "label_config": self.label_config,
            "sampling": SAMPLING,
            "model_version": self._served,
        }

    def tasks(self, project_id: int) -> Iterator[Task]:
        for index, piece in enumerate(self.data.slices):
            labelled = index + 1 in self._annotated
            yield Task(
                id=index + 1,
                data={
                    "image": f"memory://{index}",
                    "slice": piece.name,
                    "patient": piece.patient,
                    "series": piece.patient,
                    "slice_position_mm": piece.position_mm,
                },
                is_labeled=labelled,
                annotations=int(labelled),
                skipped=0,
                changed=_NO_TIME if labelled else "",
            )

    def annotations(self, project_id: int, task_ids: Sequence[int]) -> Iterator[Annotation]:
        for task_id in task_ids:
            if task_id in self._annotated:
                yield Annotation(task_id, task_id, _NO_TIME, 1, self._annotated[task_id])

    def image(self, url: str, task_id: int | None = None) -> bytes:
        return self.data.slices[int(url.removeprefix("memory://"))].content

    def push_predictions(
        self,
        project_id: int,
        predictions: Iterable[Mapping[str, Any]],
        chunk: int,
        pause_s: float,
        *,
        on_pushed: Callable[[int], None] = lambda count: None,
        rest_after: bool = True,
    ) -> Pushed:
        pushed = Pushed()
        for prediction in predictions:
            scores = self._predictions.setdefault(str(prediction["model_version"]), {})
            scores[int(prediction["task"])] = float(prediction["score"])
            pushed.stored += 1
        on_pushed(pushed.stored)
        return pushed

    def predicted(self, project_id: int, version: str, task_ids: Collection[int]) -> set[int]:
        return set(task_ids) & set(self._predictions.get(version, {}))

    def prediction_counts(self, project_id: int) -> dict[str, int]:
        return {version: len(scores) for version, scores in self._predictions.items()}

    def delete_predictions(
        self,
        project_id: int,
        version: str,
        *,
        at_most: int | None = None,
        task_ids: Collection[int] | None = None,
        pause_s: float = 0.05,
    ) -> int:
        return len(self._predictions.pop(version, {}))

    def stored_predictions(self, task_id: int) -> list[StoredPrediction]:
        """Nobody draws from a draft here: reference masks are submitted."""
        return []

    def people(self) -> dict[int, str]:
        return {1: "the reference"}

    def show_tab(
        self, project_id: int, title: str, task_ids: Sequence[int], ordering: str | None = None
    ) -> None:
        """Nobody looks at the benchmark's project."""

    def serve_order_of(self, project_id: int, version: str) -> None:
        self._served = version

    def _call(self, method: str, path: str, **arguments: Any) -> NoReturn:
        raise LabelStudioError(f"the benchmark's project has no {method} {path}: teach it")
