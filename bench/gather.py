"""``./quorum bench gather``: annotated tasks from Label Studio to arrays, at first and again.

A Label Studio is started, and a project imported into it whose tasks are all annotated: pictures of
many greys with ragged blobs of two classes. gather() then reads it three ways in turn: without
having read anything before, so that each answer, picture and mask is read and decoded, and kept;
again; and again after ten annotations were changed. Before any time counts, all three must give
what gather() gives without a cache, array by array.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import secrets
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from launcher.processes import ServiceError, Supervisor, free_port
from launcher.services import Account, await_http, start_label_studio
from ml_backend import gathering
from ml_backend.allocator import keep_large_blocks
from ml_backend.caches import labels as label_cache
from ml_backend.caches.labels import LabelCache
from ml_backend.gathering import LabelledSet, Problem, gather
from ml_backend.label_studio import LabelStudio, LabelStudioError, Task
from ml_backend.label_studio.transport import Transport
from ml_backend.masks import BrushConfig, regions, to_regions

from .crowd.slices import LABEL_CONFIG
from .pages import hardware, markdown_table, write_section
from .parts import Named, Parts

GOAL = 20.0
CHANGED = 10  # annotations
_CHUNK = 50  # tasks imported in one request
_PER_PATIENT = 25
_FIELDS = 12  # drawn once; slices are these, shifted and mirrored
_LIMIT_BYTES = 2**34
_TIMED: tuple[Named, ...] = (
    ("Label Studio's export of annotations", Transport, "_call"),
    ("its JSON", httpx.Response, "json"),
    ("pictures from Label Studio", LabelStudio, "image"),
    ("PNG", gathering, "decode_image"),
    ("brush code", regions, "decode_rle"),
    ("painting label maps", label_cache, "to_label_map"),
    ("one target a slice", gathering, "target_of_masks"),
    ("the cache: keeping", LabelCache, "keep"),
    ("the cache: reading", LabelCache, "get"),
)
_REST = "all else, and waiting for these"

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """Seconds of the three ways in one run, and by parts of the first two."""

    cold_s: float
    again_s: float
    changed_s: float
    cold_parts: dict[str, float]
    again_parts: dict[str, float]


@dataclass(frozen=True)
class Measured:
    """All runs on one project."""

    tasks: int
    side: int
    import_s: float
    listing_s: float  # of the tasks, which every round does before
    without_s: float  # gather() without a cache
    disk_bytes: int
    sent_bytes: int  # annotations as JSON and pictures, as imported
    runs: list[Run] = field(default_factory=list)

    def times_as_fast(self) -> list[float]:
        """Of each run, the first way's seconds by the second's."""
        return [run.cold_s / run.again_s for run in self.runs]


@lru_cache(maxsize=1)
def _fields(side: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Ragged fields and noise, each (_FIELDS, side, side), of mean 0 and deviation 1."""
    generator = np.random.default_rng(side)
    smooth, noise = [], []
    for _ in range(_FIELDS):
        coarse = gaussian_filter(generator.standard_normal((side, side)), side / 24, mode="wrap")
        fine = gaussian_filter(generator.standard_normal((side, side)), 1.0, mode="wrap")
        both = coarse / coarse.std() + 0.25 * fine / fine.std()
        smooth.append((both / both.std()).astype(np.float32))
        noise.append(generator.standard_normal((side, side)).astype(np.float32))
    return np.stack(smooth), np.stack(noise)


def _of(fields: npt.NDArray[np.float32], number: int) -> npt.NDArray[np.float32]:
    """A slice's own view of one of the fields."""
    draw = np.random.default_rng([3, number])
    shift = tuple(int(n) for n in draw.integers(fields.shape[1], size=2))
    moved = np.roll(fields[number % _FIELDS], shift, axis=(0, 1))
    return moved[:, ::-1] if draw.random() < 0.5 else moved


def label_map(number: int, side: int) -> Grey:
    """What is drawn on a slice, (side, side): 0 background, 1 organ, 2 lesion inside it."""
    level = _of(_fields(side)[0], number)
    return (level > 0.9).astype(np.uint8) + (level > 1.7).astype(np.uint8)


def png(number: int, side: int) -> bytes:
    """The slice: each class's grey, and noise."""
    grey = np.array([60.0, 120.0, 170.0])[label_map(number, side)]
    grey += 10 * _of(_fields(side)[1], number)
    content = io.BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(content, "PNG", compress_level=1)
    return content.getvalue()


