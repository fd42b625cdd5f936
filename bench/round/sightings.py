"""What is seen of a round while it is made: jobs in Redis, files in the store, Label Studio.

The times are the round's own: RQ notes when a job was queued, begun and ended, and a file's time
tells when a step had made it. Looking often only serves to see them before they are cleared away.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from ml_backend.jobs import Jobs
from ml_backend.moments import moment
from ml_backend.settings import Settings

_LOOK_S = 0.1
_TIMES = ("enqueued_at", "started_at", "ended_at")


@dataclass
class Sightings:
    """Unix seconds of all that was seen, JSON-able."""

    # By job id: what it is, {queued, began, ended} as far as it came, and its worker.
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    # When each file of the store was written, by its path below the project's folder.
    files: dict[str, list[float]] = field(default_factory=dict)
    # When Label Studio's events came in.
    webhooks: list[float] = field(default_factory=list)
    # Rounds by number, when Redis says that they began.
    rounds: dict[str, float] = field(default_factory=dict)
    # When a part of a step first told of progress: "push" of round 2 as "2 push".
    progress: dict[str, float] = field(default_factory=dict)


class Watcher:
    """Looks again and again in a thread of its own, until it is stopped."""

    def __init__(self, settings: Settings, project_id: int) -> None:
        self.seen = Sightings()
        self._jobs = Jobs.connect(settings)
        self._project_id = project_id
        self._folder = Path(settings.store_root) / "projects" / str(project_id)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            with suppress(RedisError):
                self._look()

    def _look(self) -> None:
        seen, redis = self.seen, self._jobs.redis
        _note_files(self._folder, seen.files)
        prefix = f"quorum:project:{self._project_id}"
        arrived: Any = redis.get(f"{prefix}:arrived")
        if arrived and float(arrived) not in seen.webhooks[-1:]:
            seen.webhooks.append(float(arrived))
        running = self._jobs.state(self._project_id).running()
        if running:
            number = running["number"]
            seen.rounds.setdefault(number, float(running["started"]))
            for name in running:
                if name.startswith("at:"):
                    step = running[name].split('"')[1]
                    seen.progress.setdefault(f"{number} {step}", time.time())
        _note_jobs(redis, seen.jobs)


def _note_files(folder: Path, files: dict[str, list[float]]) -> None:
    for below in ("", "notes", "versions"):
        _note_folder(folder / below, below, files)
    with suppress(FileNotFoundError), os.scandir(folder / "work") as versions:
        for version in versions:
            name = f"work/{version.name}"
            _note_folder(folder / name, name, files)


def _note_folder(folder: Path, name: str, files: dict[str, list[float]]) -> None:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.name.startswith("."):
                    continue
                written = files.setdefault(f"{name}/{entry.name}".lstrip("/"), [])
                at = entry.stat().st_mtime
                if at not in written[-1:]:
                    written.append(at)


def _note_jobs(redis: Redis, jobs: dict[str, dict[str, Any]]) -> None:
    for key in redis.scan_iter("rq:job:*", count=500):
        job_id = key.decode().removeprefix("rq:job:")
        known = jobs.get(job_id)
        if known and known.get("ended"):
            continue
        wanted = ("description", "worker_name", *_TIMES)
        with suppress(RedisError):  # a list of dependents, or gone
            values: list[bytes | None] = redis.hmget(key, wanted)  # type: ignore[assignment]
            if values[0] is not None:
                jobs[job_id] = _job(dict(zip(wanted, values, strict=True)))


def _job(fields: Mapping[str, bytes | None]) -> dict[str, Any]:
    read = {name: (value or b"").decode() for name, value in fields.items()}
    times = {
        name: when.timestamp()
        for name, of in zip(("queued", "began", "ended"), _TIMES, strict=True)
        if (when := moment(read[of])) is not None
    }
    return {"what": read["description"], "worker": read["worker_name"][:8], **times}
