"""What Quorum reads from Label Studio beside its lists of tasks: projects, annotations, images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .listing import Listing
from .pictures import Pictures

_PROJECTS = 100  # in one page: Label Studio gives no more, whatever it is asked for
_EXPORT_CHUNK = 50  # annotated tasks in one export request: full masks are large


@dataclass(frozen=True)
class Annotation:
    """One annotator's submitted result for a task; times are ISO 8601 as Label Studio has them."""

    id: int
    task_id: int
    updated_at: str
    annotator: int
    regions: Sequence[Mapping[str, Any]]
    ground_truth: bool = False
    lead_time_s: float | None = None  # time spent drawing, as the browser measured it
    created_at: str = ""
    parent_prediction: int | None = None  # the prediction it was made from, if the editor told
    # Who submitted or changed it in the editor or by a call; None if it was made in bulk and since
    # then left alone.
    edited_by: int | None = None


class Reading(Listing, Pictures):
    """The calls that change nothing; each is tried again while Label Studio is busy."""

    def whoami(self) -> str:
        """The e-mail of the token's user. Raises LabelStudioError if the token is refused."""
        return str(self._json("GET", "/api/current-user/whoami").get("email", ""))

    def user_id(self) -> int:
        """The number of the token's user, as in Annotation.annotator."""
        return int(self._json("GET", "/api/current-user/whoami")["id"])

    def people(self) -> dict[int, str]:
        """Names of the users that this user can see, by id: the e-mail where there is none."""
        listed = self._json("GET", "/api/users")
        found = {}
        for user in listed if isinstance(listed, list) else []:
            name = f"{user.get('first_name') or ''} {user.get('last_name') or ''}".strip()
            found[int(user["id"])] = name or str(user.get("email") or "")
        return found

    def version(self) -> str:
        """Label Studio's release, such as 1.23.2."""
        return str(self._json("GET", "/api/version").get("release", "unknown"))

    def project(self, project_id: int) -> dict[str, Any]:
        """A project's settings and counts."""
        found: dict[str, Any] = self._json("GET", f"/api/projects/{project_id}")
        return found

    def overlap(self, project_id: int) -> int:
        """How many annotators each task of a project is to have (`maximum_annotations`)."""
        return int(self.project(project_id).get("maximum_annotations") or 1)

    def project_ids(self) -> list[int]:
        """Ids of the projects that this user can see."""
        return list(dict.fromkeys(int(p["id"]) for p in self._projects({"include": "id"})))

    def project_titled(self, title: str) -> int | None:
        """Id of the oldest project of that title that this user can see, None if there is none."""
        # Label Studio finds every title that holds this text, in whatever case.
        listed = self._projects({"include": "id,title", "title": title})
        return min((int(p["id"]) for p in listed if p["title"] == title), default=None)

    def _projects(self, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """All pages of projects, newest first; one that is made meanwhile may move one twice."""
        page, more = 1, True
        while more:
            asked = {**params, "page_size": _PROJECTS, "page": page}
            listed = self._json("GET", "/api/projects", params=asked)
            yield from listed["results"]
            page, more = page + 1, bool(listed.get("next"))

    def annotations(self, project_id: int, task_ids: Sequence[int]) -> Iterator[Annotation]:
        """Submitted annotations of some tasks with their masks; skipped ones are left out."""
        for start in range(0, len(task_ids), _EXPORT_CHUNK):
            ids = list(task_ids[start : start + _EXPORT_CHUNK])
            exported = self._json(
                "GET",
                f"/api/projects/{project_id}/export",
                params={"exportType": "JSON", "ids[]": ids},
            )
            for task in exported:
                for raw in task["annotations"]:
                    if not raw.get("was_cancelled"):
                        yield _annotation(int(task["id"]), raw)


def _annotation(task_id: int, raw: Mapping[str, Any]) -> Annotation:
    lead_time, parent = raw.get("lead_time"), raw.get("parent_prediction")
    editor = raw.get("updated_by")
    return Annotation(
        id=int(raw["id"]),
        task_id=task_id,
        updated_at=str(raw["updated_at"]),
        annotator=int(raw.get("completed_by") or 0),
        regions=raw.get("result") or [],
        ground_truth=bool(raw.get("ground_truth")),
        lead_time_s=None if lead_time is None else float(lead_time),
        created_at=str(raw.get("created_at") or ""),
        parent_prediction=int(parent) if isinstance(parent, int) else None,
        edited_by=int(editor) if isinstance(editor, int) else None,
    )
