"""This moment of a project: what its store has kept last, and what Redis says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from redis.exceptions import RedisError

from ...figures.standing import COUNTS
from ...jobs import Jobs
from ...jobs.errand_figures import REST, ROLLBACK
from ...jobs.errors import DOWN
from ...store import Store
from ..remedies import remedy
from ..workers import workers
from .project import Project

Panel = dict[str, Any]

_NEXT = (
    "task",
    "address",
    "rank",
    "version",
    "uncertainty",
    "uncertainty_share",
    "novelty",
    "reason",
    "picture",
)
_REST = ("as", "version", "state", "done", "total", "error", "began_at", "touched")


def now(project: Project) -> Panel:
    """How far the project is, the round that runs, the next slices, and who works."""
    store = project.store
    standing = store.figures("standing")
    following = store.figures("next")
    counts = standing.get("counts") or {}
    away = is_away(project.jobs)
    trouble = DOWN if away else project.jobs.trouble(project.project_id)
    working, asked = (None, {}) if away else _at_work(project)
    return {
        "project_id": project.project_id,
        "title": standing.get("title"),
        "address": project.address,
        "updated_at": standing.get("updated_at"),
        "counts": {name: counts.get(name) for name in COUNTS},
        "round": None if away else _round(project),
        "next": [
            {**dict.fromkeys(_NEXT), "address": _task(project, row.get("task")), **row}
            for row in following.get("next", [])
        ],
        "classes": following.get("classes", []),
        "workers": working or [],
        "redis_away": working is None,  # then nobody knows who works
        "trouble": trouble,
        "remedy": remedy(trouble),
        "paused": project.settings.paused,
        "problems": standing.get("problems", []),
        "problems_left_out": standing.get("problems_left_out", 0),
        "rest": _rest(project, asked),
        "rollback": _rollback(store, asked),
    }


def is_away(jobs: Jobs) -> bool:
    """Whether Redis does not answer: then nothing else is asked of it, and waited for in vain."""
    try:
        jobs.redis.ping()
    except RedisError:
        return True
    return False


def _round(project: Project) -> Panel | None:
    found = project.jobs.latest(project.project_id)
    if found is None:
        return None
    error = found.get("error")
    if error is None and found.get("job_status") == "failed":
        error = "the round failed: the worker's log says why"
    state = project.jobs.state(project.project_id)
    try:
        started, held_back = state.running().get("started"), state.held_back
    except RedisError:
        started, held_back = None, False
    return {
        "job_status": found.get("job_status"),
        "step": found.get("step"),
        "done": found.get("done"),
        "total": found.get("total"),
        "error": error,
        "remedy": remedy(error),
        "waits": bool(found.get("waits")),
        "held_back": held_back,  # none begins by itself yet
        "did": (found.get("result") or {}).get("did"),
        "version": found.get("version") or (found.get("result") or {}).get("version"),
        "started_at": _iso(float(started)) if started else None,
    }


def _at_work(project: Project) -> tuple[list[Panel] | None, Mapping[str, Any]]:
    """The workers, None while Redis is away, and what people have asked for that is not done."""
    try:
        return workers(project.jobs.redis), project.jobs.errands.waiting(project.project_id)
    except RedisError:
        return None, {}


def _rest(project: Project, asked: Mapping[str, Any]) -> Panel | None:
    kept, errand = project.store.figures("rest"), asked.get(REST)
    if not kept and not errand:
        return None
    found = {name: kept.get(name) for name in _REST}
    if errand and found["state"] not in ("running", "undoing"):
        # Asked for, and waiting for a worker or for the end of a round.
        undoes = errand["function"] == "undo_rest_job"
        found |= {"state": "undoing" if undoes else "running", "error": None, "done": 0}
        found["as"] = found["as"] or project.settings.rest_as
    return found


def _rollback(store: Store, asked: Mapping[str, Any]) -> Panel | None:
    """How going back to an older version stands, once somebody has asked for it."""
    errand = asked.get(ROLLBACK)
    if errand:
        version = next(iter(errand["arguments"]), None)
        return {"version": version, "state": "running", "error": None, "remedy": None}
    kept = store.figures("rollback")
    if not kept:
        return None
    error = kept.get("error")
    state = {"version": kept.get("version"), "state": kept.get("state"), "error": error}
    return {**state, "remedy": remedy(error)}


def _task(project: Project, task: Any) -> str | None:
    return f"{project.address}?task={int(task)}" if isinstance(task, int) else None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")
