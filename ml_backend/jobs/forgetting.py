"""Letting the loop forget a project: what runs ends, what waits never begins.

That no round begins by itself any more is not Redis' to know: see ml_backend.connection, which the
periodic look heeds.
"""

from __future__ import annotations

import time
from contextlib import suppress

from redis.exceptions import RedisError

from .advance import advance
from .errand_figures import REST, ROLLBACK
from .errors import JobsError
from .names import HEAVY
from .queue import Jobs
from .state import PROJECTS, LockedError
from .under_way import is_under_way

_POLL_S = 0.2


def forget(jobs: Jobs, project_id: int, wait_s: float = 20.0) -> bool:
    """End a project's round and errands and forget it; whether nothing of it is under way now.

    What a worker is at is stopped, and waited for so long at most: a step that ended later could
    change the project's order again. Data sets that are being prepared are finished. Versions,
    and how earlier rounds ended, stay. Done again it does no harm. Raises RedisError, JobsError.
    """
    state = jobs.state(project_id)
    try:
        # A look that had begun may yet ask for a round: one after the other.
        with state.locked("look", wait_s):
            return _forget(jobs, project_id, wait_s)
    except LockedError:
        return _forget(jobs, project_id, wait_s) and False


def _forget(jobs: Jobs, project_id: int, wait_s: float) -> bool:
    state = jobs.state(project_id)
    working = [job_id for name, job_id in state.running().items() if name.startswith("job:")]
    if state.running() or state.waits:
        jobs.cancel(project_id, hold_s=0)
    for slot, entry in jobs.errands.waiting(project_id).items():
        if slot in (REST, ROLLBACK):
            jobs.errands.cancel(project_id, slot)
            working += [entry["job"]] if entry.get("job") else []
    until = time.monotonic() + wait_s
    while busy := [job for job in working if is_under_way(jobs.redis, jobs.settings, HEAVY, job)]:
        if time.monotonic() > until:
            break
        time.sleep(_POLL_S)
    if state.running():
        # The attendant may be away; and it is no error if it does the same.
        with suppress(LockedError):
            advance(jobs, project_id)
    state.begin_look()
    jobs.redis.srem(PROJECTS, project_id)
    return not busy


def has_work(jobs: Jobs, project_id: int) -> bool:
    """Whether Redis knows of anything to be done for a project. Raises RedisError."""
    state = jobs.state(project_id)
    known = project_id in jobs.projects()
    return bool(known or state.waits or state.running() or jobs.errands.waiting(project_id))


def forget_if_reached(jobs: Jobs, project_id: int, wait_s: float = 20.0) -> bool | None:
    """The same as forget(); None if Redis cannot be reached."""
    try:
        return forget(jobs, project_id, wait_s) if has_work(jobs, project_id) else True
    except (RedisError, JobsError):
        return None
