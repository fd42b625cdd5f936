"""Masks that are the committee's: annotations that "annotate the rest" made, and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import auto_annotations
from ..label_studio import Annotation, LabelStudio
from ..store import Store


@dataclass(frozen=True)
class Made:
    """What "annotate the rest" made of a project, as the store remembers it."""

    figures: Mapping[str, Any]  # "rest-made" and "rest-account"
    made: auto_annotations.Made

    @classmethod
    def of(cls, store: Store) -> Made:
        """Raises StoreError."""
        figures = auto_annotations.figures_of(store)
        return cls(figures, auto_annotations.Made.read(figures))

    def untouched(self, annotation: Annotation) -> bool:
        """Whether the committee made an annotation and nobody has changed it since."""
        return auto_annotations.is_unseen(self.figures, annotation)

    def touched(self, annotation: Annotation) -> bool:
        """Whether the committee made an annotation and a person has changed or approved it."""
        return annotation.id in self.made.annotations and not self.untouched(annotation)

    def began_as_draft(self, annotation: Annotation) -> bool:
        """Whether an annotation began with the committee's mask, whoever has changed it since.

        Label Studio forgets the prediction it was made of once that is removed.
        """
        return (
            annotation.parent_prediction is not None
            or annotation.id in self.made.annotations
            or auto_annotations.is_marked(annotation)
        )

    def version_of(self, annotation: Annotation) -> str | None:
        """The version that made an annotation."""
        entry = self.made.tasks.get(annotation.task_id)
        noted = entry.version if entry else self.made.version
        return noted or auto_annotations.marked_version(annotation)

    def says_nothing(self, task_id: int, version: str) -> bool:
        """Whether a version's prediction without regions says that there is nothing on the slice.

        Elsewhere it is a rank alone: a slice far behind in the order, or one that is to have no
        draft, was given none. Known it is of those that "annotate the rest" has looked at.
        """
        return self.made.nothing.get(task_id) == version


def drafts_of(
    label_studio: LabelStudio, version: str, task_ids: Sequence[int], made: Made
) -> dict[int, Sequence[Mapping[str, Any]]]:
    """Regions of a version's stored predictions, by task. Raises LabelStudioError."""
    found: dict[int, Sequence[Mapping[str, Any]]] = {}
    for task_id in task_ids:
        stored = label_studio.stored_predictions(task_id)
        for prediction in sorted(stored, key=lambda each: each.id):
            if prediction.version == version and (
                prediction.regions or made.says_nothing(task_id, version)
            ):
                found[task_id] = prediction.regions
    return found
