"""Whether a job is being done: it waits in its queue, or a living worker says so."""

from __future__ import annotations

from typing import Any, cast

from redis import Redis
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from ..settings import Settings

_SILENT_HEARTBEATS = 3
_HEARD_KEPT_S = 24 * 3600
_WORKER = Worker.redis_worker_namespace_prefix


def waiting_in(redis: Redis, queue: str) -> set[str]:
    """The jobs that wait in a queue, in one trip. Raises RedisError."""
    return set(Queue(queue, connection=redis).job_ids)


def is_under_way(redis: Redis, settings: Settings, queue: str, job_id: str) -> bool:
    """Whether a job waits in its queue, or a living worker is at it. Raises RedisError.

    A worker that died is known by its job's heartbeat, which no longer changes. What stands in it
    is a host's own time, and hosts' clocks differ: for how long it is the same, Redis tells.
    """
    try:
        job = Job.fetch(job_id, connection=redis)
    except NoSuchJobError:
        return False
    status = job.get_status(refresh=False)
    if status == JobStatus.QUEUED:
        if Queue(queue, connection=redis).get_job_position(job_id) is not None:
            return True
        # A worker that died between taking a job and starting it leaves it in no queue.
        told = f"taken {job.enqueued_at}"
    elif status == JobStatus.STARTED:
        # RQ's record of a worker runs out in Redis: of one long dead nothing need be waited for.
        if job.worker_name and not redis.exists(_WORKER + job.worker_name):
            return False
        told = str(job.last_heartbeat)
    else:
        return False
    return _silent_s(redis, job_id, told) < _SILENT_HEARTBEATS * settings.heartbeat_s


def _silent_s(redis: Redis, job_id: str, told: str) -> float:
    """For how long a job is known to tell the same, 0 when it is first seen."""
    key = f"quorum:job:{job_id}:heard"
    pipeline = redis.pipeline(transaction=False)
    pipeline.hgetall(key)
    pipeline.time()
    heard, (seconds, microseconds) = cast(Any, pipeline.execute())
    now = seconds + microseconds / 1e6
    silent_s = now - float(heard.get(b"since", now))
    if heard.get(b"told") == told.encode() and silent_s >= 0:  # Redis' clock may be set back
        return float(silent_s)
    pipeline.hset(key, mapping={"told": told, "since": now})
    pipeline.expire(key, _HEARD_KEPT_S)
    pipeline.execute()
    return 0.0
