"""One storm: a round trains, real labels come in, and events beat on the backend meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from bench.crowd import slices
from bench.crowd.servers import Servers
from ml_backend.connect import connect_project
from ml_backend.jobs import Jobs
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.store import Store

from .events import Event
from .promises import Storm
from .sender import Sender, post_request, schedule

_ORDER_S, _ROUND_S, _QUIET_S = 300.0, 300.0, 8.0
_POLL_S = 0.5


class StormError(RuntimeError):
    """The storm cannot be made; the message says what did not come."""


@dataclass(frozen=True)
class Project:
    """A connected project whose first order is there."""

    id: int
    event: Event


@dataclass
class _Watch:
    """Sees whether a round is under way, while the storm lasts."""

    jobs: Jobs
    project: int
    ended: threading.Event = field(default_factory=threading.Event)
    under_way: list[bool] = field(default_factory=list)

    def run(self) -> None:
        while not self.ended.wait(_POLL_S):
            self.under_way.append(_runs(self.jobs, self.project))


class Weather:
    """Projects on running servers, and storms over them."""

    def __init__(self, servers: Servers, projects: int, tasks: int) -> None:
        """Make the projects, and wait for their orders. Raises StormError, LabelStudioError."""
        self._servers = servers
        self._jobs = Jobs.connect(servers.settings)
        self._config = BrushConfig.parse(slices.LABEL_CONFIG)
        self._labelled: set[int] = set()
        # The first one trains; the others are only stormed at.
        self._projects = [self._project(tasks if n == 0 else 20, n) for n in range(projects)]

    def _project(self, tasks: int, number: int) -> Project:
        servers = self._servers
        project = servers.label_studio.create_project(f"Storm {number}", slices.LABEL_CONFIG)
        servers.import_slices(project, range(tasks))
        connect_project(servers.settings, servers.label_studio, project, servers.backend_url)
        store = Store(servers.settings.store_root, project)
        self._await(lambda: store.current() is not None, _ORDER_S, "the first order")
        task = next(servers.label_studio.tasks(project))
        raw = {"id": task.id, "data": dict(task.data), "project": project, "is_labeled": False}
        return Project(project, Event(servers.label_studio.project(project), raw))

    def storm(self, events: int, seconds: float, seed: int, keep: bool) -> Storm:
        """Start a round, then let a storm break loose. Raises StormError."""
        first = self._projects[0].id
        before = {project.id: self._begun(project.id) for project in self._projects}
        self._label(first)
        self._await(lambda: _runs(self._jobs, first), _ROUND_S, "a round")
        watch = _Watch(self._jobs, first)
        # Real labels come meanwhile, enough for a round to wait behind the one that runs.
        others = [threading.Thread(target=watch.run), threading.Thread(target=self._label_quietly)]
        for thread in others:
            thread.start()
        due = schedule(events, seconds, seed)
        address = urlsplit(self._servers.backend_url)
        assert address.hostname is not None and address.port is not None
        sender = Sender((address.hostname, address.port), keep)
        secret = [f"X-Quorum-Secret: {self._servers.settings.webhook_secret}"]

        def request(index: int) -> bytes:
            project = self._projects[index % len(self._projects)]
            return post_request(address.netloc, "/webhook", secret, project.event.body(index), keep)

        try:
            outcomes = asyncio.run(sender.storm(due, request))
        finally:
            watch.ended.set()
            for thread in others:
                thread.join()
        ended = time.monotonic()
        self._settle()
        share = sum(watch.under_way) / max(1, len(watch.under_way))
        return Storm(
            style="kept connections" if keep else "a connection each",
            seconds=seconds,
            body_bytes=len(self._projects[0].event.body(0)),
            connections=sender.opened,
            outcomes=outcomes,
            rounds={p.id: self._begun(p.id) - before[p.id] for p in self._projects},
            trained_s=share * seconds,
            settled_s=time.monotonic() - ended - _QUIET_S,
        )

    def _begun(self, project: int) -> int:
        return self._jobs.state(project).number

    def _label_quietly(self) -> None:
        with suppress(httpx.HTTPError):
            self._label(self._projects[0].id)

    def _label(self, project: int) -> None:
        """Submit as many labels as make a round due."""
        store = Store(self._servers.settings.store_root, project)
        order = store.noted(str(store.current()), "order")["tasks"]
        numbers = {
            task.id: slices.number_in(task.data)
            for task in self._servers.label_studio.tasks(project)
        }
        settings = self._servers.settings
        count = settings.due_after + (0 if self._labelled else settings.evaluation_slices)
        chosen = [task for task in order if task not in self._labelled][:count]
        for task in chosen:
            regions = to_regions(slices.label_map(numbers[task]), self._config)
            self._servers.owner.post(
                f"/api/tasks/{task}/annotations/", json={"result": regions, "lead_time": 30.0}
            ).raise_for_status()
        self._labelled.update(chosen)

    def _settle(self) -> None:
        """Wait until nothing has run or waited for a while."""
        quiet = time.monotonic()
        limit = quiet + _ROUND_S
        while time.monotonic() < quiet + _QUIET_S:
            self._servers.supervisor.check()
            if any(_runs(self._jobs, project.id) for project in self._projects):
                quiet = time.monotonic()
            if time.monotonic() > limit:
                raise StormError(f"rounds did not end within {_ROUND_S:.0f} s after the storm")
            time.sleep(_POLL_S)

    def _await(self, ready: Callable[[], bool], timeout_s: float, what: str) -> None:
        limit = time.monotonic() + timeout_s
        while not ready():
            self._servers.supervisor.check()
            if time.monotonic() > limit:
                raise StormError(f"{what} did not come within {timeout_s:.0f} s")
            time.sleep(_POLL_S)


def _runs(jobs: Jobs, project: int) -> bool:
    latest = jobs.latest(project)
    return latest is not None and latest["job_status"] in ("started", "queued")
