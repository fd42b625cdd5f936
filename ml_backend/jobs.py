"""What is queued, how requests are coalesced, and how far a round is; RQ on Redis does the work.

However many events arrive, at most one round of a project runs and one waits. A waiting round's
job id holds the project's generation, which a round raises when it starts: requests before that
find the waiting job, later ones make the next. With several workers a round that finds another of
its project running leaves a note instead, and the running one asks for the next when it ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import LockError, RedisError
from rq import Queue, get_current_job
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job

from .settings import Settings

QUEUE = "quorum"
_PREFIX = "quorum:project"
_LOCK_S = 60  # a round whose worker died frees its project after this long
_KEEP_S = 7 * 24 * 3600  # results and failures are shown for a week

log = logging.getLogger(__name__)


class JobsError(RuntimeError):
    """Redis cannot be used; the message names the remedy."""


class RoundFailed(RuntimeError):
    """A round ended with an error for people: its text is the whole story."""


@dataclass(frozen=True)
class Jobs:
    """The queue of rounds."""

    redis: Redis
    timeout_s: int

    @classmethod
    def connect(cls, settings: Settings) -> Jobs:
        """The queue at the settings' Redis; connects on first use."""
        redis = Redis.from_url(settings.redis_url, socket_connect_timeout=1.0, socket_timeout=5.0)
        return cls(redis, settings.round_timeout_s)

    def request_round(self, project_id: int, force: bool = False) -> str:
        """Ask for a round of a project; the id of the job that will do it.

        `force` trains even if too few labels are new. Raises JobsError if Redis is down.
        """
        try:
            self.redis.sadd("quorum:projects", project_id)
            if force:
                self.redis.set(f"{_PREFIX}:{project_id}:force", 1)
            while True:
                generation = int(self.redis.get(f"{_PREFIX}:{project_id}:generation") or 0)
                job_id = f"round-{project_id}-{generation}"
                try:
                    Queue(QUEUE, connection=self.redis).enqueue(
                        round_job,
                        project_id,
                        job_id=job_id,
                        unique=True,
                        job_timeout=self.timeout_s,
                        result_ttl=_KEEP_S,
                        failure_ttl=_KEEP_S,
                        description=f"round of project {project_id}",
                    )
                    return job_id
                except DuplicateJobError:
                    if not self._has_ended(job_id):
                        return job_id
                    # It ended without having begun (a killed worker, a restored Redis).
                    self.redis.incr(f"{_PREFIX}:{project_id}:generation")
        except RedisError:
            raise JobsError(
                "Redis cannot be reached: check QUORUM_REDIS_URL; the round will be asked for "
                "again by the next annotation or the periodic check"
            ) from None

    def _has_ended(self, job_id: str) -> bool:
        try:
            job = Job.fetch(job_id, connection=self.redis)
        except NoSuchJobError:
            return False
        status = job.get_status()
        return status is not None and status.value in {"finished", "failed", "stopped", "canceled"}

    def status(self, job_id: str) -> dict[str, Any]:
        """How a job stands: {"job_status", "step", "done", "total", "error", "result"}.

        Raises JobsError if Redis is down or there is no such job.
        """
        try:
            job = Job.fetch(job_id, connection=self.redis)
            status = job.get_status()
            meta = job.get_meta()
            result = (
                job.return_value() if status is not None and status.value == "finished" else None
            )
        except NoSuchJobError:
            raise JobsError("there is no such job, or it ended more than a week ago") from None
        except RedisError:
            raise JobsError("Redis cannot be reached: check QUORUM_REDIS_URL") from None
        return {
            "job_status": status.value if status else "unknown",
            "error": meta.pop("error", None),
            "result": result,
            **meta,
        }

    def latest(self, project_id: int) -> dict[str, Any] | None:
        """Status of a project's running round, or else of its newest; None if there was none."""
        try:
            generation = int(self.redis.get(f"{_PREFIX}:{project_id}:generation") or 0)
        except RedisError:
            return None
        found = []
        # The one that waits has the generation's number, the one that runs an earlier one.
        for number in range(generation, generation - 4, -1):
            with suppress(JobsError):
                found.append(self.status(f"round-{project_id}-{number}"))
        running = [status for status in found if status["job_status"] == "started"]
        return next(iter([*running, *found]), None)

    def projects(self) -> list[int]:
        """Projects for which a round was ever asked."""
        return sorted(int(member) for member in self.redis.smembers("quorum:projects"))


def round_job(project_id: int) -> dict[str, Any]:
    """What a worker runs: one round of a project, if no other of it is running."""
    from .label_studio import LabelStudio, LabelStudioError
    from .masks import MaskError
    from .rounds import RoundError, run_round
    from .store import StoreError

    settings = Settings.from_environment()
    jobs = Jobs.connect(settings)
    redis, key = jobs.redis, f"{_PREFIX}:{project_id}"
    redis.incr(f"{key}:generation")
    redis.set(f"{key}:again", 1)
    with _project_lock(redis, project_id) as mine:
        if not mine:
            return {"did": "nothing", "problems": []}
        redis.delete(f"{key}:again")
        force = bool(redis.getdel(f"{key}:force"))
        try:
            with LabelStudio(
                settings.label_studio_url,
                settings.label_studio_api_key,
                settings.request_timeout_s,
            ) as server:
                outcome = run_round(settings, server, project_id, force=force, progress=_report)
        except (LabelStudioError, MaskError, RoundError, StoreError) as error:
            _report_error(str(error))
            raise RoundFailed(str(error)) from None
    # Asked for by a worker that found this project busy, or by labels made while it trained.
    if redis.getdel(f"{key}:again") or outcome["did"] == "trained":
        jobs.request_round(project_id)
    log.info("project %d: %s %s", project_id, outcome["did"], outcome.get("version", ""))
    return outcome


@contextmanager
def _project_lock(redis: Redis, project_id: int) -> Iterator[bool]:
    """Holds a project's lock and keeps renewing it; yields False if another round has it."""
    lock = redis.lock(f"{_PREFIX}:{project_id}:lock", timeout=_LOCK_S, thread_local=False)
    if not lock.acquire(blocking=False):
        yield False
        return
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_LOCK_S / 4):
            try:
                lock.reacquire()
            except (LockError, RedisError):
                log.warning("project %d: the lock could not be renewed", project_id)

    renewer = threading.Thread(target=renew, daemon=True)
    renewer.start()
    try:
        yield True
    finally:
        ended.set()
        renewer.join()
        try:
            lock.release()
        except (LockError, RedisError):
            log.warning("project %d: the lock had run out", project_id)


def _report(step: str, done: int, total: int) -> None:
    job = get_current_job()
    # Redis is told at most some hundred times a step, however many slices there are.
    if job and (done in (0, total) or done % max(1, total // 100) == 0):
        job.meta |= {"step": step, "done": done, "total": total}
        job.save_meta()


def _report_error(text: str) -> None:
    job = get_current_job()
    if job:
        job.meta["error"] = text
        job.save_meta()


def reconcile_job() -> int:
    """Ask for a round of each known project: finds what a lost webhook missed.

    The projects are read from the store too, so a Redis that came back empty loses none.
    """
    settings = Settings.from_environment()
    jobs = Jobs.connect(settings)
    folder = settings.store_dir / "projects"
    stored = (
        {int(p.name) for p in folder.iterdir() if p.name.isdigit()} if folder.is_dir() else set()
    )
    projects = stored | set(jobs.projects())
    for project_id in projects:
        jobs.request_round(project_id)
    return len(projects)
