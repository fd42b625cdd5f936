"""Every call that Quorum makes to Label Studio; nothing else talks to it.

Paths and behaviour as seen with Label Studio 1.23.2. Tokens of both kinds work: a legacy token is
sent as it is, a personal access token (a refresh JWT) is exchanged for a short-lived bearer.
label-studio-sdk's client has no public way to fetch an image or to page through tasks without
their masks with either kind, so the calls are made with httpx.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

_PAGE = 500  # tasks in one page of a listing
_EXPORT_CHUNK = 50  # annotated tasks in one export request: full masks are large
_MAX_IMAGE_BYTES = 256 * 2**20
_Answer = TypeVar("_Answer")
SAMPLING = "Uncertainty sampling"


class LabelStudioError(RuntimeError):
    """Label Studio is down, refuses, or lacks what was asked; the message names the remedy."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LabelStudioDown(LabelStudioError):
    """Label Studio does not answer at all: no task is to blame."""


@dataclass(frozen=True)
class Task:
    """One slice as Label Studio lists it, without masks."""

    id: int
    data: Mapping[str, Any]
    is_labeled: bool  # has as many annotations as the project's overlap asks for
    annotations: int  # submitted, not skipped
    skipped: int


@dataclass(frozen=True)
class Annotation:
    """One annotator's submitted result for a task."""

    id: int
    task_id: int
    updated_at: str
    annotator: int
    regions: Sequence[Mapping[str, Any]]


class _TokenAuth(httpx.Auth):
    """Adds the Authorization header; renews a personal access token's bearer when it expires."""

    requires_response_body = True

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._api_key = api_key
        self._is_personal = api_key.count(".") == 2  # a JWT
        self._bearer = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._is_personal:
            request.headers["Authorization"] = f"Token {self._api_key}"
            yield request
            return
        if self._bearer:
            request.headers["Authorization"] = f"Bearer {self._bearer}"
            response = yield request
            if response.status_code != 401:
                return
        renewed = yield httpx.Request(
            "POST", f"{self._url}/api/token/refresh/", json={"refresh": self._api_key}
        )
        if renewed.is_success:
            self._bearer = str(renewed.json()["access"])
        # With an expired token the request goes out without a bearer, and its 401 tells.
        request.headers["Authorization"] = f"Bearer {self._bearer}"
        yield request


