"""One fault's project: made, labelled, read back as an EndState, and removed."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import httpx

from demo.crowd import CrowdError
from ml_backend.connect import connect_project
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.store import Store, StoreError, number_of

from . import slices
from .servers import Servers
from .state import EndState

_RETRY_S = 0.5
_GIVE_UP_S = 90.0


class ProjectError(RuntimeError):
    """The scenario cannot go on; the message says where it stopped."""


class Project:
    """A fresh project of slices.COUNT slices on the running servers."""

    def __init__(self, servers: Servers, title: str) -> None:
        self.servers = servers
        self.server = servers.label_studio
        self.id = self.server.create_project(title, slices.LABEL_CONFIG)
        self.config = BrushConfig.parse(slices.LABEL_CONFIG)
        names = {f"s{number:02d}.png": number for number in range(slices.COUNT)}
        addresses = self.server.upload_images(
            self.id, {name: slices.png(number) for name, number in names.items()}
        )
        self.server.import_tasks(
            self.id, [{"data": slices.task_data(n, addresses[name])} for name, n in names.items()]
        )
        self.api = httpx.Client(
            base_url=self.server.url,
            headers={"Authorization": f"Token {servers.owner_token}"},
            timeout=30.0,
            trust_env=False,
        )
        self.store = Store(servers.store, self.id)
        self.number_of_task = {
            int(task["id"]): slices.number_in(task["data"]) for task in self._tasks()
        }
        self.task_of_number = {number: task for task, number in self.number_of_task.items()}

    # -- what people do -----------------------------------------------------------------------

    def connect(self) -> None:
        """Hook the project up; its first order will be made."""
        connect_project(self.servers.settings, self.server, self.id, self.servers.backend_url)

    def label(self, number: int) -> None:
        """Submit a slice's annotation; an annotator presses Submit again until it is stored.

        Raises ProjectError if Label Studio does not come back.
        """
        task = self.task_of_number[number]
        regions = to_regions(slices.label_map(number), self.config)
        limit = time.monotonic() + _GIVE_UP_S
        while True:
            with suppress(httpx.HTTPError, CrowdError):
                self.servers.annotator.submit(self.id, task, regions, lead_time_s=30.0)
                return
            if time.monotonic() > limit:
                raise ProjectError(f"Label Studio did not take a label within {_GIVE_UP_S:.0f} s")
            time.sleep(_RETRY_S)
            # The answer may have been lost, and not the label: the reloaded page shows it.
            with suppress(httpx.HTTPError, ValueError):
                shown = self.api.get(f"/api/tasks/{task}/annotations/")
                if shown.is_success and shown.json():
                    return

    def next_slice(self) -> int | None:
        """The slice that an annotator is served now, who then holds it."""
        task = self.servers.checker.next_task(self.id)
        return None if task is None else self.number_of_task[int(task["id"])]

    def press_start_training(self) -> None:
        """The manager's button. Raises ProjectError if it is refused."""
        (backend,) = self.api.get("/api/ml/", params={"project": self.id}).json()
        if self.api.post(f"/api/ml/{backend['id']}/train", json={}).is_error:
            raise ProjectError("Label Studio refused to start the training")

    # -- what can be seen ---------------------------------------------------------------------

    def order(self, version: str) -> list[int]:
        """The order that the store noted for a version, as slices' numbers."""
        noted = self.store.noted(version, "order").get("tasks", [])
        return [self.number_of_task[task] for task in noted if task in self.number_of_task]

    def state(self) -> EndState:
        """How the project stands; httpx.HTTPError or StoreError if it cannot be read now."""
        raw = self.api.get(f"/api/projects/{self.id}").raise_for_status().json()
        served = str(raw["model_version"] or "")
        current = self.store.current() or ""
        metadata = self.store.metadata(current) if current else {}
        labels: dict[int, tuple[str, ...]] = {}
        open_slices = []
        predictions: dict[int, tuple[tuple[float, str], ...]] = {}
        for task in self._tasks():
            number = self.number_of_task[int(task["id"])]
            if made := [a for a in task["annotations"] if not a.get("was_cancelled")]:
                labels[number] = tuple(sorted(_digest(a["result"]) for a in made))
            if not task["is_labeled"]:
                open_slices.append(number)
            predictions[number] = tuple(
                sorted(
                    (float(p["score"]), _digest(p["result"]))
                    for p in task["predictions"]
                    if p["model_version"] == served
                )
            )
        return EndState(
            labels=labels,
            open_slices=tuple(sorted(open_slices)),
            served=served,
            current=current,
            number=number_of(current) if current else -1,
            trained_on=self._numbers(metadata.get("training_tasks", [])),
            evaluated_on=self._numbers(metadata.get("evaluation_tasks", [])),
            weights=self._weights(current) if current else "",
            predictions=predictions,
            noted=tuple(self.order(current)) if current else (),
            unreadable=tuple(self._unreadable()),
        )

    def _numbers(self, tasks: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted(self.number_of_task[task] for task in tasks))

    def _weights(self, version: str) -> str:
        digest = hashlib.sha256()
        for state in self.store.states(version):
            for name in sorted(state):
                digest.update(name.encode())
                digest.update(state[name].numpy().tobytes())
        return digest.hexdigest()[:16]

    def _unreadable(self) -> list[str]:
        found = []
        for version in self.store.versions():
            try:
                self.store.metadata(version)
                self.store.states(version)
            except StoreError:
                found.append(version)
        return found

    def _tasks(self) -> list[dict[str, Any]]:
        size = 10 * slices.COUNT
        params: dict[str, str | int] = {"project": self.id, "fields": "all", "page_size": size}
        listed = self.api.get("/api/tasks", params=params).raise_for_status().json()
        tasks: list[dict[str, Any]] = listed["tasks"]
        return tasks

    # -- webhooks -----------------------------------------------------------------------------

    def switch_webhook(self, active: bool) -> None:
        """Turn the project's webhook off or on again, as its page in Label Studio does."""
        for hook in self._webhooks():
            body = {"is_active": active}
            self.api.patch(f"/api/webhooks/{hook['id']}/", json=body).raise_for_status()

    def double_webhook(self) -> None:
        """Add the webhook a second time: every event is then delivered twice."""
        (hook,) = self._webhooks()
        body = {key: hook[key] for key in ("url", "send_payload", "headers", "is_active")}
        body |= {"project": self.id, "send_for_all_actions": True}
        self.api.post("/api/webhooks/", json=body).raise_for_status()

    def send_event_again(self) -> None:
        """Deliver an annotator's event once more, late, as a retrying proxy does."""
        secret = self.servers.settings.webhook_secret
        body = {"action": "ANNOTATION_CREATED", "project": {"id": self.id}, "annotation": {}}
        address = f"{self.servers.backend_url}/webhook"
        httpx.post(address, json=body, headers={"X-Quorum-Secret": secret}, trust_env=False)

    def _webhooks(self) -> list[dict[str, Any]]:
        found = self.api.get("/api/webhooks/", params={"project": self.id}).raise_for_status()
        hooks: list[dict[str, Any]] = found.json()
        return hooks

    def remove(self) -> None:
        """Delete the project, and what Quorum keeps of it: each would be reconciled for ever."""
        with suppress(httpx.HTTPError):
            self.api.delete(f"/api/projects/{self.id}/")
        self.api.close()
        folder = self.servers.store / "projects" / str(self.id)
        shutil.rmtree(folder, ignore_errors=True)


def _digest(result: Iterable[Mapping[str, Any]]) -> str:
    """Of what was drawn; regions' ids differ each time."""
    drawn = [
        [region["type"], region["value"].get("brushlabels"), region["value"].get("rle")]
        for region in result
    ]
    return hashlib.sha256(json.dumps(sorted(drawn, key=repr)).encode()).hexdigest()[:12]
