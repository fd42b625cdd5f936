"""Which drafts an annotator was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .transport import LabelStudioError, Transport


@dataclass(frozen=True)
class StoredPrediction:
    """A prediction as Label Studio holds it; created_at is ISO 8601."""

    id: int
    version: str
    created_at: str
    regions: Sequence[Mapping[str, Any]]


class Drafts(Transport):
    """The call that reads predictions back."""

    def stored_predictions(self, task_id: int) -> list[StoredPrediction]:
        """Every version's predictions of a task, with their masks; none if the task is gone."""
        try:
            listed = self._json("GET", "/api/predictions/", params={"task": task_id})
        except LabelStudioError as error:
            if error.status not in (400, 404):
                raise
            return []
        return [
            StoredPrediction(
                int(raw["id"]),
                str(raw.get("model_version") or ""),
                str(raw.get("created_at") or ""),
                raw.get("result") or [],
            )
            for raw in listed
        ]
