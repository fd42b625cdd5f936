"""What Quorum attaches to a project: file storage, ML backend, webhook, Data Manager tabs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .attached import BACKEND_TITLE, SECRET_HEADER, Attached, same_address
from .probing import Probing
from .transport import LabelStudioError

# Label Studio asks the database twice for each filter of a tab, and SQLite allows about 1,000.
MOST_IN_TAB = 500


class Connecting(Attached, Probing):
    """The calls that attach something; a second one finds it there and renews it."""

    def add_local_files_storage(self, project_id: int, path: str, title: str) -> None:
        """Let a project serve files below a folder; a second call changes nothing."""
        params = {"project": project_id}
        for storage in self._json("GET", "/api/storages/localfiles/", params=params):
            if storage.get("path") == path:
                return
        body = {"project": project_id, "path": path, "title": title, "use_blob_urls": True}
        self._json("POST", "/api/storages/localfiles/", json=body)

    def connect_backend(self, project_id: int, url: str, user: str, password: str) -> None:
        """Connect an ML backend to a project; a second call renews the credentials."""
        body: dict[str, Any] = {
            "project": project_id,
            "url": url,
            "title": BACKEND_TITLE,
            "is_interactive": False,
        }
        if user:
            body |= {
                "auth_method": "BASIC_AUTH",
                "basic_auth_user": user,
                "basic_auth_pass": password,
            }
        for backend in self.backends(project_id):
            if same_address(backend["url"], [url]):
                self._call("PATCH", f"/api/ml/{backend['id']}", json=body, repeatable=True)
                return
        self._call("POST", "/api/ml/", json=body)

    def connect_webhook(self, project_id: int, url: str, secret: str) -> None:
        """Send a project's events to url with the shared secret in a header.

        Label Studio makes a webhook of its own when a backend is connected, without any
        authentication: it is taken over instead of doubled.
        """
        body = {
            "url": url,
            "project": project_id,
            "send_payload": True,
            "send_for_all_actions": True,
            "is_active": True,
            "headers": {SECRET_HEADER: secret} if secret else {},
        }
        same = [hook for hook in self.webhooks(project_id) if same_address(hook["url"], [url])]
        if same:
            path = f"/api/webhooks/{same[0]['id']}/"
            self._call("PATCH", path, json=body, repeatable=True)
            for double in same[1:]:
                self._call("DELETE", f"/api/webhooks/{double['id']}/")
        else:
            self._call("POST", "/api/webhooks/", json=body)

    def show_tab(
        self, project_id: int, title: str, task_ids: Sequence[int], ordering: str | None = None
    ) -> None:
        """Have a Data Manager tab of that title with exactly these tasks, 500 at most.

        Made, or found by its title and refilled; other tabs are left alone. Everybody in the
        organisation sees it. `ordering` is a column such as "tasks:updated_at", "-" before it for
        falling order; by default by task id. Without ids the tab is empty.
        """
        ids = list(dict.fromkeys(task_ids))[:MOST_IN_TAB]
        body = {
            "project": project_id,
            "data": {
                "title": title,
                "type": "list",
                "target": "tasks",
                "hiddenColumns": {"explore": _HIDDEN, "labeling": _HIDDEN},
                "columnsWidth": {},
                "columnsDisplayType": {},
                "gridWidth": 4,
                "filters": {"conjunction": "or", "items": _only(ids)},
                "ordering": [ordering] if ordering else ["tasks:id"],
            },
        }
        for tab in self._json("GET", "/api/dm/views/", params={"project": project_id}):
            if (tab.get("data") or {}).get("title") == title:
                try:
                    self._call("PATCH", f"/api/dm/views/{tab['id']}/", json=body, repeatable=True)
                    return
                except LabelStudioError as error:
                    if error.status != 404:  # somebody closed it meanwhile
                        raise
        self._call("POST", "/api/dm/views/", json=body)


# What helps to judge between annotators stays: who, how many, when, which annotations.
_HIDDEN = [
    "tasks:inner_id",
    "tasks:annotations_results",
    "tasks:predictions_results",
    "tasks:predictions_score",
    "tasks:predictions_model_versions",
    "tasks:file_upload",
    "tasks:storage_filename",
    "tasks:created_at",
    "tasks:updated_by",
    "tasks:draft_exists",
]


def _only(task_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Filters that together find these tasks and no others: runs of ids as ranges.

    The Data Manager's own operators alone: the API takes "in_list" as well, but the page replaces
    an operator that it does not offer by "=" once somebody opens the filters.
    """
    runs: list[list[int]] = []
    for task_id in sorted(set(task_ids)):
        if runs and task_id == runs[-1][1] + 1:
            runs[-1][1] = task_id
        else:
            runs.append([task_id, task_id])
    items = []
    for first, last in runs or [[0, 0]]:  # no task has the id 0
        alone = first == last
        value: Any = first if alone else {"min": first, "max": last}
        items.append(
            {
                "filter": "filter:tasks:id",
                "operator": "equal" if alone else "in",
                "type": "Number",
                "value": value,
            }
        )
    return items
