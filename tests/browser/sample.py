"""The project that the browser is shown: made up, but kept and queued as a real one is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rq import Worker

from bench.page.project import Kept, fill
from bench.page.workers import employ, occupy, release
from ml_backend.jobs import Jobs
from ml_backend.progress import history
from ml_backend.settings import Settings
from ml_backend.store import Store

PROJECT_ID = 4
USER, PASSWORD = "quorum", "a password of the tests"
SLICES = 10_000
OWN = {"target_mean_iou": 0.82, "label_budget": 3000, "hold_drafts_back": 0.1}


@dataclass(frozen=True)
class Sample:
    """What the page is to show, and what a test may change about it."""

    store: Store
    jobs: Jobs
    kept: Kept
    workers: list[Worker]

    def begin_round(self) -> int:
        """A round that was asked for begins; its number."""
        state = self.jobs.state(PROJECT_ID)
        state.ask_for_round(force=True)
        assert state.start_waiting()
        number = state.number
        version = f"r{len(self.kept.versions):04d}-5a3e1c"
        state.note(number, version=version)
        steps = [f"step_job {PROJECT_ID} {number} {version} train-{n}" for n in range(2)]
        occupy(self.jobs, self.workers, steps)
        return number

    def report(self, number: int, step: str, done: int, total: int) -> None:
        """How far the running round is, as its workers tell it."""
        running = self.jobs.state(PROJECT_ID)
        assert running.note(number, **{f"at:{step}-0": json.dumps([step, done, total])})

    def end_round(self, number: int, **how: object) -> None:
        """The running round ends."""
        ended = {"job_status": "finished", "error": None, "result": None, **how}
        self.jobs.state(PROJECT_ID).end(number, ended)

    def settle(self) -> None:
        """No round runs or waits, nothing is asked for, and the newest version drafts."""
        for key in self.jobs.redis.scan_iter(f"quorum:project:{PROJECT_ID}:*"):
            self.jobs.redis.delete(key)
        release(self.jobs, self.workers)
        self.store.keep_overrides(OWN)
        self.store.keep_figures("rest", {})
        self.store.point_to(self.kept.versions[-1])


def put_into(
    store: Store, jobs: Jobs, settings: Settings, slices: int = SLICES, at: datetime | None = None
) -> Sample:
    """Fill a store and a Redis that are empty."""
    store.keep_overrides(OWN)
    kept = fill(store, PROJECT_ID, settings.of_project(OWN), slices, at)
    for what, details in (
        ("settings", "target_mean_iou: 0.0 → 0.82, label_budget: 0 → 3000"),
        ("train", ""),
        ("rollback", kept.versions[-3]),
    ):
        history.record(jobs, store, PROJECT_ID, USER, what, details)
    _import_report(settings.data_dir)
    return Sample(store, jobs, kept, employ(jobs))


def _import_report(data_dir: Path) -> None:
    """The counts that the importer leaves."""
    path = data_dir / "imports" / f"{PROJECT_ID}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = {"text burned into the pixels": 31, "no pixel data": 4}
    counts = {"held": 35, "released": 22, "refused": 6, "reasons": reasons}
    path.write_text(json.dumps(counts) + "\n")
