"""The panels of the page: what rounds and looks have kept, and what Redis says at this moment.

Nothing is computed over tasks here. A panel whose figures are not there yet has all its keys.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from redis.exceptions import RedisError

from ..figures.data import CLASSES, data, quarantined
from ..figures.forecast import forecast
from ..figures.quality import BASELINE, QUALITY, quality
from ..figures.standing import COUNTS, STATISTICS
from ..jobs import Jobs
from ..jobs.errand_figures import REST, ROLLBACK
from ..jobs.errors import DOWN
from ..settings import Settings, SettingsError
from ..store import Store
from .remedies import remedy
from .stores import store_of
from .workers import workers

Panel = dict[str, Any]

NOTHING: Mapping[str, Any] = {"mean": None, "low": None, "high": None}
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
_LABELLED = {"slices": 0, "median_s": None}
_EMPTY: Mapping[str, Panel] = {
    "people": {"pseudonymous": False, "people": [], "adjudicate": [], "unreadable": 0},
    "trial": {
        "share": None,
        "with": _LABELLED,
        "without": _LABELLED,
        "time_ratio": NOTHING,
        "saved_s": NOTHING,
        "saved_h": NOTHING,
        "agreement": {"with": NOTHING, "without": NOTHING},
        "area_ratio": NOTHING,
        "verdict": None,
    },
    "history": {"actions": []},
}


@dataclass(frozen=True)
class Project:
    """A project as the page sees it."""

    project_id: int
    jobs: Jobs
    common: Settings

    @property
    def store(self) -> Store:
        """What is kept of it."""
        return store_of(self.common, self.project_id)

    @property
    def settings(self) -> Settings:
        """Its own settings among the common ones; the common ones if its own are not valid."""
        try:
            return self.common.of_project(self.store.overrides())
        except SettingsError:
            return self.common

    @property
    def address(self) -> str:
        """The project in Label Studio."""
        return f"{self.common.public_url}/projects/{self.project_id}/data"


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


def _quality(project: Project) -> Panel:
    settings = project.settings
    return quality(
        project.store.figures(QUALITY),
        project.store.current(),
        target=settings.target_mean_iou or None,
        budget=settings.label_budget or None,
        random=project.store.figures(BASELINE).get("points"),
    )


def _forecast(project: Project) -> Panel:
    store, settings = project.store, project.settings
    return forecast(
        store.figures("standing"),
        _quality(project)["versions"],  # after going back, the newest is not the one that serves
        store.figures("pace"),
        target=settings.target_mean_iou or None,
        budget=settings.label_budget or None,
    )


def _kept(name: str) -> Callable[[Project], Panel]:
    """A panel that is kept as it is shown."""

    def panel(project: Project) -> Panel:
        return {**_EMPTY[name], **project.store.figures(name)}

    return panel


def _data(project: Project) -> Panel:
    store = project.store
    set_aside = quarantined(project.common.data_dir, project.project_id)
    panel = data(store.figures("standing"), store.figures(CLASSES), set_aside)
    empty: Panel = {key: [] for key in STATISTICS}
    return {**panel, "by": {**empty, **panel["by"]}}


def _people(project: Project) -> Panel:
    store = project.store
    panel = {**_EMPTY["people"], **store.figures("people")}
    if not project.settings.pseudonymous or panel["pseudonymous"]:
        return panel
    # Hidden from the moment somebody asks for it: the next look keeps a panel without names.
    numbers = store.figures("annotators").get("numbers") or {}
    rows = []
    for row in panel["people"]:
        number = numbers.get(str(row.get("annotator")))
        rows.append({**row, "annotator": number, "name": f"Annotator {number or '?'}"})
    return {**panel, "pseudonymous": True, "people": rows}


PANELS: Mapping[str, Callable[[Project], Panel]] = {
    "now": now,
    "quality": _quality,
    "forecast": _forecast,
    "people": _people,
    "trial": _kept("trial"),
    "data": _data,
    "history": _kept("history"),
}


@dataclass
class Shown:
    """Panels made a moment ago: however many look at once, each is made once a moment."""

    now_s: float = 1.0
    others_s: float = 5.0
    _kept: dict[tuple[str, int, str], tuple[float, Panel]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def panel(self, project: Project, name: str) -> Panel:
        """A panel by name. Raises KeyError for another name, StoreError."""
        make = PANELS[name]
        key = (str(project.common.store_root), project.project_id, name)
        moment = time.monotonic()
        with self._lock:
            kept = self._kept.get(key)
        if kept and kept[0] > moment:
            return kept[1]
        panel = make(project)
        lasts_s = self.now_s if name == "now" else self.others_s
        with self._lock:
            if len(self._kept) > 500:
                self._kept.clear()
            self._kept[key] = (moment + lasts_s, panel)
        return panel

    def all(self, project: Project) -> dict[str, Panel]:
        """Every panel by its name."""
        return {name: self.panel(project, name) for name in PANELS}

    def forget(self, project_id: int) -> None:
        """Somebody has acted: what was made before shows nothing of it."""
        with self._lock:
            for key in [key for key in self._kept if key[1] == project_id]:
                del self._kept[key]


def overview(project: Project, redis_away: bool = False) -> Panel:
    """A row of the list of projects; Redis is not asked while it is known to be away."""
    store = project.store
    standing = store.figures("standing")
    trouble = DOWN if redis_away else project.jobs.trouble(project.project_id)
    found = {} if redis_away else project.jobs.latest(project.project_id) or {}
    current = store.current()
    rows = store.figures(QUALITY).get("versions", [])
    serving: Panel = next((row for row in rows if row["version"] == current), {})
    return {
        "project_id": project.project_id,
        "title": standing.get("title"),
        "address": f"/progress/{project.project_id}",
        "counts": standing.get("counts") or {},
        "round_status": found.get("job_status"),
        "trouble": trouble,
        "mean_iou": serving.get("mean_iou"),
        "updated_at": standing.get("updated_at"),
    }


def as_json(value: Any) -> str:
    """Strict JSON: what is no number is unknown."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds")
