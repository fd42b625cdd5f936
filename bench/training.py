"""``./quorum bench training``: seconds to train a committee, against the plain way.

The plain way is what a tutorial does: one member after another, float32, torch's own number of
threads, slices decoded and fitted by a DataLoader each time they are drawn. It trains the same
network on the same slices with the same loss, augmentation, optimizer and number of steps, and is
scored on the same held-out slices: what differs is how the work is done. A tutorial also leaves the
learning rate where Adam has it; how many times the steps that takes to the same score is what the
schedule saves. The floor are the members' passes alone. Each training is a process of its own, and
the ways take turns. The slices are the demo's: the atlas' brain and its tissue maps.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from demo.brain import slices
from ml_backend.learning.training import preset, torch_device
from ml_backend.learning.training_settings import TrainingSettings

from .pages import hardware, markdown_table, write_section
from .training_ways import ADAM, FLOOR, LABELLED, USUAL, WAYS, measure

# Table 2 of the paper: one round with all its labels, on an NVIDIA GTX 1080 Ti.
_PAPER_TRAIN_S, _PAPER_QUERY_S = 1547, 83


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench training``; its exit status."""
    parser = argparse.ArgumentParser(prog="quorum bench training", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each way (%(default)s)")
    parser.add_argument("--steps", type=int, default=0, help="a member (the device's preset)")
    parser.add_argument("--side", type=int, default=0, help="pixels (the device's preset)")
    parser.add_argument("--device", default="auto")
    listed = "; ".join(f"{name}: {way.title}" for name, way in WAYS.items())
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(USUAL),
        metavar="WAY", help=f"{listed} ({' '.join(USUAL)})")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a page")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    settings = replace(preset(arguments.device), epochs=0)  # the same steps in every way
    changes = {"steps": arguments.steps, "side_px": arguments.side}
    settings = replace(settings, **{name: value for name, value in changes.items() if value})
    if arguments.one:
        way, seed = arguments.one
        print(json.dumps(measure(way, replace(settings, seed=int(seed)))))
        return 0
    measured: dict[str, list[dict[str, Any]]] = {way: [] for way in arguments.ways}
    options = [f"--steps={settings.steps}", f"--side={settings.side_px}"]
    options.append(f"--device={arguments.device}")
    for run in range(arguments.runs):
        for way in arguments.ways:  # in turn: what else the machine does meets all alike
            command = [sys.executable, "-m", "bench.training", *options, "--one", way, str(run)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            measured[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(
                f"{WAYS[way].title:44s} {measured[way][-1]['seconds']:7.1f} s",
                file=sys.stderr,
                flush=True,
            )
    given = argv if argv is not None else sys.argv[1:]
    text = _page(measured, settings, arguments.runs, given)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))
    if arguments.page:
        kind = torch_device(settings.device).type
        write_section(arguments.page, f"training-{kind}", text)
    return 0


def _page(
    measured: dict[str, list[dict[str, Any]]],
    settings: TrainingSettings,
    runs: int,
    argv: Sequence[str],
) -> str:
    base = [run["seconds"] for run in next(iter(measured.values()))]
    rows: list[list[object]] = [["", "seconds", "times as fast", "from – to", "held-out mean IoU"]]
    for way, found in measured.items():
        seconds = [run["seconds"] for run in found]
        ratios = [a / b for a, b in zip(base, seconds, strict=True)]
        rows.append(
            [
                WAYS[way].title,
                f"{statistics.median(seconds):.1f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} – {max(ratios):.2f}",
                "" if way == FLOOR else f"{statistics.mean(run['mean_iou'] for run in found):.3f}",
            ]
        )
    return f"""## Training a committee of {settings.members}

{LABELLED} slices of {len(slices()[0])} of the demo's brain; {settings.network}, width \
{settings.width}, {settings.scales} scales, {settings.side_px} px, {settings.steps} steps of \
{settings.batch_size} slices; median of {runs} trainings of each way, in turn; ratios are of \
trainings made one after the other. *The passes alone*: forward and backward, of one batch \
that lies ready, by members side by side; nothing is learnt.

{markdown_table(rows)}

{to_the_same_score(measured)}

The paper reports {_PAPER_TRAIN_S} s to train and {_PAPER_QUERY_S} s to query a round, on a GTX \
1080 Ti with its own data and size: another task, and no ratio is drawn.

```
./quorum bench training {shlex.join(argv)}
```

Hardware: {hardware(torch_device(settings.device))}, torch {torch.__version__}, \
{os.environ.get("OMP_NUM_THREADS", "no limit on")} threads."""


def to_the_same_score(measured: dict[str, list[dict[str, Any]]]) -> str:
    """How long a fixed rate takes to our mean score: between which two numbers of steps."""

    def mean(way: str, figure: str) -> float:
        return statistics.mean(run[figure] for run in measured[way])

    tried = [way for way in ADAM if way in measured]
    if "ours" not in measured or not tried:
        return "At the same rate, schedule and number of steps."
    wanted, seconds = mean("ours", "mean_iou"), mean("ours", "seconds")

    def told(way: str) -> str:
        score = f"*{WAYS[way].title}*: {mean(way, 'mean_iou'):.3f}"
        return f"{mean(way, 'seconds') / seconds:.1f} ({score})"

    lead = "To the same held-out score, against Adam's rate left alone:"
    reached = next((n for n, way in enumerate(tried) if mean(way, "mean_iou") >= wanted), None)
    if reached is None:
        return f"{lead} more than {told(tried[-1])} times as fast."
    if reached == 0:
        return f"{lead} at most {told(tried[0])} times as fast."
    return f"{lead} between {told(tried[reached - 1])} and {told(tried[reached])} times as fast."


if __name__ == "__main__":
    raise SystemExit(main())
