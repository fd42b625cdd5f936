"""Command line of ``./quorum bench round``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from demo.brain import DemoDataError
from demo.crowd import CrowdError
from demo.simulate import SimulationError
from launcher.processes import ServiceError, stop_on_signals
from ml_backend.jobs import JobsError
from ml_backend.label_studio import LabelStudioError
from ml_backend.store import StoreError

from ..pages import hardware, write_section
from .driving import record
from .tables import draw, report
from .timeline import bars_of

_PICTURE = "round-timeline.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure rounds of the demo, or read a recording; 1 if an order was not served, 2 on error."""
    arguments = _parser().parse_args(argv)
    stop_on_signals()
    try:
        found = _read(arguments.recording) if arguments.recording else _run(arguments)
        if arguments.json and not arguments.recording:
            arguments.json.write_text(json.dumps(found, indent=1))
        shown = [(each, bars_of(each, found["seen"])) for each in found["rounds"]]
        text = report(shown, found["command"], found["hardware"])
        print(text, flush=True)
        if arguments.page:
            picture = arguments.page.parent / "images" / _PICTURE
            picture.parent.mkdir(parents=True, exist_ok=True)
            draw(shown[-1][1], picture)
            body = f"![Where the seconds of a round go](images/{_PICTURE})\n\n{text}"
            write_section(arguments.page, "round", body)
    except KeyboardInterrupt:
        return 130
    except (
        CrowdError,
        DemoDataError,
        JobsError,
        LabelStudioError,
        OSError,
        ServiceError,
        SimulationError,
        StoreError,
        ValueError,
        httpx.HTTPError,
    ) as error:
        print(f"quorum bench round: {error}", file=sys.stderr)
        return 2
    return 0 if all(each["in_order"] for each in found["rounds"]) else 1


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.rounds < 1:
        raise ValueError("--rounds must be at least 1")
    # The annotators wait for each order here: none may be made before the whole batch is labelled.
    os.environ.setdefault("QUORUM_AHEAD", "no")
    with tempfile.TemporaryDirectory(prefix="quorum-round-") as temporary:
        folder: Path = arguments.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty: give --data a new folder")
        found = record(folder, arguments.rounds, _say)
    command = f"./quorum bench round --rounds {arguments.rounds}"
    return {"command": command, "hardware": hardware(), **found}


def _read(path: Path) -> dict[str, Any]:
    found: Any = json.loads(path.read_text())
    if not isinstance(found, Mapping) or not {"rounds", "seen", "hardware"} <= found.keys():
        raise ValueError(f"{path} is no recording that --json wrote")
    return dict(found)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum bench round",
        description="Run the demo unattended and show where the seconds go between the last "
        "annotation of a batch and the new order being served.",
    )
    parser.add_argument("--rounds", type=int, default=2, help="rounds; the last is shown")
    parser.add_argument("--page", type=Path, help="write table and picture into this page")
    parser.add_argument("--json", type=Path, help="write all that was seen to this file")
    parser.add_argument("--recording", type=Path, help="only show what --json wrote")
    parser.add_argument("--data", type=Path, help="keep the servers' data in this empty folder")
    return parser
