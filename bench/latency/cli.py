"""``./quorum bench latency``: milliseconds that /predict takes, over HTTP.

The backend runs as ``./quorum up`` runs it, with a published committee, and is asked with user and
password, as Label Studio asks: for the drafts of 1, 10 and 50 tasks by one client, one request
after the other, and of 1 task by 20 clients at once. Pictures come from a small file server that
stands for Label Studio's. In turn with it the forward passes of the same members over as many
squares are timed, ready in memory: what a request takes beyond them is everything else. Where that
goes is told by the same requests to the same application inside the bench's own process.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import httpx

from launcher.processes import ServiceError
from ml_backend.allocator import keep_large_blocks
from ml_backend.learning.training_settings import TrainingSettings

from ..pages import write_section
from .load import Load, Measured, measure
from .parts import parts_of
from .section import section
from .servers import running, serve_files, write_pictures

CLIENTS = 20


def run(
    sides: Sequence[int], counts: Sequence[int], clients: int, requests: int, runs: int, steps: int
) -> tuple[list[Measured], dict[str, dict[str, float]], TrainingSettings]:
    """Measure everything. Raises ServiceError, RuntimeError if a draft lacks."""
    keep_large_blocks()
    results, parts = [], {}
    with (
        tempfile.TemporaryDirectory(prefix="quorum-latency-") as name,
        running(Path(name), steps) as servers,
    ):
        for side in sides:
            addresses = write_pictures(servers.files, side)
            for tasks in counts:
                load = Load(servers, addresses, tasks, clients=1)
                wanted = max(2 * runs, requests // max(1, round(tasks**0.6)))
                results.append(measure(load, side, wanted, runs))
            load = Load(servers, addresses, 1, clients)
            results.append(measure(load, side, 2 * requests, runs))
            for tasks in sorted({min(counts), max(counts)}):
                few = max(2, requests // tasks // 2)
                title = f"{tasks} tasks, {side}²" if tasks > 1 else f"1 task, {side}²"
                parts[title] = parts_of(servers, addresses, tasks, few)
            print(f"pictures of {side}² measured", file=sys.stderr, flush=True)
        return results, parts, servers.committee.settings


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write them into a page."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="quorum bench latency", description=__doc__)
    add = parser.add_argument
    add("--sides", type=_numbers, default=(256, 512), metavar="A,B,…",
        help="of the pictures, pixels (256,512)")  # fmt: skip
    add("--tasks", type=_numbers, default=(1, 10, 50), metavar="A,B,…",
        help="in one request (1,10,50)")  # fmt: skip
    add("--clients", type=int, default=CLIENTS, help="at once, of 1 task each (%(default)s)")
    add("--requests", type=int, default=200, help="of 1 task; fewer of more (%(default)s)")
    add("--runs", type=int, default=5, help="that they are divided into (%(default)s)")
    add("--steps", type=int, default=60, help="that the members are trained for (%(default)s)")
    add("--page", type=Path, metavar="FILE", help="page whose section is replaced")
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    add("--serve", nargs=2, metavar=("FOLDER", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.serve:
        serve_files(Path(arguments.serve[0]), int(arguments.serve[1]))
        return 0
    if min(arguments.clients, arguments.requests, arguments.runs, arguments.steps) < 1:
        parser.error("--clients, --requests, --runs and --steps must be at least 1")
    try:
        results, parts, settings = run(
            arguments.sides,
            arguments.tasks,
            arguments.clients,
            arguments.requests,
            arguments.runs,
            arguments.steps,
        )
    except (ServiceError, RuntimeError, httpx.HTTPError) as error:
        print(f"quorum bench latency: {error}", file=sys.stderr)
        return 1
    command = shlex.join(["./quorum", "bench", "latency", *words])
    text = section(results, parts, settings, command)
    print(text)
    if arguments.json:
        figures = {"requests": [asdict(result) for result in results], "parts": parts}
        arguments.json.write_text(json.dumps(figures, indent=1))
    if arguments.page:
        write_section(arguments.page, "latency", text)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("they must be at least 1")
    return numbers
