"""What is there already is rewritten: predictions become annotations, drafts are filled or emptied.

Facts of Label Studio 1.23.2, each with a test against the real one (tests/live/test_rest.py):

- "Create annotations from predictions" makes many annotations in one call and sends one webhook;
  a prediction that became one already is passed over, so the call may be repeated. It is made in
  the name of the token's user, with `updated_by` empty; whoever submits or changes an annotation,
  in the editor or by a call, is noted there. Regions keep their `meta`.
- 20 annotations took 0.29 s to push and 0.23 s to make; one by one each takes 0.3 s and a webhook.
- Both actions heed filters beside the chosen tasks, in the same request that writes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .listing import column_filter
from .predictions import Predictions
from .transport import LabelStudioError

_IDS = 50  # tasks whose predictions are read at once, with all their masks


@dataclass(frozen=True)
class Held:
    """A prediction that a task holds."""

    id: int
    task_id: int
    empty: bool  # has a score and no mask


class Rewriting(Predictions):
    """The calls that turn what is stored into something else."""

    def annotate_from(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        """Make annotations of a version's predictions of some tasks, by the token's user.

        Tasks that somebody has annotated, skipped or begun to draw are left out.
        """
        if not task_ids:
            return
        self._act(
            "predictions_to_annotations",
            project_id,
            task_ids,
            [
                column_filter("total_annotations", "equal", "Number", 0),
                column_filter("cancelled_annotations", "equal", "Number", 0),
                _UNDRAWN,
            ],
            model_version=version,
        )

    def remove_annotations(
        self, project_id: int, task_ids: Sequence[int], annotator: int, until: datetime
    ) -> None:
        """Remove a user's annotations of some tasks, in one transaction of some 20 ms each.

        Tasks whose annotations changed after `until`, by Label Studio's own clock, and those that
        somebody is drawing on are left as they are: in the same request, so that no edit is lost.
        """
        if not task_ids:
            return
        moment = until.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._act(
            "delete_tasks_annotations",
            project_id,
            task_ids,
            [column_filter("updated_at", "less_or_equal", "Datetime", moment), _UNDRAWN],
            annotator=annotator,
        )

    def remove_annotation(self, annotation_id: int) -> None:
        """Remove one annotation; one that is gone already is no error."""
        try:
            self._call("DELETE", f"/api/annotations/{annotation_id}/", repeatable=True)
        except LabelStudioError as error:
            if error.status != 404:
                raise

    def held_predictions(
        self, project_id: int, version: str, task_ids: Collection[int]
    ) -> list[Held]:
        """The predictions of a version that some tasks hold; their masks are read and dropped."""
        wanted, found = sorted(set(task_ids)), []
        for start in range(0, len(wanted), _IDS):
            ids = wanted[start : start + _IDS]
            asked = {"conjunction": "and", "items": [column_filter("id", "in_list", "Number", ids)]}
            params = {
                "project": project_id,
                "fields": "all",
                "include": "id,predictions",
                "page_size": _IDS,
                "query": json.dumps({"filters": asked}, separators=(",", ":")),
            }
            for task in self._json("GET", "/api/tasks", params=params)["tasks"]:
                found += [
                    Held(int(raw["id"]), int(task["id"]), not raw["result"])
                    for raw in task["predictions"]
                    if raw["model_version"] == version
                ]
        return found

    def redraw(self, project_id: int, held: Held, regions: Sequence[dict[str, Any]]) -> None:
        """Replace a prediction's mask; its version and score, and so the order, stay.

        One that is gone, as with its task, is no error.
        """
        self._rewrite(project_id, held, {"result": list(regions)})

    def rescore(self, project_id: int, held: Held, score: float) -> None:
        """Replace a prediction's score, and so its task's place; its version and mask stay.

        Another prediction of the version would stand beside it. One that is gone is no error.
        """
        self._rewrite(project_id, held, {"score": score})

    def _rewrite(self, project_id: int, held: Held, values: Mapping[str, Any]) -> None:
        body = {**values, "task": held.task_id, "project": project_id}
        try:
            self._call("PATCH", f"/api/predictions/{held.id}/", json=body, repeatable=True)
        except LabelStudioError as error:
            if error.status != 404:
                raise

    def _act(
        self,
        action: str,
        project_id: int,
        task_ids: Sequence[int],
        filters: Sequence[dict[str, Any]],
        **arguments: Any,
    ) -> None:
        """One of the Data Manager's actions on those of some tasks that pass all filters."""
        body = {
            **arguments,
            "selectedItems": {"all": False, "included": list(task_ids)},
            "filters": {"conjunction": "and", "items": list(filters)},
        }
        params: dict[str, Any] = {"id": action, "project": project_id}
        self._call("POST", "/api/dm/actions", params=params, json=body, repeatable=True)


_UNDRAWN = column_filter("draft_exists", "equal", "Boolean", "false")
