"""``./quorum bench growth``: memory and seconds to select and order pools of growing size.

What a round's last step does, in a process of its own for each size: the project's tasks as
objects, as the survey holds them, made into arrays; the scores of all slices; the selection, with
descriptors read as the strategy asks for them; the queue, its scores, and the quantiles that late
slices are placed by. Scores and descriptors are generated; generating is timed apart, for it
stands where a round reads its shards from the store.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_backend.label_studio import Task
from ml_backend.learning.depths import relative_depths
from ml_backend.learning.strategies import STRATEGIES, Candidates, Strategy, descriptor_type
from ml_backend.order import quantiles, queue_positions, rank_scores, select_ids
from ml_backend.settings import Settings
from ml_backend.survey import unit_of

from .pages import hardware, markdown_table, write_section

Positions = npt.NDArray[np.int64]

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_DESCRIPTOR = 1024  # the paper's FCN, and the GPU edition's
_SHARD = 2000  # slices whose descriptors are generated, or read, together
_KINDS = 64  # groups of slices that look alike
_CLASSES = 2
_LABELLED = 100
_LIMIT_GIB = 4.0


@dataclass(frozen=True)
class Measured:
    """What one size took with one strategy."""

    size: int
    strategy: str
    described: int  # slices whose descriptors were read
    select_s: float  # without reading
    read_s: float  # generating, where a round reads from the store
    order_s: float
    peak_mib: float  # of the whole process, its libraries among them


class Generated:
    """Descriptors (N, D) of a pool, made a shard at a time and always the same."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size
        # Mean activations after a ReLU: not negative, most of them small, slices in groups.
        self._kinds = np.random.default_rng(1).exponential(0.5, (_KINDS, size)).astype(np.float32)
        self.seconds = 0.0

    def shard(self, number: int) -> npt.NDArray[np.float32]:
        """Descriptors of a shard's slices."""
        rows = min(_SHARD, self._count - number * _SHARD)
        generator = np.random.default_rng([2, number])
        noise = generator.random((rows, self._size), dtype=np.float32)
        noise += self._kinds[generator.integers(_KINDS, size=rows)]
        return noise

    def read(self, places: Positions) -> npt.NDArray[Any]:
        """Descriptors of the slices at R places, (R, D): one shard in memory at a time."""
        started = time.perf_counter()
        rows = np.empty((len(places), self._size), descriptor_type(len(places), self._size))
        of = places // _SHARD
        for number in np.unique(of):
            inside = of == number
            rows[inside] = self.shard(int(number))[places[inside] - number * _SHARD]
        self.seconds += time.perf_counter() - started
        return rows


def project(count: int) -> list[Task]:
    """A project's tasks as the importer makes them: 30 slices a series, 1 % labelled."""
    tasks = []
    for number in range(count):
        patient = f"{number // 60:012x}"
        data = {
            "image": f"/data/local-files/?d=images/{patient}/{number:09d}.png",
            "patient": patient,
            "study": f"{number // 60:012x}",
            "series": f"{number // 30:012x}",
            "slice": f"{number:012x}",
            "slice_position_mm": 1.5 * (number % 30),
        }
        labelled = int(number % 100 == 0)
        tasks.append(
            Task(
                id=number + 1,
                data=data,
                is_labeled=bool(labelled),
                annotations=labelled,
                skipped=0,
                changed=f"2026-01-01T00:00:{number % 60:02d}.000000Z",
            )
        )
    return tasks


def scored(count: int, size: int) -> Candidates:
    """Scores of all slices, without their descriptors."""
    generator = np.random.default_rng(0)
    uncertainty, entropy, bald, mc_dropout = generator.gamma(2.0, 0.01, (4, count))
    return Candidates(
        uncertainty=uncertainty,
        entropy=entropy,
        bald=bald,
        mc_dropout=mc_dropout,
        descriptors=np.zeros((0, size), np.float32),
        shares=generator.dirichlet([20] + [1] * _CLASSES, count),
        labelled=Generated(_LABELLED, size).shard(0),
        described=np.zeros(0, np.int64),
    )


def measure(count: int, strategy: Strategy, size: int, settings: Settings) -> Measured:
    """Select and order one pool, in this process."""
    importlib.import_module("ml_backend.learning.committee")  # torch: the round's process holds it
    tasks, candidates, descriptors = project(count), scored(count, size), Generated(count, size)
    held_out = np.arange(count) // 60 % 5 == 0  # every fifth patient
    evaluation = held_out & (np.arange(count) < 60 * settings.evaluation_slices)

    started = time.perf_counter()
    task_ids = np.fromiter((task.id for task in tasks), np.int64, count)
    open_ = np.fromiter((not task.is_labeled for task in tasks), bool, count)
    unlabelled = np.fromiter((task.annotations == 0 for task in tasks), bool, count)
    skipped = np.fromiter((task.skipped > 0 for task in tasks), bool, count)
    surveyed_s = time.perf_counter() - started

    started = time.perf_counter()
    candidates = replace(candidates, depths=relative_depths([unit_of(task) for task in tasks]))
    selected = select_ids(
        strategy,
        task_ids,
        open_ & ~held_out & unlabelled & ~skipped,
        candidates,
        settings.K,
        settings.k,
        descriptors.read,
    )
    select_s = time.perf_counter() - started - descriptors.seconds

    started = time.perf_counter()
    order = queue_positions(
        task_ids,
        open_=open_,
        wanted=evaluation & unlabelled,
        held_out=held_out,
        uncertainty=candidates.uncertainty,
        selected=selected,
    )
    scores = rank_scores(len(order))
    quantiles(candidates.uncertainty)
    order_s = time.perf_counter() - started + surveyed_s
    if len(order) != int(open_.sum()) or len(scores) != len(order):
        raise RuntimeError("the order does not hold every open task once")
    described = {"nothing": 0, "candidates": settings.K, "pool": int((open_ & ~held_out).sum())}
    return Measured(
        size=count,
        strategy=strategy.name,
        described=described[strategy.looks_at],
        select_s=select_s,
        read_s=descriptors.seconds,
        order_s=order_s,
        peak_mib=peak_mib(),
    )


