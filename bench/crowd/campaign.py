"""One crowd's run from the import to the recording: project, watcher, and a manager's changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ml_backend.connect import connect_project
from ml_backend.jobs import Jobs
from ml_backend.label_studio import LabelStudioError
from ml_backend.store import Store, StoreError

from . import slices
from .annotators import SKIPS, TOO_LARGE, Crowd
from .read_back import read_back, selected
from .recording import DELETED, IMPORTED, Changed, Recording, Seen
from .servers import Servers

LATE, DELETIONS = 100, 20  # tasks imported and deleted in the middle, or a fifth of a small pool
_WATCH_S = 1.0
_FIRST_ORDER_S = 600.0
_LAST_BATCH_S = 90.0  # how long the last round's batch may take to be handed out
_JOINING_S = 120.0
_SAY_S = 15.0


class CampaignError(RuntimeError):
    """The run cannot go on; the message says where it stopped."""


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    tasks: int
    annotators: int
    overlap: int
    rounds: int
    think_s: float
    minutes: float  # of labelling, at most
    seed: int


class Campaign:
    """A project on running servers, and everything that happens to it."""

    def __init__(self, servers: Servers, size: Size, say: Callable[[str], None]) -> None:
        self._servers, self._size, self._say = servers, size, say
        self._server = servers.label_studio
        self.project_id = self._server.create_project("Crowd", slices.LABEL_CONFIG)
        servers.owner.patch(
            f"/api/projects/{self.project_id}", json={"maximum_annotations": size.overlap}
        ).raise_for_status()
        self._store = Store(servers.settings.store_root, self.project_id)
        self.recording = Recording(size.overlap, size.rounds)
        self._orders: dict[str, list[int]] = {}
        self._deleted: set[int] = set()
        self._task_ids: set[int] = set()
        self._ended = threading.Event()

    def run(self) -> Recording:
        """Import, connect, label, change, and read back.

        Raises CampaignError, ServiceError, LabelStudioError.
        """
        size, record, servers = self._size, self.recording, self._servers
        self._import(range(size.tasks), f"{size.tasks} slices")
        self._say(f"Signing up {size.annotators} annotators …")
        accounts = [servers.sign_up(f"reader{n:02d}") for n in range(size.annotators)]
        self._say("Connecting; the first order is made …")
        connect_project(
            self._servers.settings, self._server, self.project_id, self._servers.backend_url
        )
        self._await(self._is_served, _FIRST_ORDER_S, "the first order")
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        crowd = Crowd(self.project_id, accounts, record, size.think_s, size.seed, self._deleted)
        crowd.start()
        started = time.time()
        try:
            self._label(started + 60 * size.minutes)
        finally:
            crowd.stop()
            self._ended.set()
            watcher.join()
        large, skipped = accounts[0][1], f"{100 * SKIPS:.0f} % skipped"
        record.facts |= {
            "tasks": f"{size.tasks}, later {self._late()} more",
            "annotators": f"{size.annotators}, each task read by {size.overlap}, {skipped}; "
            f"annotator {large} draws all radii {TOO_LARGE} times too large",
            "labelling": f"{time.time() - started:.0f} s, seed {size.seed}",
        }
        self._say("Reading back what Label Studio and the store hold …")
        read_back(servers.label_studio, servers.settings, self._store, self.project_id, record)
        return record

    # -- while the crowd works ------------------------------------------------------------------

    def _label(self, limit: float) -> None:
        """Until the last round's batch is handed out; in the middle a manager changes the pool."""
        changed, last_live, said = False, 0.0, 0.0
        while time.time() < limit:
            self._servers.supervisor.check()
            trained = self._trained_and_served()
            if not changed and len(trained) >= self._size.rounds / 2:
                changed = True
                self._change()
            if len(trained) >= self._size.rounds and changed:
                last_live = last_live or time.time()
                done = self._batch_is_out(trained[-1])
                if done or time.time() > last_live + _LAST_BATCH_S:
                    return
            if time.time() > said + _SAY_S:
                said = time.time()
                self._say(
                    f"{len(self.recording.answered):>6} annotations, {len(trained)} of "
                    f"{self._size.rounds} rounds, {limit - said:.0f} s left at most"
                )
            time.sleep(_WATCH_S)

    def _change(self) -> None:
        """Import tasks and delete others, as a manager does while people work."""
        begun = time.time()
        self._import(range(self._size.tasks, self._size.tasks + self._late()), "late slices")
        late = set(self.recording.changed[-1].tasks)
        self._delete()
        with suppress(CampaignError):  # the check on late tasks says so
            self._await(lambda: late - self._deleted <= self._queued(), _JOINING_S, "late tasks")
            self.recording.joined_s.append(round(time.time() - begun, 1))

    def _late(self) -> int:
        return min(LATE, self._size.tasks // 5)

    def _delete(self) -> None:
        """Delete some that nobody has had yet: half of them the next to be served."""
        had = {asked.task for asked in list(self.recording.asked)}
        current = self._store.current()
        order = self._store.noted(current, "order")["tasks"] if current else []
        waiting = [task for task in order if task not in had]
        count = min(DELETIONS, self._size.tasks // 25, len(waiting) // 2)
        # Not the very next ones: those are being handed out at this moment.
        ahead = waiting[2 * self._size.annotators :]
        draw = np.random.default_rng(self._size.seed)
        chosen = ahead[: count // 2]
        rest = ahead[count // 2 :]
        picked = draw.choice(len(rest), min(count - len(chosen), len(rest)), replace=False)
        chosen += [rest[index] for index in picked]
        self._deleted.update(chosen)
        begun = time.time()
        self._servers.owner.post(
            "/api/dm/actions",
            params={"id": "delete_tasks", "project": self.project_id},
            json={"selectedItems": {"all": False, "included": chosen}},
        ).raise_for_status()
        self.recording.changed.append(Changed(DELETED, chosen, begun, time.time()))
        self._say(f"{len(chosen)} tasks deleted.")

    def _import(self, numbers: range, what: str) -> None:
        begun = time.time()
        self._say(f"Importing {what} …")
        self._servers.import_slices(self.project_id, numbers)
        there = {task.id for task in self._server.tasks(self.project_id)}
        new = sorted(there - self._task_ids)
        self._task_ids |= there
        self.recording.changed.append(Changed(IMPORTED, new, begun, time.time()))

    def _watch(self) -> None:
        """See which version Label Studio serves, and what the loop complains of."""
        jobs = Jobs.connect(self._servers.settings)
        told = set()
        while not self._ended.wait(_WATCH_S):
            begun = time.time()
            with suppress(LabelStudioError):
                version = str(self._server.project(self.project_id).get("model_version") or "")
                self.recording.seen.append(Seen(version, begun, time.time()))
            latest = jobs.latest(self.project_id) or {}
            if latest.get("error") and latest["error"] not in told:
                told.add(latest["error"])
                self.recording.troubles.append(f"a round failed: {latest['error']}")

    def _trained_and_served(self) -> list[str]:
        served = {seen.version for seen in list(self.recording.seen)}
        return [v for v in self._store.versions() if v in served and self._training_tasks(v)]

    def _training_tasks(self, version: str) -> list[int]:
        try:
            return list(self._store.metadata(version)["training_tasks"])
        except StoreError:  # older than what is kept
            return []

    def _batch_is_out(self, version: str) -> bool:
        had = {asked.task for asked in list(self.recording.asked)} | self._deleted
        return had >= set(selected(self._store.noted(version, "order")))

    def _queued(self) -> set[int]:
        current = self._store.current()
        return set(self._store.noted(current, "order").get("tasks", [])) if current else set()

    def _is_served(self) -> bool:
        current = self._store.current()
        project = self._server.project(self.project_id)
        return current is not None and project["model_version"] == current

    def _await(self, ready: Callable[[], bool], timeout_s: float, what: str) -> None:
        limit = time.monotonic() + timeout_s
        while not ready():
            self._servers.supervisor.check()
            if time.monotonic() > limit:
                raise CampaignError(f"{what} did not come within {timeout_s:.0f} s")
            time.sleep(_WATCH_S)
