"""Masks that are the committee's: annotations that "annotate the rest" made, and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .. import auto_annotations
from ..label_studio import Annotation, LabelStudio, LabelStudioError
from ..store import Store

_GONE = (400, 404)  # what Label Studio answers for a task that was deleted meanwhile


@dataclass(frozen=True)
class Made:
    """What "annotate the rest" made of a project, as the store remembers it."""

    figures: Mapping[str, Any]  # "rest-made"
    made: auto_annotations.Made
    # Since when every slice that was there has a draft of `whole`, an empty one too.
    whole: str | None = None
    since: datetime | None = None

    @classmethod
    def of(cls, store: Store) -> Made:
        """Raises StoreError."""
        figures, rest = store.figures(auto_annotations.MADE), store.figures("rest")
        made = auto_annotations.Made.read(figures)
        if rest.get("as") != "predictions" or rest.get("state") != "done":
            return cls(figures, made)
        return cls(figures, made, rest.get("version"), _time(rest.get("began_at")))

    def untouched(self, annotation: Annotation) -> bool:
        """Whether the committee made an annotation and nobody has changed it since."""
        return auto_annotations.is_unseen(self.figures, annotation)

    def touched(self, annotation: Annotation) -> bool:
        """Whether the committee made an annotation and a person has changed or approved it."""
        return annotation.id in self.made.annotations and not self.untouched(annotation)

    def version_of(self, annotation: Annotation) -> str | None:
        """The version that made an annotation."""
        entry = self.made.tasks.get(annotation.task_id)
        return (entry.version if entry else self.made.version) or None

    def says_nothing(self, prediction: Mapping[str, Any]) -> bool:
        """Whether a prediction without regions says that there is nothing on the slice.

        Elsewhere it is a rank alone: a slice far behind in the order has no draft.
        """
        at = _time(prediction.get("created_at"))
        return (
            prediction.get("model_version") == self.whole
            and self.since is not None
            and at is not None
            and at <= self.since
        )


def drafts_of(
    label_studio: LabelStudio, version: str, task_ids: Sequence[int], made: Made
) -> dict[int, Sequence[Mapping[str, Any]]]:
    """Regions of a version's stored predictions, by task. Raises LabelStudioError."""
    found: dict[int, Sequence[Mapping[str, Any]]] = {}
    for task_id in task_ids:
        try:
            listed = label_studio._json("GET", "/api/predictions/", params={"task": task_id})
        except LabelStudioError as error:
            if error.status not in _GONE:
                raise
            continue
        for prediction in sorted(listed, key=lambda each: int(each["id"])):
            if prediction.get("model_version") != version:
                continue
            regions = prediction.get("result") or []
            if regions or made.says_nothing(prediction):
                found[task_id] = regions
    return found


def _time(text: object) -> datetime | None:
    try:
        # Python 3.10 knows no Z.
        when = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)