def fill(
    label_studio: LabelStudio, count: int, side: int, said: Callable[[int], None]
) -> tuple[int, int]:
    """Import a project whose tasks are all annotated; its number, and how many bytes were sent.

    Raises LabelStudioError.
    """
    config = BrushConfig.parse(LABEL_CONFIG)
    project_id = label_studio.create_project("Gather", LABEL_CONFIG)
    sent = 0
    for start in range(0, count, _CHUNK):
        part = range(start, min(start + _CHUNK, count))
        images = {f"s{number:05d}.png": png(number, side) for number in part}
        addresses = label_studio.upload_images(project_id, images)
        tasks: list[Mapping[str, Any]] = []
        for number, name in zip(part, images, strict=True):
            data = {
                "image": addresses[name],
                "slice": f"s{number:05d}",
                "patient": f"p{number // _PER_PATIENT:03d}",
            }
            regions = to_regions(label_map(number, side), config)
            tasks.append({"data": data, "annotations": [{"result": regions}]})
        label_studio.import_tasks(project_id, tasks)
        sent += sum(map(len, images.values())) + len(json.dumps(tasks))
        said(part.stop)
    return project_id, sent


def change(
    label_studio: LabelStudio, owner: httpx.Client, project_id: int, tasks: Sequence[Task], to: int
) -> None:
    """Draw these tasks' annotations anew, as slice number `to` and those after it are drawn."""
    config = BrushConfig.parse(LABEL_CONFIG)
    found = label_studio.annotations(project_id, [task.id for task in tasks])
    for number, annotation in enumerate(list(found), start=to):
        side = int(annotation.regions[0]["original_width"])
        body = {"result": to_regions(label_map(number, side), config)}
        owner.patch(f"/api/annotations/{annotation.id}", json=body).raise_for_status()


def differs(one: LabelledSet, other: LabelledSet) -> str:
    """What of two sets is not the same, "" if nothing."""
    for name in ("task_ids", "groups", "fingerprint"):
        if getattr(one, name) != getattr(other, name):
            return name
    for name in ("images", "label_maps"):
        pairs = zip(getattr(one, name), getattr(other, name), strict=True)
        if not all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs):
            return name
    return ""


class Reader:
    """gather() of one project, with a cache in a new folder."""

    def __init__(self, label_studio: LabelStudio, project_id: int, folder: Path) -> None:
        self._label_studio, self._project_id = label_studio, project_id
        self._cache = LabelCache(folder, label_studio.url, project_id, _LIMIT_BYTES)

    def tasks(self) -> list[Task]:
        """All tasks, as the survey lists them."""
        return list(self._label_studio.tasks(self._project_id))

    def timed(
        self, tasks: Sequence[Task], cached: bool = True
    ) -> tuple[LabelledSet, float, dict[str, float]]:
        """The set, seconds, and the seconds of each part. Raises RuntimeError for a problem."""
        config = BrushConfig.parse(LABEL_CONFIG)
        problems: list[Problem] = []
        parts, started = Parts(), time.perf_counter()
        with parts.timed(_TIMED), parts.block(_REST):
            found = gather(
                self._label_studio,
                self._project_id,
                tasks,
                config,
                problems,
                cache=self._cache if cached else None,
            )
        took = time.perf_counter() - started
        if problems or len(found.task_ids) != len(tasks):
            raise RuntimeError(f"not all tasks were gathered: {problems[:1]}")
        return found, took, dict(parts.seconds)


