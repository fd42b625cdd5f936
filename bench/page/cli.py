"""``./quorum bench page``: how quickly the progress page answers, however large the project.

For each size a project is made up and what its page shows is kept, as looks and rounds keep it; the
backend then serves it as ``./quorum up`` does, and one client asks for each address again and again
over one connection, with user and password. Twice: as it is, where panels made a moment ago are
shown again to whoever asks next; and with that memory off, which is what the first of them waits.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

from launcher import CLONE
from launcher.processes import ServiceError, Supervisor, free_port
from launcher.services import await_http, remove_socket, start_redis
from ml_backend.jobs import Jobs
from ml_backend.settings import Settings
from ml_backend.store import Store

from ..pages import hardware, markdown_table, write_section
from .annotations import PEOPLE
from .project import fill
from .serving import ANEW
from .workers import employ, occupy

PROJECT_ID = 4
GOAL_MS, GOAL_SIZE = 200.0, 10_000
_SIZES = (1_000, 10_000, 50_000)
_REQUESTS = 200
_WARM_UP = 5
_PAGE = f"/progress/{PROJECT_ID}"
ADDRESSES = (_PAGE, f"/api{_PAGE}", f"/api{_PAGE}/now", "/metrics")
_USER, _PASSWORD = "quorum", "bench"
_OWN = {"target_mean_iou": 0.82, "label_budget": 3000, "hold_drafts_back": 0.1}


@dataclass(frozen=True)
class Measured:
    """How long one address took to answer; milliseconds."""

    slices: int
    address: str
    anew: bool  # without the memory of panels
    requests: int
    p50_ms: float
    p99_ms: float
    bytes: int


def measure(slices: int, requests: int, folder: Path) -> list[Measured]:
    """Make up a project of so many slices and ask for its page.

    Raises ServiceError, StoreError.
    """
    supervisor, redis_url = Supervisor(), ""
    try:
        redis_url = start_redis(supervisor, folder)
        settings = Settings(redis_url=redis_url, data_dir=folder)
        jobs = Jobs.connect(settings)
        store = Store(settings.store_root, PROJECT_ID)
        store.keep_overrides(_OWN)
        kept = fill(store, PROJECT_ID, settings.of_project(_OWN), slices)
        _under_way(jobs, kept.versions[-1])
        with _served(supervisor, folder, redis_url) as client:
            return [
                _ask(client, slices, address, anew, requests)
                for anew in (False, True)
                for address in ADDRESSES
            ]
    finally:
        supervisor.stop()
        remove_socket(redis_url)


def _under_way(jobs: Jobs, version: str) -> None:
    """A round runs: the page has most to tell then."""
    state = jobs.state(PROJECT_ID)
    state.ask_for_round(force=True)
    state.start_waiting()
    state.note(state.number, **{"at:train-0": json.dumps(["train", 240, 400])})
    steps = [f"step_job {PROJECT_ID} {state.number} {version} train-{n}" for n in range(2)]
    occupy(jobs, employ(jobs), steps)


@contextmanager
def _served(supervisor: Supervisor, folder: Path, redis_url: str) -> Iterator[httpx.Client]:
    """The backend's process, and a client of it."""
    port = free_port()
    environment: Mapping[str, str] = {
        **os.environ,
        "PYTHONPATH": str(CLONE),
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(folder),
        "QUORUM_BASIC_AUTH_USER": _USER,
        "QUORUM_BASIC_AUTH_PASSWORD": _PASSWORD,
        "QUORUM_WEBHOOK_SECRET": _PASSWORD,
    }
    # As launcher.services.start_backend does, without workers: they would begin to work.
    program = (
        "from bench.page.serving import both; from ml_backend import serving; "
        "raise SystemExit(serving.main(make=both))"
    )
    argv = [sys.executable, "-c", program, "--port", str(port)]
    supervisor.start("The backend", argv, environment, folder / "backend.log")
    url = f"http://127.0.0.1:{port}"
    await_http(supervisor, "The backend", f"{url}/health", 120)
    with httpx.Client(base_url=url, auth=(_USER, _PASSWORD), timeout=60) as client:
        yield client


