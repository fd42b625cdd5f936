"""Mutated files by the thousand through the importer: no crash, hang, leak or greed.

``./quorum bench fuzz``: batches of hostile files are imported by the command, with DICOM copies.
After each batch: the command ended by itself with one of its own exit codes and no traceback, every
file is accounted for in its report, no identity of the sources is in anything it wrote or said,
and memory and time stayed under the limits. A batch that fails is halved until the file is found.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from launcher import CLONE

from .canaries import Canary, survivors
from .mutations import Mutation, Source, identifiers, mutate, sources
from .planted import PIXELS, plant

_SAMPLE_S = 0.05
_OBJECT_S = 20  # after which the importer itself gives an object up
_SLACK_S = 60.0  # of a batch, for start and stop


@dataclass
class Batch:
    """What one run of the importer did with some files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    peak_bytes: int = 0  # resident, of the whole process tree
    seconds: float = 0.0


class _Memory(threading.Thread):
    """Samples the resident memory of a process and its children until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak_bytes, self.done = psutil.Process(pid), 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(_SAMPLE_S):
            total = 0
            try:
                tree = [self.process, *self.process.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for each in tree:
                try:
                    # Shared pages of forked workers count once for each: an upper bound.
                    total += each.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak_bytes = max(self.peak_bytes, total)


def run_batch(
    mutations: Sequence[Mutation],
    canaries: Sequence[Canary],
    limit_bytes: int,
    per_file_s: float,
    workers: int,
    burned_in: str,
    copies: bool = True,
) -> Batch:
    """Import some mutated files in a new process and look at all that came of it.

    With DICOM copies pydicom reads every header, without them the importer's own quick reader.
    """
    batch = Batch()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        inbox, temporary = work / "inbox", work / "tmp"
        inbox.mkdir()
        temporary.mkdir()
        for mutation in mutations:
            (inbox / f"{mutation.index:08d}").write_bytes(mutation.content)
        command = [
            *(sys.executable, "-m", "importer", "import", str(inbox), "--json"),
            *("--out", str(work / "out")),
            *(["--dicom-out", str(work / "copies")] if copies else []),
            *("--key", str(work / "keys" / "key"), "--quarantine", str(work / "quarantine")),
            *("--workers", str(workers), "--burned-in", burned_in),
        ]
        environment = os.environ | {
            "TMPDIR": str(temporary),
            "QUORUM_DATA_DIR": str(work / "data"),
            "QUORUM_IMPORT_SECONDS": str(_OBJECT_S),
        }
        # Output goes to files: a child that lives on would hold a pipe open for ever.
        with (work / "stdout").open("wb") as stdout, (work / "stderr").open("wb") as stderr:
            started = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=CLONE, env=environment, stdout=stdout, stderr=stderr
            )
            memory = _Memory(process.pid)
            memory.start()
            try:
                status = process.wait(per_file_s * len(mutations) + _SLACK_S)
            except subprocess.TimeoutExpired:
                batch.violations.append("hang: the import did not end")
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                status = process.wait()
            batch.seconds = time.perf_counter() - started
        memory.done.set()
        memory.join()
        batch.peak_bytes = memory.peak_bytes
        if memory.peak_bytes > limit_bytes:
            batch.violations.append(f"memory: {memory.peak_bytes / 2**30:.2f} GiB")
        said = [(work / name).read_bytes() for name in ("stdout", "stderr")]
        if status not in (0, 1, 2):
            batch.violations.append(f"crash: exit status {status}")
        elif b"Traceback" in said[1]:
            batch.violations.append("crash: a traceback")
        else:
            _account(batch, said[0], len(mutations))
        outputs = [p for n in ("out", "copies", "keys", "tmp", "data") if (p := work / n).exists()]
        found = survivors(canaries, *outputs, *said)
        batch.violations += [f"leak: {c.place}, {c.where}" for c in found[:5]]
        if (work / "outside.dcm").exists() or (work.parent / "outside.dcm").exists():
            batch.violations.append("leak: an archive wrote outside")
    return batch


def _account(batch: Batch, stdout: bytes, files: int) -> None:
    """Count the outcomes; each file is one object or, as an archive, several."""
    try:
        report: dict[str, Any] = json.loads(stdout)
    except ValueError:
        batch.violations.append("crash: no report")
        return
    outcomes = batch.outcomes
    outcomes["not DICOM"] = report["not_dicom"]
    outcomes["without pixels"] = sum(report["without_pixels"].values())
    for kind in ("quarantined", "unreadable"):
        outcomes.update(problem["reason"] for problem in report[kind])
    images = report["objects"] - sum(outcomes.values())
    slices = report["imported"] + report["already_there"]
    # A link in a zip is no object, so that a zip of nothing else may hold none.
    if report["objects"] < files or not 0 <= images <= slices:
        batch.violations.append(
            f"lost: {files} files, {report['objects']} objects, {images} images, {slices} slices"
        )
    outcomes["images imported"] = images


def culprits(
    mutations: Sequence[Mutation], violation: str, run: Any
) -> list[tuple[Mutation, list[str]]]:
    """The mutations that violate alone, found by halving; none if only the batch does."""
    kind = violation.split(":")[0]
    if len(mutations) == 1:
        batch: Batch = run(mutations)
        return [(mutations[0], batch.violations)] if batch.violations else []
    found = []
    half = len(mutations) // 2
    for part in (mutations[:half], mutations[half:]):
        again: Batch = run(part)
        if any(v.startswith(kind) for v in again.violations):
            found += culprits(part, violation, run)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench fuzz``; 0 if nothing was violated, else 1."""
    parser = argparse.ArgumentParser(prog="quorum bench fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="files (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (%(default)s)")
    parser.add_argument("--only", type=int, metavar="INDEX", help="one mutation of the seed")
    parser.add_argument("--keep", type=Path, help="write the mutation of --only to this file")
    parser.add_argument("--batch", type=int, default=250, help="files a run (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of the importer (%(default)s)")
    parser.add_argument("--burned-in", default="off", choices=["off", "redact", "quarantine"])
    parser.add_argument("--no-copies", action="store_true", help="write no DICOM copies")
    parser.add_argument("--memory-gib", type=float, default=4.0, help="of all processes together")
    parser.add_argument("--seconds-per-file", type=float, default=1.0, help="over a batch")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(Path(folder) / "corpus", arguments.seed)
        listed = sources(planted.folder)
    # Bytes hidden beside the pixels become pixels when a mutation makes the image larger.
    canaries = [c for c in planted.canaries if c.place != PIXELS] + identifiers(listed)

    def run(mutations: Sequence[Mutation]) -> Batch:
        return run_batch(
            mutations,
            canaries,
            int(arguments.memory_gib * 2**30),
            arguments.seconds_per_file,
            arguments.workers,
            arguments.burned_in,
            not arguments.no_copies,
        )

    if arguments.only is not None:
        return _only(arguments, listed, run)
    return _all(arguments, listed, run)


def _only(arguments: argparse.Namespace, listed: Sequence[Source], run: Any) -> int:
    mutation = mutate(listed, arguments.seed, arguments.only)
    if arguments.keep:
        arguments.keep.write_bytes(mutation.content)
    batch = run([mutation])
    print(f"{mutation.kind} of {mutation.source}, {len(mutation.content)} bytes")
    print(dict(+batch.outcomes), f"{batch.seconds:.1f} s, {batch.peak_bytes / 2**20:.0f} MiB")
    for violation in batch.violations:
        print(violation)
    return 1 if batch.violations else 0


def _all(arguments: argparse.Namespace, listed: Sequence[Source], run: Any) -> int:
    total, kinds, violations, mutating_s = Batch(), Counter[str](), [], 0.0
    slowest_s = 0.0
    for first in range(0, arguments.count, arguments.batch):
        started = time.perf_counter()
        indices = range(first, min(first + arguments.batch, arguments.count))
        mutations = [mutate(listed, arguments.seed, index) for index in indices]
        mutating_s += time.perf_counter() - started
        kinds.update(mutation.kind for mutation in mutations)
        batch = run(mutations)
        total.outcomes += batch.outcomes
        total.seconds += batch.seconds
        total.peak_bytes = max(total.peak_bytes, batch.peak_bytes)
        slowest_s = max(slowest_s, batch.seconds / len(mutations))
        if batch.violations:
            print(f"files {indices[0]} to {indices[-1]}: {'; '.join(batch.violations)}", flush=True)
            alone = culprits(mutations, batch.violations[0], run)
            for mutation, found in alone:
                line = f"{mutation.kind} of {mutation.source}: {'; '.join(found)}"
                print(f"  --seed {arguments.seed} --only {mutation.index}: {line}", flush=True)
                violations.append(line)
            violations += [] if alone else batch.violations
        if sys.stderr.isatty():
            print(f"\r{indices[-1] + 1}/{arguments.count}", end="", file=sys.stderr, flush=True)
    figures = {
        "count": arguments.count,
        "seed": arguments.seed,
        "violations": violations,
        "mutations": dict(kinds.most_common()),
        "outcomes": dict(total.outcomes.most_common()),
        "peak_gib": round(total.peak_bytes / 2**30, 2),
        "files_per_s": round(arguments.count / max(total.seconds, 1e-3), 1),
        "slowest_batch_s_per_file": round(slowest_s, 3),
    }
    print(f"\n{arguments.count} files, seed {arguments.seed}: {len(violations)} violations")
    for title, counts in (("mutations", kinds), ("outcomes", total.outcomes)):
        print(f"{title}: " + ", ".join(f"{n} {name}" for name, n in counts.most_common()))
    print(
        f"{figures['files_per_s']} files/s, slowest batch "
        f"{figures['slowest_batch_s_per_file']} s a file, "
        f"peak memory of all processes {figures['peak_gib']} GiB"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 1 if violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
