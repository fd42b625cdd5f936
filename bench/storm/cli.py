"""Command line of ``./quorum bench storm``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import httpx

from bench.crowd.servers import running
from demo.crowd import CrowdError
from launcher.processes import ServiceError, stop_on_signals
from ml_backend.jobs import JobsError
from ml_backend.label_studio import LabelStudioError
from ml_backend.store import StoreError

from ..pages import hardware, markdown_table
from .promises import Storm, faults, percentile_ms, refused
from .weather import StormError, Weather

_LIMIT_MS = 100.0
_MOST_ROUNDS = 2
_HUNG_UP_S = 1.0  # Label Studio waits no longer for a webhook's answer
# Long enough that a round is under way as long as the storm.
_TRAINING = {
    "QUORUM_BATCH": "12",
    "QUORUM_EVALUATION_SLICES": "6",
    "QUORUM_AHEAD": "false",  # half a batch starts no round: rounds are counted here
    "QUORUM_RECONCILE_S": "10",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run and check the storms; 1 if a promise did not hold, 2 if they could not be made."""
    arguments = _parser().parse_args(argv)
    stop_on_signals()
    try:
        storms = _run(arguments)
    except KeyboardInterrupt:
        return 130
    except (
        StormError,
        CrowdError,
        LabelStudioError,
        ServiceError,
        JobsError,
        StoreError,
        ValueError,
        OSError,
        httpx.HTTPError,
    ) as error:
        print(f"quorum bench storm: {error}", file=sys.stderr)
        return 2
    print(report(storms), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(storm) for storm in storms]))
    broken = [
        f"NOT HELD, {storm.style}: {fault}"
        for storm in storms
        for fault in faults(storm, _LIMIT_MS, _MOST_ROUNDS)
    ]
    print("\n".join(broken) if broken else "All held.")
    return 1 if broken else 0


def report(storms: Sequence[Storm]) -> str:
    """The table of all storms, and how it was measured."""
    heads = "events, p50 ms, p95 ms, p99 ms, max ms, refused, over 1 s, connections, rounds"
    rows: list[Sequence[object]] = [["", *heads.split(", "), "a round ran", "sent late p99 ms"]]
    for storm in storms:
        found = storm.outcomes
        shown = [f"{percentile_ms(found, share):.1f}" for share in (0.5, 0.95, 0.99, 1.0)]
        over = sum(outcome.took_s > _HUNG_UP_S for outcome in found)
        rounds = " + ".join(str(count) for count in storm.rounds.values())
        under_way = f"{storm.trained_s:.0f} of {storm.seconds:.0f} s"
        late = f"{percentile_ms(found, 0.99, late=True):.1f}"
        counts = [refused(found), over, storm.connections, rounds]
        rows.append([storm.style, len(found), *shown, *counts, under_way, late])
    size = storms[0].body_bytes / 1000 if storms else 0
    return (
        f"{markdown_table(rows)}\n\n"
        "Open loop: events are due at random moments (a Poisson process) and sent when due, "
        "whether or not earlier ones were answered; times count from when an event was due, the "
        f"sender's own delay included. Bodies have {size:.0f} kB. Label Studio opens a connection "
        f"for each event and waits {_HUNG_UP_S:.0f} s.\n{hardware()}, load {os.getloadavg()[0]:.1f}"
    )


def _run(arguments: argparse.Namespace) -> list[Storm]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    environment = {**_TRAINING, "QUORUM_STEPS": str(arguments.steps)}
    with tempfile.TemporaryDirectory(prefix="quorum-storm-") as temporary:
        _say("Starting Redis, Label Studio, the backend and a worker …")
        with running(Path(temporary), 1, environment) as servers:
            _say("Making projects …")
            weather = Weather(servers, arguments.projects, arguments.tasks)
            storms = []
            for keep in (False, True):
                _say(f"{arguments.events} events in {arguments.seconds:.0f} s …")
                storms.append(
                    weather.storm(arguments.events, arguments.seconds, arguments.seed, keep)
                )
            return storms


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum bench storm",
        description="Webhooks by the thousand on the real backend while a round trains; once with "
        "a new connection each, as Label Studio sends them, once over connections that are kept.",
    )
    parser.add_argument("--events", type=int, default=5000, help="a storm (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="a storm (%(default)s)")
    parser.add_argument("--projects", type=int, default=1, help="projects (%(default)s)")
    parser.add_argument(
        "--tasks", type=int, default=200, help="slices of the project that trains (%(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=500, help="optimizer steps a member (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the schedule")
    parser.add_argument("--json", type=Path, help="write every event's outcome to this file")
    return parser
