"""Whether a job is being done: it waits in its queue, or a living worker says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from ..settings import Settings

_SILENT_HEARTBEATS = 3


def is_under_way(redis: Redis, settings: Settings, queue: str, job_id: str) -> bool:
    """Whether a job waits in its queue, or a living worker is at it. Raises RedisError."""
    try:
        job = Job.fetch(job_id, connection=redis)
    except NoSuchJobError:
        return False
    status = job.get_status(refresh=False)
    patience = timedelta(seconds=_SILENT_HEARTBEATS * settings.heartbeat_s)

    def lately(moment: datetime | None) -> bool:
        return moment is not None and _aware(moment) > datetime.now(timezone.utc) - patience

    if status == JobStatus.QUEUED:
        # A worker that died between taking a job and starting it leaves it in no queue.
        waiting: Callable[[Job], int | None] = Queue(queue, connection=redis).get_job_position
        return waiting(job) is not None or lately(job.enqueued_at)
    return status == JobStatus.STARTED and lately(job.last_heartbeat or job.started_at)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
