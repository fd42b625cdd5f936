"""Prometheus' text format (version 0.0.4) of what the pages show; no person is in it.

Series are bounded: so many projects, and a fixed set of states, steps and queues of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from ..figures.quality import QUALITY
from ..jobs import Jobs
from ..settings import Settings
from ..store import Store, StoreError, project_ids
from .stores import store_of
from .workers import by_queue, waiting

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MOST_PROJECTS = 200
_STATES = (
    "labelled",
    "partly",
    "pool",
    "held_out",
    "evaluation",
    "skipped",
    "auto",
    "waiting",
)
_STEPS = ("train", "score", "select", "reorder")


@dataclass
class Exposition:
    """Metrics in the order they are first named, each with its help, type and samples."""

    _families: dict[str, tuple[str, str, list[str]]] = field(default_factory=dict)

    def add(self, name: str, kind: str, about: str, value: Any, /, **labels: Any) -> None:
        """One sample; None is no sample."""
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, int | float) or value - value != 0:
            return
        family = self._families.setdefault(f"quorum_{name}", (kind, about, []))
        inside = ",".join(f'{key}="{_escaped(str(text))}"' for key, text in labels.items())
        family[2].append(
            f"quorum_{name}{{{inside}}} {value}" if inside else f"quorum_{name} {value}"
        )

    def text(self) -> str:
        """What is scraped."""
        lines = []
        for name, (kind, about, samples) in self._families.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *samples]
        return "\n".join(lines) + "\n"


def exposition(jobs: Jobs, settings: Settings) -> str:
    """All metrics as text. Raises StoreError if the store cannot be reached."""
    made = Exposition()
    up = 1
    projects = set(project_ids(settings.store_root))
    try:
        projects |= set(jobs.projects())
        _queues(made, jobs)
    except RedisError:
        up = 0
    made.add("redis_up", "gauge", "Whether Redis answers.", up)
    shown = sorted(projects)[:_MOST_PROJECTS]
    made.add("projects", "gauge", "Projects that are known.", len(projects))
    for project_id in shown:
        store = store_of(settings, project_id)
        try:
            _kept(made, store, project_id)
            if up:  # else each project would wait for it in vain
                _under_way(made, jobs, project_id)
        except RedisError:
            up = 0  # it went away just now
        except StoreError:
            continue
    return made.text()


def _queues(made: Exposition, jobs: Jobs) -> None:
    for queue, count in waiting(jobs.redis).items():
        made.add("queue_jobs", "gauge", "Jobs that wait in a queue.", count, queue=queue)
    for queue, count in by_queue(jobs.redis).items():
        made.add("workers", "gauge", "Workers that take jobs of a queue.", count, queue=queue)


def _kept(made: Exposition, store: Store, project_id: int) -> None:
    """What the store has of a project."""
    counts: Mapping[str, Any] = store.figures("standing").get("counts") or {}
    made.add("project_slices", "gauge", "All slices.", counts.get("slices"), project=project_id)
    about = "Slices by state; a slice may be in several."
    for state in _STATES:
        made.add("slices", "gauge", about, counts.get(state), project=project_id, state=state)
    current = store.current()
    versions = store.figures(QUALITY).get("versions", [])
    row: dict[str, Any] = next((row for row in versions if row["version"] == current), {})
    about = "Labels that the current version was made with, evaluation slices too."
    made.add("labels", "gauge", about, row.get("labels"), project=project_id)
    for bound, value in (row.get("mean_iou") or {}).items():
        about = "Mean IoU of the current version on held-out slices, and its 95 % bounds."
        made.add("held_out_mean_iou", "gauge", about, value, project=project_id, bound=bound)
    made.add("versions", "gauge", "Versions kept.", len(versions), project=project_id)
    outcome = store.noted(current, "round") if current else {}
    for step in _STEPS:
        about = "Seconds of the steps of the round that made the current version."
        value = outcome.get(f"{step}_s")
        made.add("round_step_seconds", "gauge", about, value, project=project_id, step=step)


def _under_way(made: Exposition, jobs: Jobs, project_id: int) -> None:
    """What Redis has of a project."""
    held = jobs.state(project_id)
    running, waits = bool(held.running()), held.waits
    made.add("rounds_running", "gauge", "Rounds that run.", running, project=project_id)
    made.add("rounds_waiting", "gauge", "Rounds that wait.", waits, project=project_id)
    about = "Rounds that failed since the last that came through."
    failures: Any = jobs.redis.get(f"quorum:project:{project_id}:failures")
    made.add("round_failures", "gauge", about, int(failures or 0), project=project_id)
    trouble = held.trouble is not None
    about = "Whether the last look at a project failed."
    made.add("look_failed", "gauge", about, trouble, project=project_id)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
