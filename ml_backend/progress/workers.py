"""Who works: the workers of both queues, and what they do, in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from redis import Redis
from rq import Queue, Worker
from rq.job import Job

from ..jobs import HEAVY, QUICK
from .glance import ATTENDANT

_MOST = 100
_COARSE_S = 5  # silence is told in steps: what is unchanged needs no new answer
DEVICE = "device"  # a field of RQ's own record of a worker, gone with it

_STEPS = {
    "gather": "reads the labels of project {project}",
    "encode": "learns from the unlabelled slices of project {project}",
    "train": "trains the committee of project {project}",
    "further": "trains the committee of project {project} further",
    "publish": "evaluates and keeps the new version of project {project}",
    "score": "scores the slices of project {project}",
    "order": "orders the slices of project {project}",
}
_JOBS = {
    "look_job": "looks at project {project}",
    "gather_job": _STEPS["gather"],
    "advance_job": "prepares the next step of project {project}",
    "advance_all_job": "looks after the rounds",
    "reconcile_job": "looks for what is new",
    "clean_job": "removes old predictions of project {project}",
    "rollback_job": "rolls project {project} back",
    "rest_job": "annotates the rest of project {project}",
    "undo_rest_job": "takes back the masks of the rest of project {project}",
    "export_job": "prepares the data set of project {project}",
}


def workers(redis: Redis) -> list[dict[str, Any]]:
    """Workers of both queues: name, device, state, what they do, and for how long they are silent.

    Raises RedisError.
    """
    found: dict[str, Any] = {}
    for queue in (HEAVY, QUICK):
        for worker in Worker.all(queue=Queue(queue, connection=redis)):
            found.setdefault(worker.name, worker)
    alive = sorted(found.values(), key=lambda w: (w.hostname or "", w.pid or 0, w.name))[:_MOST]
    pipeline = redis.pipeline(transaction=False)
    for worker in alive:
        pipeline.hget(worker.key, DEVICE)
        job_id = worker._job_id
        pipeline.hget(Job.key_for(job_id) if job_id else b"none", "description")
    told = pipeline.execute()
    hosts = [worker.hostname or "unknown" for worker in alive]
    rows = []
    for index, worker in enumerate(alive):
        device, description = told[2 * index], told[2 * index + 1]
        attends = {queue.name for queue in worker.queues} == {QUICK}
        silent = datetime.now(timezone.utc) - _aware(worker.last_heartbeat)
        rows.append(
            {
                "name": _name(hosts, index),
                "device": device.decode() if device else ATTENDANT if attends else None,
                "state": str(getattr(worker.get_state(), "value", worker.get_state())),
                "doing": doing(description.decode()) if description else None,
                "silent_s": max(0, int(silent.total_seconds()) // _COARSE_S * _COARSE_S),
            }
        )
    return rows


def by_queue(redis: Redis) -> Mapping[str, int]:
    """How many workers each queue has. Raises RedisError."""
    return {q: Worker.count(queue=Queue(q, connection=redis)) for q in (HEAVY, QUICK)}


def waiting(redis: Redis) -> Mapping[str, int]:
    """How many jobs wait in each queue. Raises RedisError."""
    return {q: Queue(q, connection=redis).count for q in (HEAVY, QUICK)}


def doing(description: str) -> str:
    """A job in plain words, from "look_job 4" or "step_job 4 12 r0007-3f9c2a train-0"."""
    function, *arguments = description.split()
    project = arguments[0] if arguments and arguments[0].isdigit() else "?"
    if function == "step_job" and len(arguments) == 4:
        kind = re.sub(r"-[0-9]+$", "", arguments[3])
        words = _STEPS.get(kind, "does a step of project {project}")
    else:
        words = _JOBS.get(function, "works")
    return words.format(project=project)


def _name(hosts: list[str], index: int) -> str:
    """The host's name, numbered where it has several workers."""
    host = hosts[index]
    if hosts.count(host) == 1:
        return host
    return f"{host}, {hosts[: index + 1].count(host)}"


def _aware(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(timezone.utc)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