def peak_mib() -> float:
    """The most memory this process ever had resident, MiB."""
    try:
        # Not getrusage: after a fork and exec that tells the parent's peak, if it was higher.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def apart(count: int, strategy: str, size: int) -> Measured:
    """measure() in a new process. Raises RuntimeError if it does not end well."""
    words = ["--one", str(count), "--strategies", strategy, "--descriptor", str(size)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.growth", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{count} slices with {strategy}: exit {done.returncode}: {last}")
    return Measured(**json.loads(done.stdout))


def section(results: Sequence[Measured], size: int, command: str) -> str:
    """The page's section: a table a strategy, and whether time and memory grow linearly."""
    head = ["slices", "descriptors read", "select s", "order s", "µs a slice", "read s", "peak MiB"]
    parts = [
        "## Growth: select and order a pool of up to a million slices",
        f"Descriptors of {size} numbers; K = {Settings().K}, k = {Settings().k}. Each size runs in "
        "a process of its own, which also holds the project's tasks as objects, as the survey "
        "does. Descriptors that would take more than 1 GiB are held in half precision, and made "
        "single again in blocks. *Select* begins with each slice's depth, worked out from the "
        "tasks for every strategy. *Read* stands where a round reads descriptors from its shards "
        "in the store: here they are generated. *Peak* is the whole process's, Python and torch "
        "among it.",
    ]
    for strategy in dict.fromkeys(result.strategy for result in results):
        rows = [result for result in results if result.strategy == strategy]
        cells = [
            [
                f"{r.size:,}",
                f"{r.described:,}",
                f"{r.select_s:.3f}",
                f"{r.order_s:.3f}",
                f"{1e6 * (r.select_s + r.order_s) / r.size:.1f}",
                f"{r.read_s:.1f}",
                f"{r.peak_mib:,.0f}",
            ]
            for r in rows
        ]
        parts += [f"### {strategy}", markdown_table([head, *cells])]
        if len(rows) > 1:
            parts.append(_linear(rows[-2], rows[-1]))
    most = max(results, key=lambda result: result.peak_mib)
    verdict = "within" if most.peak_mib <= _LIMIT_GIB * 1024 else "**above**"
    parts.append(
        f"Most memory: {most.peak_mib / 1024:.2f} GiB ({most.strategy}, {most.size:,} slices), "
        f"{verdict} the {_LIMIT_GIB:g} GiB allowed.\n\n```\n{command}\n```\n\n{hardware()}."
    )
    return "\n\n".join(parts)


def _linear(smaller: Measured, larger: Measured) -> str:
    grown = larger.size / smaller.size
    took = [result.select_s + result.order_s for result in (smaller, larger)]
    return (
        f"From {smaller.size:,} to {larger.size:,} slices, ×{grown:g}: "
        f"time ×{took[1] / took[0]:.1f}, memory ×{larger.peak_mib / smaller.peak_mib:.1f}."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it into a page; the exit status: 1 above 4 GiB."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="quorum bench growth", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=_sizes, default=_SIZES, metavar="A,B,…",
        help=f"slices ({','.join(map(str, _SIZES))})")  # fmt: skip
    add("--strategies", nargs="+", default=[Settings.strategy], choices=sorted(STRATEGIES),
        metavar="NAME",
        help=f"of {', '.join(sorted(STRATEGIES))} ({Settings.strategy})")  # fmt: skip
    add("--descriptor", type=int, default=_DESCRIPTOR, help="numbers in one (%(default)s)")
    add("--page", type=Path, help="page whose section is replaced")
    add("--json", type=Path, help="file for the figures")
    add("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.one is not None:
        strategy = STRATEGIES[arguments.strategies[0]]
        print(
            json.dumps(asdict(measure(arguments.one, strategy, arguments.descriptor, Settings())))
        )
        return 0
    results = []
    try:
        for strategy in arguments.strategies:
            for count in arguments.sizes:
                results.append(apart(count, strategy, arguments.descriptor))
                print(results[-1], file=sys.stderr, flush=True)
    except RuntimeError as error:
        print(f"quorum bench growth: {error}", file=sys.stderr)
        return 1
    shown = shlex.join(["./quorum", "bench", "growth", *words])
    body = section(results, arguments.descriptor, shown)
    print(body)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    if arguments.page:
        write_section(arguments.page, "growth", body)
    return 0 if max(result.peak_mib for result in results) <= _LIMIT_GIB * 1024 else 1


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(word.replace("_", "")) for word in text.split(","))
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError("sizes must be at least 1")
    return sizes


if __name__ == "__main__":
    raise SystemExit(main())
