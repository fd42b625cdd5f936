"""``./quorum bench scoring``: slices a second that a committee scores, against its bare networks.

Scoring gives each slice a draft at its own size, uncertainty, entropy, mutual information and a
descriptor. The floor is the forward passes of the same members over the same number of squares that
lie ready in memory, side by side as scoring runs them. Both take turns. How memory grows is shown
by pools of two sizes, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from demo.brain import CLASS_NAMES, slices
from ml_backend.allocator import keep_large_blocks
from ml_backend.learning.committee import Committee
from ml_backend.learning.geometry import Image, fit, to_input
from ml_backend.learning.members import side_by_side
from ml_backend.learning.training import new_network, preset, torch_device
from ml_backend.learning.training_settings import TrainingSettings

from .pages import hardware, markdown_table, write_section

_BATCH = 8
_STAGES = ("floor", "scoring")


def committee_of(settings: TrainingSettings) -> Committee:
    """Members with random weights: what they say does not change how long they take."""
    classes = len(CLASS_NAMES) + 1
    members = [new_network(settings, 1, classes, seed) for seed in range(settings.members)]
    return Committee(members, CLASS_NAMES, settings)


def pool(count: int) -> Iterator[Image]:
    """Slices of the demo's brain over and over, as a stream."""
    images, _ = slices()
    for number in range(count):
        yield images[number % len(images)]


def floor(committee: Committee, count: int) -> float:
    """Slices a second of the members' forward passes alone."""
    settings, device = committee.settings, torch_device(committee.settings.device)
    ready = np.stack([fit(image, settings.side_px)[0] for image in pool(_BATCH)])
    x = to_input(torch.from_numpy(ready).to(device))
    started = time.perf_counter()
    with torch.inference_mode(), side_by_side(committee.members, device) as ask:
        for _ in range(count // _BATCH):
            for _probability, _features in ask(x):
                pass
        if device.type == "cuda":
            torch.cuda.synchronize()
    return count / (time.perf_counter() - started)


def scoring(committee: Committee, count: int) -> float:
    """Slices a second of score()."""
    started = time.perf_counter()
    found = sum(1 for _ in committee.score(pool(count), _BATCH))
    return found / (time.perf_counter() - started)


def peak_mib(count: int, settings: TrainingSettings) -> float:
    """The most memory that a process which scores so many slices ever held."""
    keep_large_blocks()
    scoring(committee_of(settings), count)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench scoring``; its exit status."""
    parser = argparse.ArgumentParser(prog="quorum bench scoring", description=__doc__)
    parser.add_argument("--slices", type=int, default=512, help="of each run (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="of each (%(default)s)")
    parser.add_argument("--side", type=int, default=0, help="pixels (the device's preset)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a page")
    parser.add_argument("--peak", type=int, metavar="SLICES", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    settings = preset(arguments.device)
    if arguments.side:
        settings = replace(settings, side_px=arguments.side)
    if arguments.peak:
        print(json.dumps(peak_mib(arguments.peak, settings)))
        return 0
    keep_large_blocks()
    committee = committee_of(settings)
    count = max(_BATCH, arguments.slices // _BATCH * _BATCH)
    floor(committee, _BATCH), scoring(committee, _BATCH)  # what is made once
    rates: dict[str, list[float]] = {stage: [] for stage in _STAGES}
    for _ in range(arguments.runs):
        rates["floor"].append(floor(committee, count))
        rates["scoring"].append(scoring(committee, count))
    options = [f"--side={settings.side_px}", f"--device={arguments.device}"]
    peaks = {}
    for size in (count, 4 * count):
        command = [sys.executable, "-m", "bench.scoring", *options, "--peak", str(size)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        peaks[size] = float(done.stdout.splitlines()[-1])
    given = argv if argv is not None else sys.argv[1:]
    text = _page(rates, peaks, settings, given)
    print(text)
    if arguments.page:
        write_section(arguments.page, f"scoring-{torch_device(settings.device).type}", text)
    return 0


def _page(
    rates: dict[str, list[float]],
    peaks: dict[int, float],
    settings: TrainingSettings,
    argv: Sequence[str],
) -> str:
    ratios = [a / b for a, b in zip(rates["scoring"], rates["floor"], strict=True)]
    rows: list[list[object]] = [
        ["", "slices/s", "of the floor", "from – to"],
        ["forward passes alone", f"{statistics.median(rates['floor']):.1f}", "1.00", ""],
        [
            "draft, uncertainty, descriptor",
            f"{statistics.median(rates['scoring']):.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} – {max(ratios):.2f}",
        ],
    ]
    grown = ", ".join(f"{size} slices: {mib:.0f} MiB" for size, mib in peaks.items())
    return f"""## Scoring a pool with {settings.members} members

Slices of the demo's brain in {settings.side_px} px; {settings.network}, width {settings.width}, \
{settings.scales} scales; {len(ratios)} runs of each, in turn.

{markdown_table(rows)}

The most memory a whole process held: {grown}.

```
./quorum bench scoring {shlex.join(argv)}
```

Hardware: {hardware(torch_device(settings.device))}, torch {torch.__version__}."""


if __name__ == "__main__":
    raise SystemExit(main())