def _ask(client: httpx.Client, slices: int, address: str, anew: bool, requests: int) -> Measured:
    took_ms, size = [], 0
    for number in range(_WARM_UP + requests):
        started = time.perf_counter()
        answer = client.get((ANEW if anew else "") + address)
        if number >= _WARM_UP:
            took_ms.append(1000 * (time.perf_counter() - started))
        answer.raise_for_status()
        size = len(answer.content)
    p50, p99 = np.percentile(took_ms, [50, 99]).tolist()
    return Measured(slices, address, anew, requests, p50, p99, size)


def section(results: Sequence[Measured], command: str) -> str:
    """The page's section: a table, and whether the goal holds."""
    head = ["slices", "address", "kB", "p50 ms", "p99 ms", "anew, p50 ms", "anew, p99 ms"]
    rows = []
    for usual in (r for r in results if not r.anew):
        made_anew = next(
            r for r in results if r.anew and (r.slices, r.address) == (usual.slices, usual.address)
        )
        address = usual.address.replace(f"/{PROJECT_ID}", "/ID")
        times = (usual.p50_ms, usual.p99_ms, made_anew.p50_ms, made_anew.p99_ms)
        size = f"{usual.bytes / 1000:.0f}"
        rows.append([f"{usual.slices:,}", f"`{address}`", size, *(f"{t:.1f}" for t in times)])
    parts = [
        "## The progress page: how quickly it answers",
        f"A project of {PEOPLE} annotators and 12 versions, of which 12.4 % are labelled twice, "
        "while a round runs. What the page shows is kept by looks and rounds: a request reads it "
        "and computes nothing over slices. *Anew*: with the memory off that shows panels for a "
        f"second or five to whoever asks next. {results[0].requests} requests each, one after "
        "the other, over one connection.",
        markdown_table([head, *rows]),
        verdict(results),
        f"```\n{command}\n```\n\n{hardware()}.",
    ]
    return "\n\n".join(part for part in parts if part)


def verdict(results: Sequence[Measured]) -> str:
    """Whether the page itself stays below the goal at the goal's size; empty if not measured."""
    judged = [r for r in results if r.slices == GOAL_SIZE and r.address == _PAGE]
    if not judged:
        return ""
    slowest = max(r.p99_ms for r in judged)
    held = "below" if slowest < GOAL_MS else "**above**"
    return (
        f"At {GOAL_SIZE:,} slices 99 of 100 pages take at most {slowest:.0f} ms, made anew or not: "
        f"{held} the {GOAL_MS:.0f} ms aimed at."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it into a page; the exit status: 1 above 200 ms."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="quorum bench page", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=_sizes, default=_SIZES, metavar="A,B,…",
        help=f"slices ({','.join(map(str, _SIZES))})")  # fmt: skip
    add("--requests", type=int, default=_REQUESTS, help="of each address (%(default)s)")
    add("--page", type=Path, help="page whose section is replaced")
    add("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args(words)
    results: list[Measured] = []
    try:
        for slices in arguments.sizes:
            with tempfile.TemporaryDirectory(prefix="quorum-page-") as folder:
                results += measure(slices, arguments.requests, Path(folder))
            print(f"{slices:,} slices measured", file=sys.stderr, flush=True)
    except ServiceError as error:
        print(f"quorum bench page: {error}", file=sys.stderr)
        return 1
    body = section(results, shlex.join(["./quorum", "bench", "page", *words]))
    print(body)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    if arguments.page:
        write_section(arguments.page, "page", body)
    return 1 if "**above**" in verdict(results) else 0


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(word.replace("_", "")) for word in text.split(","))
    if min(sizes) < 200:
        raise argparse.ArgumentTypeError("sizes must be at least 200")
    return sizes