class LabelStudio:
    """A connection to one Label Studio as one user."""

    def __init__(self, url: str, api_key: str, timeout_s: float = 60.0) -> None:
        self.url = url.rstrip("/")
        if not api_key:
            raise LabelStudioError(
                "no Label Studio token is set: copy one from Account & Settings > Access Token "
                "(or Personal Access Token) and set LABEL_STUDIO_API_KEY"
            )
        # Redirects are not followed: they could carry the token to another host.
        self._http = httpx.Client(
            base_url=self.url,
            auth=_TokenAuth(self.url, api_key),
            timeout=timeout_s,
            trust_env=False,
        )

    def __enter__(self) -> LabelStudio:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    # -- reading ------------------------------------------------------------------------------

    def whoami(self) -> str:
        """The e-mail of the token's user. Raises LabelStudioError if the token is refused."""
        return str(self._json("GET", "/api/current-user/whoami").get("email", ""))

    def version(self) -> str:
        """Label Studio's release, such as 1.23.2."""
        return str(self._json("GET", "/api/version").get("release", "unknown"))

    def project(self, project_id: int) -> dict[str, Any]:
        """A project's settings and counts."""
        found: dict[str, Any] = self._json("GET", f"/api/projects/{project_id}")
        return found

    def project_ids(self) -> list[int]:
        """Ids of the projects that this user can see."""
        listed = self._json("GET", "/api/projects", params={"page_size": 10_000, "include": "id"})
        return [int(p["id"]) for p in listed["results"]]

    def project_titled(self, title: str) -> int | None:
        """Id of the oldest project of that title that this user can see, None if there is none."""
        params = {"page_size": 10_000, "include": "id,title"}
        listed = self._json("GET", "/api/projects", params=params)
        return min((int(p["id"]) for p in listed["results"] if p["title"] == title), default=None)

    def tasks(self, project_id: int) -> Iterator[Task]:
        """All tasks of a project in the order of their ids, page by page, without masks."""
        include = "id,data,is_labeled,total_annotations,cancelled_annotations"
        for raw in self._task_pages(project_id, include):
            yield Task(
                id=int(raw["id"]),
                data=raw.get("data") or {},
                is_labeled=bool(raw.get("is_labeled")),
                annotations=int(raw.get("total_annotations") or 0),
                skipped=int(raw.get("cancelled_annotations") or 0),
            )

    def task_values(self, project_id: int, key: str) -> set[str]:
        """The values that a project's tasks hold under a key of their data."""
        pages = self._task_pages(project_id, "id,data")
        return {str(raw["data"][key]) for raw in pages if key in (raw.get("data") or {})}

    def _task_pages(self, project_id: int, include: str) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            listed = self._json(
                "GET",
                "/api/tasks",
                params={
                    "project": project_id,
                    "fields": "all",
                    "include": include,
                    "page": page,
                    "page_size": _PAGE,
                },
            )
            yield from listed["tasks"]
            if page * _PAGE >= int(listed["total"]):
                return
            page += 1

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
                        yield Annotation(
                            id=int(raw["id"]),
                            task_id=int(task["id"]),
                            updated_at=str(raw["updated_at"]),
                            annotator=int(raw.get("completed_by") or 0),
                            regions=raw.get("result") or [],
                        )

    def image(self, url: str) -> bytes:
        """The bytes of a task's image, which must be served by this Label Studio.

        Raises LabelStudioError if it is gone, too large, or on another host.
        """
        target = urljoin(self.url + "/", url)
        if urlsplit(target)[:2] != urlsplit(self.url)[:2]:
            # Neither the token nor a request goes to a host that only a task's data names.
            raise LabelStudioError(
                "the image is not served by Label Studio: import it there "
                "(./quorum import), or add its storage to the project"
            )

        def read() -> bytes:
            with self._http.stream("GET", target) as response:
                if response.status_code != 200:
                    raise LabelStudioError(
                        f"the image is gone or refused (HTTP {response.status_code}): "
                        "import the slice again, or delete the task",
                        response.status_code,
                    )
                content = bytearray()
                for piece in response.iter_bytes():
                    content += piece
                    if len(content) > _MAX_IMAGE_BYTES:
                        raise LabelStudioError("the image is larger than 256 MiB")
                return bytes(content)

        return _readable(self.url, read)

    # -- writing ------------------------------------------------------------------------------

    def create_project(self, title: str, label_config: str) -> int:
        """Create a project; its id."""
        body = {"title": title, "label_config": label_config, "sampling": SAMPLING}
        return int(self._json("POST", "/api/projects", json=body)["id"])

    def upload_images(self, project_id: int, images: Mapping[str, bytes]) -> dict[str, str]:
        """Upload PNGs and JPEGs, name → bytes; the address that each has in Label Studio."""
        # Each needs a field of its own: of one field's files Label Studio keeps the last.
        files = {name: (name, content, _media_type(name)) for name, content in images.items()}
        reply = self._json(
            "POST",
            f"/api/projects/{project_id}/import",
            params={"commit_to_project": "false"},
            files=files,
        )
        ids = reply["file_upload_ids"]
        listed = self._json(
            "GET", f"/api/projects/{project_id}/file-uploads", params={"ids": json.dumps(ids)}
        )
        # Label Studio prefixes each name with eight hex digits and a dash.
        stored = {entry["file"].rsplit("/", 1)[-1].split("-", 1)[1]: entry for entry in listed}
        missing = [name for name in images if name not in stored]
        if missing:
            raise LabelStudioError(
                f"Label Studio kept {len(images) - len(missing)} of {len(images)} images: "
                "check its disk and its upload limits"
            )
        return {name: f"/data/{stored[name]['file']}" for name in images}

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> int:
        """Create tasks, each {"data": {…}}; how many were created."""
        reply = self._json("POST", f"/api/projects/{project_id}/import", json=list(tasks))
        return int(reply["task_count"])

    def add_local_files_storage(self, project_id: int, path: str, title: str) -> None:
        """Let a project serve files below a folder; a second call changes nothing."""
        params = {"project": project_id}
        for storage in self._json("GET", "/api/storages/localfiles/", params=params):
            if storage.get("path") == path:
                return
        body = {"project": project_id, "path": path, "title": title, "use_blob_urls": True}
        self._json("POST", "/api/storages/localfiles/", json=body)

    def push_predictions(
        self, project_id: int, predictions: Sequence[Mapping[str, Any]], chunk: int, pause_s: float
    ) -> int:
        """Store predictions in chunks, in their order; how many were stored.

        A task that was deleted meanwhile is left out. Raises LabelStudioError if Label Studio
        stores fewer than it was sent, for it drops what it finds invalid without a word.
        """
        stored = 0
        for start in range(0, len(predictions), chunk):
            part = list(predictions[start : start + chunk])
            try:
                created = self._import_predictions(project_id, part)
            except LabelStudioError as error:
                if error.status != 400:
                    raise
                known = {task.id for task in self.tasks(project_id)}
                part = [p for p in part if p["task"] in known]
                created = self._import_predictions(project_id, part) if part else 0
            if created != len(part):
                raise LabelStudioError(
                    f"Label Studio stored {created} of {len(part)} predictions: was the label "
                    "config changed during the round? Start training again"
                )
            stored += created
            if start + chunk < len(predictions):
                time.sleep(pause_s)
        return stored

    def _import_predictions(self, project_id: int, part: Sequence[Mapping[str, Any]]) -> int:
        path = f"/api/projects/{project_id}/import/predictions"
        return int(self._json("POST", path, json=list(part))["created"])

    def delete_predictions(self, project_id: int, version: str) -> None:
        """Remove the predictions of one version."""
        path = f"/api/projects/{project_id}/model-versions/"
        self._call("DELETE", path, json={"model_version": version})

    def serve_order_of(self, project_id: int, version: str) -> None:
        """Make "next task" follow the scores of a version's predictions, lowest first."""
        body = {"sampling": SAMPLING, "model_version": version}
        self._call("PATCH", f"/api/projects/{project_id}", json=body)

    def connect_backend(self, project_id: int, url: str, user: str, password: str) -> None:
        """Connect an ML backend to a project; a second call renews the credentials."""
        body: dict[str, Any] = {
            "project": project_id,
            "url": url,
            "title": "Quorum committee",
            "is_interactive": False,
        }
        if user:
            body |= {
                "auth_method": "BASIC_AUTH",
                "basic_auth_user": user,
                "basic_auth_pass": password,
            }
        for backend in self._json("GET", "/api/ml/", params={"project": project_id}):
            if str(backend["url"]).rstrip("/") == url.rstrip("/"):
                self._call("PATCH", f"/api/ml/{backend['id']}", json=body)
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
            "headers": {"X-Quorum-Secret": secret} if secret else {},
        }
        hooks = self._json("GET", "/api/webhooks/", params={"project": project_id})
        same = [hook for hook in hooks if str(hook["url"]).rstrip("/") == url.rstrip("/")]
        if same:
            self._call("PATCH", f"/api/webhooks/{same[0]['id']}/", json=body)
            for double in same[1:]:
                self._call("DELETE", f"/api/webhooks/{double['id']}/")
        else:
            self._call("POST", "/api/webhooks/", json=body)

    # -- transport ----------------------------------------------------------------------------

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._call(method, path, **arguments)
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(
                f"{self.url} answered {path} with something else than JSON: is it a Label Studio?"
            ) from None

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        response = _readable(self.url, lambda: self._http.request(method, path, **arguments))
        if response.status_code in (401, 403):
            raise LabelStudioError(
                f"{self.url} refuses the token (HTTP {response.status_code}): check "
                "LABEL_STUDIO_API_KEY, and that this kind of token is enabled in the organisation",
                response.status_code,
            )
        if response.is_redirect:
            raise LabelStudioError(
                f"{self.url} redirects {path}: set LABEL_STUDIO_URL to the final address, "
                "https:// included",
                response.status_code,
            )
        if response.is_error:
            raise LabelStudioError(
                f"{self.url} answered {method} {path} with HTTP {response.status_code}"
                f"{_detail(response)}",
                response.status_code,
            )
        return response


def _readable(url: str, call: Callable[[], _Answer]) -> _Answer:
    try:
        return call()
    except httpx.TimeoutException:
        raise LabelStudioDown(f"{url} did not answer in time: is Label Studio busy?") from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise LabelStudioDown(
            f"{url} cannot be reached: check LABEL_STUDIO_URL and that Label Studio is running"
        ) from None


def _detail(response: httpx.Response) -> str:
    """Label Studio's own words about an error, without values that a task might hold."""
    try:
        body = response.json()
    except ValueError:
        return ""
    detail = body.get("detail") if isinstance(body, dict) else None
    return f" ({str(detail)[:120]})" if detail else ""


def _media_type(name: str) -> str:
    return "image/png" if name.endswith(".png") else "image/jpeg"