def measure(
    label_studio: LabelStudio,
    owner: httpx.Client,
    count: int,
    side: int,
    runs: int,
    folder: Path,
    said: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Import a project and gather it. Raises RuntimeError if two ways differ, LabelStudioError."""
    started = time.perf_counter()
    project_id, sent = fill(
        label_studio, count, side, lambda done: said(f"{done} of {count} tasks imported")
    )
    import_s = time.perf_counter() - started
    reader = Reader(label_studio, project_id, folder / "none")
    started = time.perf_counter()
    tasks = reader.tasks()
    listing_s = time.perf_counter() - started
    reference, without_s, _ = reader.timed(tasks, cached=False)
    said("gathered without a cache")
    results: list[Run] = []
    for run in range(runs):
        below = folder / f"run-{run}"
        reader = Reader(label_studio, project_id, below)
        cold, cold_s, cold_parts = reader.timed(tasks)
        _same(reference, cold, "the first time")
        os.sync()  # rounds are minutes apart: what the first time wrote lies on the disk by then
        again, again_s, again_parts = reader.timed(tasks)
        _same(reference, again, "the second time")
        disk = sum(path.stat().st_size for path in below.rglob("*") if path.is_file())
        del cold, again
        touched = tasks[run * CHANGED % count :][:CHANGED]
        change(label_studio, owner, project_id, touched, to=count + run * CHANGED)
        tasks = reader.tasks()
        reference, changed_s, _ = reader.timed(tasks)
        results.append(Run(cold_s, again_s, changed_s, cold_parts, again_parts))
        said(f"run {run + 1} of {runs}: {cold_s:.1f} s, then {again_s:.2f} s")
    # That of the runs before was held against the next run's first time, which read all anew.
    _same(reader.timed(tasks, cached=False)[0], reference, "after a change")
    return Measured(count, side, import_s, listing_s, without_s, disk, sent, results)


def _same(reference: LabelledSet, found: LabelledSet, when: str) -> None:
    different = differs(reference, found)
    if different:
        raise RuntimeError(f"{when}, {different} are not those gathered without a cache")


@contextmanager
def label_studio_alone(folder: Path) -> Iterator[tuple[LabelStudio, httpx.Client]]:
    """A Label Studio below a folder, and its owner's client. Raises ServiceError."""
    supervisor = Supervisor()
    account = Account("owner@bench.example", secrets.token_urlsafe(9), secrets.token_hex(20))
    try:
        url = start_label_studio(supervisor, folder, free_port(), account)
        await_http(supervisor, "Label Studio", f"{url}/health", 300)
        headers = {"Authorization": f"Token {account.token}"}
        owner = httpx.Client(base_url=url, headers=headers, timeout=60.0, trust_env=False)
        with owner, LabelStudio(url, account.token) as label_studio:
            yield label_studio, owner
    finally:
        supervisor.stop()


def section(measured: Measured, command: str) -> str:
    """The page's section: a table of the ways, and one of the parts."""
    runs = measured.runs

    def row(name: str, seconds: Sequence[float]) -> list[object]:
        median = statistics.median(seconds)
        ratios = [run.cold_s / took for run, took in zip(runs, seconds, strict=True)]
        spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        fast = "1" if name == "the first time" else spread
        return [name, f"{median:.2f}", f"{measured.tasks / median:,.0f}", fast]

    ways: list[list[object]] = [
        ["", "seconds", "tasks a second", "times as fast"],
        row("the first time", [run.cold_s for run in runs]),
        row("again", [run.again_s for run in runs]),
        row(f"again, {CHANGED} annotations changed", [run.changed_s for run in runs]),
    ]
    parts: list[list[object]] = [["", "the first time, s", "share", "again, s"]]
    cold, again = _mean([r.cold_parts for r in runs]), _mean([r.again_parts for r in runs])
    total = sum(cold.values())
    for name in sorted(cold, key=lambda part: -cold[part]):
        share = f"{100 * cold[name] / total:.0f} %"
        parts.append([name, f"{cold[name]:.2f}", share, f"{again.get(name, 0.0):.2f}"])
    per_task = measured.disk_bytes / measured.tasks
    return "\n\n".join(
        [
            "## From Label Studio's tasks to arrays",
            f"{measured.tasks:,} annotated tasks of {measured.side}² pixels with ragged masks of "
            f"two classes ({measured.sent_bytes / 1e6:.0f} MB of pictures and annotations) in a "
            "Label Studio on the same machine; "
            + (f"{len(runs)} runs, medians, " if len(runs) > 1 else "one run, ")
            + "each with an empty cache first. All ways gave the arrays and the fingerprint that "
            f"reading without a cache gives ({measured.without_s:.1f} s).",
            markdown_table(ways),
            f"The cache takes {measured.disk_bytes / 1e6:,.0f} MB, {per_task / 1e3:,.0f} kB a "
            "slice; its files were on the disk, and still in the system's memory. Listing the "
            f"tasks, which every round does before, took {measured.listing_s:.2f} s. "
            + _verdict(measured),
            "Where the time goes, each part without what is inside it, summed over threads where "
            "several pictures are read at once; means of the runs:",
            markdown_table(parts),
            f"```\n{command}\n```\n\n{hardware()}.",
        ]
    )


def _mean(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = {name for each in parts for name in each}
    return {name: statistics.fmean(each.get(name, 0.0) for each in parts) for name in names}


def _verdict(measured: Measured) -> str:
    ratio = statistics.median(measured.times_as_fast())
    held = "as was aimed at" if ratio >= GOAL else f"**less than the {GOAL:.0f} aimed at**"
    return f"The second time is {ratio:.0f} times as fast: {held}."


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write them into a page; 1 if two ways differ."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="quorum bench gather", description=__doc__)
    add = parser.add_argument
    add("--tasks", type=int, default=1000, help="annotated tasks (%(default)s)")
    add("--side", type=int, default=512, help="of the pictures, pixels (%(default)s)")
    add("--runs", type=int, default=3, help="of each way (%(default)s)")
    add("--page", type=Path, metavar="FILE", help="page whose section is replaced")
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    arguments = parser.parse_args(words)
    if min(arguments.tasks, arguments.runs) < 1 or arguments.side < 16:
        parser.error("--tasks and --runs must be at least 1, --side at least 16")

    def said(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    keep_large_blocks()  # as a worker does
    try:
        with (
            tempfile.TemporaryDirectory(prefix="quorum-gather-") as name,
            label_studio_alone(Path(name)) as (label_studio, owner),
        ):
            counts = (arguments.tasks, arguments.side, arguments.runs)
            measured = measure(label_studio, owner, *counts, Path(name) / "cache", said)
    except (ServiceError, LabelStudioError, RuntimeError, httpx.HTTPError) as error:
        print(f"quorum bench gather: {error}", file=sys.stderr)
        return 1
    text = section(measured, shlex.join(["./quorum", "bench", "gather", *words]))
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(measured), indent=1))
    if arguments.page:
        write_section(arguments.page, "gather", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
