"""Asking for looks and rounds, and how they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job

from ..rounds.graph import ORDER_OF_KINDS
from ..settings import Settings
from ..store import project_ids
from .errands import Errands
from .errors import DOWN, JobsError
from .names import HEAVY, QUICK
from .state import ProjectState, known_projects

_LOOK_HELD_S = 120
_CANCELLED_S = 3600.0


@dataclass(frozen=True)
class Jobs:
    """The queues, and what is known of rounds."""

    redis: Redis
    settings: Settings

    @classmethod
    def connect(cls, settings: Settings) -> Jobs:
        """The queues at the settings' Redis; connects on first use."""
        redis = Redis.from_url(settings.redis_url, socket_connect_timeout=1.0, socket_timeout=5.0)
        return cls(redis, settings)

    def state(self, project_id: int) -> ProjectState:
        """A project's part of Redis."""
        return ProjectState(self.redis, project_id)

    @property
    def errands(self) -> Errands:
        """What people ask for beside rounds."""
        return Errands(self.redis, self.settings, self.enqueue)

    # -- asking ---------------------------------------------------------------------------------

    def request_look(self, project_id: int) -> str:
        """Ask for a look at a project, which starts a round if one is due; a name for status().

        Raises JobsError if Redis is down.
        """
        try:
            if self.state(project_id).ask_for_look(_LOOK_HELD_S):
                self.enqueue(QUICK, "look_job", project_id)
        except RedisError:
            raise JobsError(
                f"{DOWN}; the project will be looked at by the periodic check"
            ) from None
        return f"look-{project_id}"

    def request_round(self, project_id: int, force: bool = False) -> str:
        """Ask for a round of a project; a name for status().

        `force` makes one even if nothing is due. Raises JobsError if Redis is down.
        """
        try:
            number = self.state(project_id).ask_for_round(force)
            self.enqueue(QUICK, "advance_job", project_id)
        except RedisError:
            raise JobsError(f"{DOWN}, then ask again") from None
        return f"round-{project_id}-{number}"

    def cancel(self, project_id: int, hold_s: float = _CANCELLED_S) -> None:
        """End the running round, and let none wait nor begin by itself for some time.

        Raises JobsError if Redis is down.
        """
        try:
            state = self.state(project_id)
            state.cancel(hold_s)
            for name, job_id in state.running().items():
                if name.startswith("job:"):
                    self._stop(job_id)
            self.enqueue(QUICK, "advance_job", project_id)
        except RedisError:
            raise JobsError(DOWN) from None

    def _stop(self, job_id: str) -> None:
        with suppress(NoSuchJobError, InvalidJobOperation):
            job = Job.fetch(job_id, connection=self.redis)
            if job.is_started:
                send_stop_job_command(self.redis, job_id)
            elif job.is_queued:
                job.cancel()

    def enqueue(
        self,
        queue: str,
        function: str,
        *arguments: Any,
        job_id: str | None = None,
        module: str = "work",
        first: bool = False,
    ) -> Job:
        """Put one of the functions of ml_backend.jobs.work, or errand_work, into a queue."""
        return Queue(queue, connection=self.redis).enqueue(
            f"{__package__}.{module}.{function}",
            *arguments,
            job_id=job_id,
            at_front=first,
            job_timeout=self.settings.round_timeout_s,
            # What became of a step is in the store and in the round's state.
            result_ttl=60,
            failure_ttl=24 * 3600,
            description=f"{function} {' '.join(map(str, arguments))}",
        )

    def give_back(self, job_id: str) -> None:
        """Let what a stopping worker drops begin again at once, and count as no failure.

        Raises JobsError if Redis is down.
        """
        try:
            job = Job.fetch(job_id, connection=self.redis)
            if not job.is_started:
                return
            project_id = int(job.args[0])
            job.delete()
            name = str(job.func_name).rpartition(".")[2]
            if name in ("gather_job", "step_job"):
                step = "gather" if name == "gather_job" else str(job.args[3])
                self.state(project_id).unattempt(step, job_id)
                self.enqueue(QUICK, "advance_job", project_id)
            else:
                self.errands.unattempt(project_id, job_id)
        except NoSuchJobError:
            return
        except RedisError:
            raise JobsError(DOWN) from None

    # -- how it stands --------------------------------------------------------------------------

    def status(self, name: str) -> dict[str, Any]:
        """How a round stands: {"job_status", "step", "done", "total", "error", "result"}.

        Raises JobsError if Redis is down or there is no such round.
        """
        kind, _, rest = name.partition("-")
        try:
            if kind == "look":
                found = self.latest(int(rest))
                return found or {"job_status": "queued", "error": None, "result": None}
            project, _, number = rest.partition("-")
            return self._round_status(int(project), int(number))
        except ValueError:
            raise JobsError("there is no such job") from None
        except RedisError:
            raise JobsError(DOWN) from None

    def latest(self, project_id: int) -> dict[str, Any] | None:
        """How a project's running round stands, or else how its newest ended; None without any."""
        try:
            state = self.state(project_id)
            number = state.number
            if not state.running() and state.waits:
                number += 1
            return self._round_status(project_id, number) if number else None
        except (RedisError, JobsError):
            return None

    def trouble(self, project_id: int) -> str | None:
        """Why a project could not be looked at the last time, None if it could."""
        try:
            return self.state(project_id).trouble
        except RedisError:
            return DOWN

    def _round_status(self, project_id: int, number: int) -> dict[str, Any]:
        state = self.state(project_id)
        running = state.running()
        if running.get("number") == str(number):
            return {
                "job_status": "started",
                "error": running.get("error"),
                "result": None,
                "version": running.get("version"),
                "waits": state.waits,
                **self._progress(running),
            }
        ended = state.ended(number)
        if ended is not None:
            return {"waits": state.waits, **ended}
        if number == state.number + 1 and state.waits:
            return {"job_status": "queued", "error": None, "result": None}
        raise JobsError("there is no such job, or it ended more than a week ago")

    def _progress(self, running: Mapping[str, str]) -> dict[str, Any]:
        """The furthest kind of step under way, its parts together."""
        told: dict[str, list[tuple[int, int]]] = {}
        for name, value in running.items():
            if name.startswith("at:"):
                step, done, total = json.loads(value)
                told.setdefault(step, []).append((done, total))
        if not told and "last" in running:  # between two steps
            step, done, total = json.loads(running["last"])
            told[step] = [(done, total)]
        names = (*ORDER_OF_KINDS, "evaluate", "push")
        step = max(told, key=lambda name: names.index(name) if name in names else -1, default="")
        parts = told.get(step, [])
        return {
            "step": step or "gather",
            "done": sum(done for done, _ in parts),
            "total": sum(total for _, total in parts),
        }

    def projects(self) -> list[int]:
        """Projects that anything was ever asked for."""
        return known_projects(self.redis)

    def knows(self, project_id: int) -> bool:
        """Whether anything was ever made or asked for of a project: a number may be mistyped.

        Raises StoreError.
        """
        if project_id in project_ids(self.settings.store_root):
            return True
        try:
            return project_id in self.projects()
        except RedisError:
            return False

    def workers(self) -> int:
        """How many workers take steps of rounds now."""
        return Worker.count(queue=Queue(HEAVY, connection=self.redis))
