"""Workers that exist in Redis alone: registered as RQ does it, with nobody behind the names."""

from __future__ import annotations

from collections.abc import Sequence

from rq import Queue, Worker
from rq.job import Job
from rq.worker import WorkerStatus

from ml_backend.jobs import HEAVY, QUICK, Jobs
from ml_backend.progress.workers import DEVICE

_WORKERS: Sequence[tuple[str, str, str | None, list[str]]] = (
    ("one", "gpu-1", "cuda:0", [HEAVY, QUICK]),
    ("two", "gpu-2", "cuda:0", [HEAVY, QUICK]),
    ("attendant", "gpu-1", None, [QUICK]),
)


def employ(jobs: Jobs) -> list[Worker]:
    """Register two workers with a GPU each and an attendant; the two."""
    employed = []
    for name, host, device, queues in _WORKERS:
        worker = Worker(queues, connection=jobs.redis, name=f"{name}-of-page")
        worker.hostname = host
        worker.register_birth()
        if device:
            jobs.redis.hset(worker.key, DEVICE, device)
            employed.append(worker)
    return employed


def occupy(jobs: Jobs, workers: Sequence[Worker], descriptions: Sequence[str]) -> None:
    """Let each worker be at a job of that description; jobs that no queue holds."""
    for worker, description in zip(workers, descriptions, strict=False):
        job = Job.create("ml_backend.jobs.work.step_job", connection=jobs.redis,
                         description=description)  # fmt: skip
        job.save()
        worker.set_state(WorkerStatus.BUSY)
        worker.set_current_job_id(job.id)


def release(jobs: Jobs, workers: Sequence[Worker]) -> None:
    """Let them wait for work, and empty the queues."""
    for worker in workers:
        worker.set_state(WorkerStatus.IDLE)
        worker.set_current_job_id(None)
    for name in (QUICK, HEAVY):
        Queue(name, connection=jobs.redis).empty()
