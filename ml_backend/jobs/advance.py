"""Between the steps of a round: what is done, what is under way, what is to be queued.

Nothing is concluded from a job's having been queued once: a step is done when its artefact lies in
the store, and under way while a living worker says so. Whatever else there is gets queued again.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from ..rounds.graph import GATHER, Step
from ..store import Store, StoreError
from .errand_figures import FIGURES, ROLLBACK
from .names import HEAVY, QUICK
from .queue import Jobs
from .state import ProjectState
from .under_way import is_under_way, waiting_in

log = logging.getLogger(__name__)

_LOCK_WAIT_S = 10.0
_FAILED = "a step of the round failed: see the worker's log"


def advance(jobs: Jobs, project_id: int, ended: str | None = None) -> None:
    """Queue the steps that a project's round is ready for, end it, or start the one that waits.

    `ended` is the step that calls at its own end: its job still counts as started.
    Raises RedisError; LockedError if another worker does the same for longer than some seconds.
    """
    state = jobs.state(project_id)
    with state.locked("advance", _LOCK_WAIT_S):
        while _advance_once(jobs, state, ended):
            ended = None


def _advance_once(jobs: Jobs, state: ProjectState, ended: str | None) -> bool:
    """Whether a round ended or began, so that there may be more to do."""
    running = state.running()
    if not running:
        return state.start_waiting()
    number = int(running["number"])
    if state.cancelled:
        state.end(number, {"job_status": "canceled", "error": None, "result": None})
        return True
    if "nothing" in running:
        state.succeeded()
        result = {"did": "nothing", "problems": _complaints(jobs, state.project_id)}
        state.end(number, {"job_status": "finished", "error": None, "result": result})
        return True
    try:
        steps = _ready(jobs, state.project_id, running.get("version"))
    except StoreError as error:
        # Nothing can be said of the round now; its steps go on, and the timer asks again.
        state.note(number, error=str(error))
        return False
    if steps is None:
        # Its work is gone without its having ended: gathering finds what is still there.
        jobs.redis.hdel(f"quorum:project:{state.project_id}:round", "version")
        steps = [GATHER]
    if not steps:
        _succeed(jobs, state, number, running["version"])
        return True
    # Asked for once, not for each step: after each of a thousand shards there may be a thousand.
    waiting = waiting_in(jobs.redis, HEAVY)
    for step in steps:
        job_id = running.get(f"job:{step.name}")
        queued = job_id if step.name != ended else None
        if queued in waiting:
            continue
        if queued and is_under_way(jobs.redis, jobs.settings, HEAVY, queued):
            continue
        attempt = state.attempt(step.name)
        if attempt > jobs.settings.attempts:
            _fail(jobs, state, number, running.get("error") or _FAILED)
            return True
        _queue(jobs, state, running, step, attempt)
    return False


def _ready(jobs: Jobs, project_id: int, version: str | None) -> list[Step] | None:
    """Steps to do now, none when the round is done; None if its work is gone."""
    from ..rounds import ArtefactError, RoundError, next_steps

    if not version:
        return [GATHER]
    try:
        return next_steps(Store(jobs.settings.store_root, project_id), version)
    except (RoundError, ArtefactError):
        return None


def _complaints(jobs: Jobs, project_id: int) -> list[dict[str, Any]]:
    """What could not be used of the labels, none if the store does not answer now."""
    from ..rounds.context import complaints

    with suppress(StoreError):
        return complaints(Store(jobs.settings.store_root, project_id))
    return []


def _queue(
    jobs: Jobs, state: ProjectState, running: dict[str, str], step: Step, attempt: int
) -> None:
    number, project_id = int(running["number"]), state.project_id
    job_id = f"{project_id}-{number}-{step.name}-{attempt}"
    # Noted first: a job that is noted but was never queued is found to be nowhere, and queued.
    state.note(number, **{f"job:{step.name}": job_id})
    if step == GATHER:
        arguments: tuple[Any, ...] = (project_id, number, running["force"] == "1")
        jobs.enqueue(HEAVY, "gather_job", *arguments, job_id=job_id)
    else:
        arguments = (project_id, number, running["version"], step.name)
        jobs.enqueue(HEAVY, "step_job", *arguments, job_id=job_id)


def _succeed(jobs: Jobs, state: ProjectState, number: int, version: str) -> None:
    store = Store(jobs.settings.store_root, state.project_id)
    outcome = store.noted(version, "round")
    state.succeeded()
    state.end(number, {"job_status": "finished", "error": None, "result": outcome})
    log.info("project %d: %s %s", state.project_id, outcome.get("did"), version)
    with suppress(StoreError):  # only looked at
        if store.figures(FIGURES[ROLLBACK]).get("state") == "failed":
            store.keep_figures(FIGURES[ROLLBACK], {})  # of before this version
    # Labels made while it trained may be enough for the next.
    jobs.request_look(state.project_id)
    jobs.enqueue(QUICK, "clean_job", state.project_id)
    rest = store.figures("rest")
    if (rest.get("as"), rest.get("state")) == ("predictions", "done"):
        # The new order has drafts for its first slices alone, and every slice was to have one.
        jobs.errands.ask(state.project_id, "rest_job", "predictions")


def _fail(jobs: Jobs, state: ProjectState, number: int, error: str) -> None:
    state.failed(jobs.settings.reconcile_s)
    state.end(number, {"job_status": "failed", "error": error, "result": None})
    log.warning("project %d: the round failed: %s", state.project_id, error)
