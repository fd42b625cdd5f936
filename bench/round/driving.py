"""The demo's servers and its simulated annotators, driven round by round with times."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from demo.crowd import Annotator, sign_up
from demo.run import Running, reference_of, start
from demo.simulate import Simulation, SimulationError
from launcher.processes import Supervisor, free_port
from launcher.services import remove_socket
from ml_backend.jobs import Jobs
from ml_backend.store import Store

from .sightings import Watcher

_ANNOTATORS = 3
_POLL_S = 0.05
_LONGEST_ROUND_S = 1800.0


@dataclass(frozen=True)
class Timed(Annotator):
    """An annotator whose submissions are noted: when Submit was pressed and when answered."""

    submitted: list[tuple[float, float]] = field(default_factory=list)

    def submit(
        self,
        project_id: int,
        task_id: int,
        regions: Sequence[Mapping[str, Any]],
        lead_time_s: float,
    ) -> None:
        begun = time.time()
        super().submit(project_id, task_id, regions, lead_time_s)
        self.submitted.append((begun, time.time()))


def record(folder: Path, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the demo for so many rounds in an empty folder; what was seen of it, JSON-able.

    Raises ServiceError, LabelStudioError, SimulationError, CrowdError, DemoDataError, OSError.
    """
    supervisor = Supervisor()
    started: dict[str, str] = {}
    try:
        running = start(supervisor, folder, (free_port(), free_port()), started)
        with Watcher(running.settings, running.project_id) as watcher:
            made = _go_round(running, rounds, say)
        return {"rounds": made, "seen": asdict(watcher.seen)}
    finally:
        supervisor.stop()
        remove_socket(started.get("redis", ""))


def _go_round(running: Running, rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    server, project_id = running.label_studio, running.project_id
    accounts = [
        sign_up(server.url, running.account.token, f"annotator{n}@bench.example")[0]
        for n in range(_ANNOTATORS)
    ]
    annotators = [Timed(each.email, each._http) for each in accounts]
    drawn = Simulation(
        running.settings,
        server,
        project_id,
        annotators,
        reference_of(running.key),
        running.supervisor.check,
        say,
    )
    version = _await_order(running, None)
    made = []
    for number in range(1, rounds + 1):
        drawn._label_until_due()
        last = max(pair for who in annotators for pair in who.submitted)
        version = _await_order(running, version)
        switched = time.time()
        task = annotators[0].next_task(project_id)
        answered = time.time()
        outcome = Store(running.settings.store_root, project_id).noted(version, "round")
        made.append(
            {
                "round": number,
                "version": version,
                "submitted": last,
                "switched": switched,
                "asked": [switched, answered],
                "in_order": task is not None and task["id"] == outcome["wanted"][0],
                "labelled": outcome["labelled"],
                "seconds": outcome["seconds"],
            }
        )
        say(f"round {number}: {version} served after {switched - last[0]:.1f} s")
    time.sleep(2.0)  # what comes after the switch is seen too
    return made


def _await_order(running: Running, before: str | None) -> str:
    """Wait until Label Studio serves a later version's order. Raises SimulationError."""
    store = Store(running.settings.store_root, running.project_id)
    jobs = Jobs.connect(running.settings)
    limit = time.monotonic() + _LONGEST_ROUND_S
    while time.monotonic() < limit:
        running.supervisor.check()
        version = store.current()
        if version and version != before:
            project = running.label_studio.project(running.project_id)
            if project["model_version"] == version:
                return version
        job = jobs.latest(running.project_id)
        if job and job["job_status"] == "failed":
            raise SimulationError(f"the round failed: {job['error'] or 'see the worker log'}")
        time.sleep(_POLL_S)
    raise SimulationError(f"no new order within {_LONGEST_ROUND_S:.0f} s")
