"""Tasks as Label Studio lists them, and which of them hold a prediction, without any masks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .transport import Transport

_PAGE = 500  # tasks in one page of a listing
_IDS = 200  # task ids in one question: an address has a length
_FIELDS = "id,data,is_labeled,total_annotations,cancelled_annotations,updated_at"


@dataclass(frozen=True)
class Task:
    """One slice as Label Studio lists it, without masks.

    `changed` differs whenever the task's annotations differ: created, edited in place, deleted,
    skipped, marked as ground truth. Drafts and imported predictions leave it as it is. It is empty
    while there is no annotation. It may also differ without need, as when an annotated task was
    opened and a connected backend drafted it.
    """

    id: int
    data: Mapping[str, Any]
    is_labeled: bool  # has as many annotations as the project's overlap asks for
    annotations: int  # submitted, not skipped
    skipped: int
    changed: str = ""


class Listing(Transport):
    """The calls that list tasks."""

    def tasks(self, project_id: int) -> Iterator[Task]:
        """All tasks of a project in the order of their ids, page by page, without masks.

        Label Studio reads the stored predictions of each page's tasks although it does not send
        them: the time grows with the versions whose predictions are kept.
        """
        for raw in self._task_pages(project_id, _FIELDS):
            yield _task(raw)

    def tasks_of(self, project_id: int, task_ids: Collection[int]) -> Iterator[Task]:
        """Those of these tasks that are in the project: one call for 200, in the order of ids."""
        wanted = sorted(set(task_ids))
        for start in range(0, len(wanted), _IDS):
            listed = column_filter("id", "in_list", "Number", wanted[start : start + _IDS])
            for raw in self._task_pages(project_id, _FIELDS, [listed]):
                yield _task(raw)

    def task_values(self, project_id: int, key: str) -> set[str]:
        """The values that a project's tasks hold under a key of their data."""
        pages = self._task_pages(project_id, "id,data")
        return {str(raw["data"][key]) for raw in pages if key in (raw.get("data") or {})}

    def existing(self, project_id: int, task_ids: Collection[int]) -> set[int]:
        """Which of these tasks are in the project: one call for 200, and no listing of them all."""
        wanted, found = sorted(set(task_ids)), set()
        for start in range(0, len(wanted), _IDS):
            listed = column_filter("id", "in_list", "Number", wanted[start : start + _IDS])
            found |= {int(raw["id"]) for raw in self._task_pages(project_id, "id", [listed])}
        return found

    def predicted(self, project_id: int, version: str, task_ids: Collection[int]) -> set[int]:
        """Which of these tasks hold a prediction of a version, such as to leave them out of a push.

        One quick call where none does, else two for each 200 tasks, which read no masks. Label
        Studio compares by substring: no version's name may be part of another's.
        """
        wanted, found = sorted(set(task_ids)), set()
        if not wanted or not self.prediction_counts(project_id).get(version):
            return set()
        for start in range(0, len(wanted), _IDS):
            part = wanted[start : start + _IDS]
            lacking = self._lacking(project_id, version, part)
            held = set(part) - lacking
            if held and self._count(project_id, part) < len(part):
                held &= self.existing(project_id, held)  # a deleted task lacks nothing
            found |= held
        return found

    def holding(self, project_id: int, version: str) -> Iterator[int]:
        """Ids of the tasks that hold a prediction of a version, page by page."""
        seen = 0
        named = column_filter("predictions_model_versions", "contains", "List", [version])
        for raw in self._task_pages(project_id, "id", [named]):
            if int(raw["id"]) > seen:  # a task is listed once for each prediction
                seen = int(raw["id"])
                yield seen

    def _lacking(self, project_id: int, version: str, task_ids: Collection[int]) -> set[int]:
        """Which of these tasks, where they exist, hold no prediction of a version."""
        wanted, found = sorted(set(task_ids)), set()
        lacks = column_filter("predictions_model_versions", "not_contains", "List", [version])
        for start in range(0, len(wanted), _IDS):
            listed = column_filter("id", "in_list", "Number", wanted[start : start + _IDS])
            pages = self._task_pages(project_id, "id", [listed, lacks])
            found |= {int(raw["id"]) for raw in pages}
        return found

    def _count(self, project_id: int, task_ids: Sequence[int]) -> int:
        filters = [column_filter("id", "in_list", "Number", list(task_ids))]
        return int(self._page(project_id, "id", filters, 1)["total"])

    def prediction_counts(self, project_id: int) -> dict[str, int]:
        """Stored predictions by version, that of the latest first."""
        path = f"/api/projects/{project_id}/model-versions/"
        listed = self._json("GET", path, params={"extended": "true"})
        return {str(entry["model_version"]): int(entry["count"]) for entry in listed["static"]}

    def _task_pages(
        self, project_id: int, include: str, filters: Sequence[Mapping[str, Any]] = ()
    ) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            # A page begins after the last id seen: with numbered pages, a task that is deleted
            # meanwhile would move another one over the edge, unseen.
            after = [column_filter("id", "greater", "Number", last), *filters]
            listed = self._page(project_id, include, after, _PAGE)
            found: list[dict[str, Any]] = listed["tasks"]
            yield from found
            if not found or len(found) >= int(listed["total"]):
                return
            last = int(found[-1]["id"])

    def _page(
        self, project_id: int, include: str, filters: Sequence[Mapping[str, Any]], size: int
    ) -> dict[str, Any]:
        query = {"filters": {"conjunction": "and", "items": list(filters)}}
        listed: dict[str, Any] = self._json(
            "GET",
            "/api/tasks",
            params={
                "project": project_id,
                "include": include,
                "page_size": size,
                "query": json.dumps(query, separators=(",", ":")),
            },
        )
        return listed


def _task(raw: Mapping[str, Any]) -> Task:
    annotations = int(raw.get("total_annotations") or 0)
    skipped = int(raw.get("cancelled_annotations") or 0)
    # A task's updated_at moves with each of its annotations; drafts and the import of predictions
    # leave it. Without an annotation it tells only of the task's own life.
    changed = f"{annotations}/{skipped}/{raw.get('updated_at')}"
    return Task(
        id=int(raw["id"]),
        data=raw.get("data") or {},
        is_labeled=bool(raw.get("is_labeled")),
        annotations=annotations,
        skipped=skipped,
        changed=changed if annotations or skipped else "",
    )


def column_filter(column: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {
        "filter": f"filter:tasks:{column}",
        "operator": operator,
        "type": kind,
        "value": value,
    }
