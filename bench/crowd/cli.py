"""Command line of ``./quorum bench crowd``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import httpx

from demo.crowd import CrowdError
from launcher.processes import ServiceError, stop_on_signals
from ml_backend.jobs import JobsError
from ml_backend.label_studio import LabelStudioError
from ml_backend.store import StoreError

from .campaign import Campaign, CampaignError, Size
from .checks import all_checks
from .recording import Recording, load, save
from .servers import running
from .tables import report


def main(argv: Sequence[str] | None = None) -> int:
    """Run and check a crowd; 1 if a claim did not hold, 2 if the run could not be made."""
    arguments = _parser().parse_args(argv)
    stop_on_signals()
    try:
        recording = load(arguments.check) if arguments.check else _run(arguments)
    except KeyboardInterrupt:
        return 130
    except (
        CampaignError,
        CrowdError,
        LabelStudioError,
        ServiceError,
        JobsError,
        StoreError,
        ValueError,
        OSError,
        httpx.HTTPError,
    ) as error:
        print(f"quorum bench crowd: {error}", file=sys.stderr)
        return 2
    checks = all_checks(recording)
    print(report(recording, checks), flush=True)
    if arguments.json:
        save(recording, arguments.json, checks=[asdict(check) for check in checks])
    return 1 if any(check.broken for check in checks) else 0


def _run(arguments: argparse.Namespace) -> Recording:
    size = Size(
        tasks=arguments.tasks,
        annotators=arguments.annotators,
        overlap=arguments.overlap,
        rounds=arguments.rounds,
        think_s=arguments.think,
        minutes=arguments.minutes,
        seed=arguments.seed,
    )
    environment = {
        "QUORUM_BATCH": str(arguments.batch),
        "QUORUM_K": str(6 * arguments.batch),
        "QUORUM_EVALUATION_SLICES": "12",
        "QUORUM_SEED": str(arguments.seed),
    }
    # A tiny committee gains nothing from threads that wait for cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="quorum-crowd-") as temporary:
        folder: Path = arguments.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty: give --data a new folder")
        _say("Starting Redis, Label Studio, the backend and the workers …")
        with running(folder, arguments.workers, environment) as servers:
            return Campaign(servers, size, _say).run()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum bench crowd",
        description="Simulated annotators label generated slices in a real Label Studio while the "
        "loop retrains; every request is recorded, then checked. Exit status 1 if a claim fails.",
    )
    parser.add_argument("--tasks", type=int, default=2000, help="slices (%(default)s)")
    parser.add_argument("--annotators", type=int, default=20, help="accounts (%(default)s)")
    parser.add_argument("--overlap", type=int, default=2, help="readers a task (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="trained rounds (%(default)s)")
    parser.add_argument("--batch", type=int, default=40, help="slices a round (%(default)s)")
    parser.add_argument(
        "--think", type=float, default=10.0, help="mean seconds for one slice (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="training workers (%(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=11.0, help="labelling ends after this (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of hands, times and committees")
    parser.add_argument("--json", type=Path, help="write the recording and the checks to this file")
    parser.add_argument("--check", type=Path, help="only check a recording that --json wrote")
    parser.add_argument("--data", type=Path, help="keep the servers' data in this empty folder")
    return parser
