"""What is attached to a project, as Label Studio tells it, and taking it off again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .reading import Reading
from .transport import LabelStudioError

BACKEND_TITLE = "Quorum committee"
SECRET_HEADER = "X-Quorum-Secret"


class Attached(Reading):
    """The calls about ML backends, webhooks and tabs; what is gone already is no error."""

    def backends(self, project_id: int) -> list[dict[str, Any]]:
        """A project's ML backends; Label Studio calls each of them first, so `state` is of now."""
        return list(self._json("GET", "/api/ml/", params={"project": project_id}))

    def webhooks(self, project_id: int | None = None) -> list[dict[str, Any]]:
        """A project's webhooks, or all of the organisation's; their headers hold the secret."""
        params = {} if project_id is None else {"project": project_id}
        return list(self._json("GET", "/api/webhooks/", params=params))

    def disconnect_backend(self, project_id: int, urls: Collection[str]) -> int:
        """Take the ML backends at some addresses off a project; how many there were."""
        removed = 0
        for backend in self.backends(project_id):
            if same_address(backend["url"], urls):
                removed += self._remove(f"/api/ml/{backend['id']}")
        return removed

    def disconnect_webhook(self, project_id: int, urls: Collection[str]) -> int:
        """Take the webhooks to some addresses off a project; how many there were."""
        removed = 0
        for hook in self.webhooks(project_id):
            if same_address(hook["url"], urls):
                removed += self._remove(f"/api/webhooks/{hook['id']}/")
        return removed

    def remove_tabs(self, project_id: int, titles: Collection[str]) -> int:
        """Remove a project's Data Manager tabs of some titles; how many there were."""
        removed = 0
        for tab in self._json("GET", "/api/dm/views/", params={"project": project_id}):
            if (tab.get("data") or {}).get("title") in titles:
                removed += self._remove(f"/api/dm/views/{tab['id']}/")
        return removed

    def restore_order(self, project_id: int, sampling: str, model_version: str) -> None:
        """Serve tasks by another rule and version again; "" is no version.

        A version that no prediction is of any more becomes none.
        """
        path, body = f"/api/projects/{project_id}", {"sampling": sampling}
        try:
            named = {**body, "model_version": model_version}
            self._call("PATCH", path, json=named, repeatable=True)
        except LabelStudioError as error:
            if error.status != 400 or not model_version:
                raise
            self._call("PATCH", path, json={**body, "model_version": ""}, repeatable=True)

    def _remove(self, path: str) -> int:
        try:
            self._call("DELETE", path, repeatable=True)
        except LabelStudioError as error:
            if error.status != 404:
                raise
            return 0
        return 1


def same_address(url: object, urls: Collection[str]) -> bool:
    """Whether an address is one of some, with or without a slash at its end."""
    return str(url).rstrip("/") in {other.rstrip("/") for other in urls}


def is_ours(attached: Mapping[str, Any]) -> bool:
    """Whether an ML backend or a webhook was made by a Quorum, at whatever address."""
    headers = attached.get("headers")
    if isinstance(headers, dict):
        return any(name.lower() == SECRET_HEADER.lower() for name in headers)
    return attached.get("title") == BACKEND_TITLE
