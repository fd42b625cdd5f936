"""``./quorum bench training``: seconds to train a committee, against the plain way.

The plain way is what a tutorial does: one member after another, float32, torch's own number of
threads, slices decoded and fitted by a DataLoader each time they are drawn. It trains the same
network on the same bootstrap resamples with the same loss, augmentation, optimizer and number of
steps, and is scored on the same held-out slices: what differs is how the work is done. A tutorial
also leaves the learning rate where Adam has it; how many times the steps that takes to the same
score is what the schedule saves. The floor are the members' passes alone. Each training is a
process of its own, and the ways take turns. The slices are the demo's: the atlas' brain and its
tissue maps.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from demo.brain import CLASS_NAMES, slices
from ml_backend.allocator import keep_large_blocks
from ml_backend.learning.augment import augment
from ml_backend.learning.committee import Committee, train_committee
from ml_backend.learning.geometry import fit, fit_labels, to_input
from ml_backend.learning.losses import class_weights, segmentation_loss
from ml_backend.learning.metrics import confusion, report
from ml_backend.learning.training import (
    new_network,
    one_cycle,
    one_thread,
    preset,
    torch_device,
)
from ml_backend.learning.training_set import bootstrap
from ml_backend.learning.training_settings import TrainingSettings

from .pages import hardware, markdown_table, write_section

Grey = npt.NDArray[np.uint8]

_HELD_OUT = 5  # every fifth slice: neighbours are alike, so the score says only that both learn
_LABELLED = 24
_ADAM_RATE = 1e-3  # torch's and the paper's (Kingma and Ba, 2015) default
# Table 2 of the paper: one round with all its labels, on an NVIDIA GTX 1080 Ti.
_PAPER_TRAIN_S, _PAPER_QUERY_S = 1547, 83


class Slices(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """PNG files of slices and label maps, decoded and fitted at each draw."""

    def __init__(self, images: Sequence[Grey], label_maps: Sequence[Grey], side: int) -> None:
        self._stored = [
            (_png(image), _png(label_map))
            for image, label_map in zip(images, label_maps, strict=True)
        ]
        self._side = side

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, label_map = (np.asarray(Image.open(io.BytesIO(c))) for c in self._stored[index])
        square = torch.from_numpy(fit(image, self._side)[0])
        return square, torch.from_numpy(fit_labels(label_map, self._side))


def _png(picture: Grey) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def ours(images: Sequence[Grey], maps: Sequence[Grey], settings: TrainingSettings) -> Committee:
    """What a worker does."""
    keep_large_blocks()
    return train_committee(images, maps, CLASS_NAMES, settings, seed=settings.seed)


def without_memory(
    images: Sequence[Grey], maps: Sequence[Grey], settings: TrainingSettings
) -> Committee:
    """Ours, with the memory of each step given back to the kernel."""
    return train_committee(images, maps, CLASS_NAMES, settings, seed=settings.seed)


def one_by_one(
    images: Sequence[Grey], maps: Sequence[Grey], settings: TrainingSettings
) -> Committee:
    """Ours, one member after another on one thread."""
    torch.set_num_threads(1)
    return ours(images, maps, settings)


def passes_alone(
    images: Sequence[Grey], maps: Sequence[Grey], settings: TrainingSettings
) -> Committee:
    """The floor: each member's forward and backward passes over one batch that lies ready."""
    keep_large_blocks()
    device = torch_device(settings.device)
    chosen = [fit(images[i % len(images)], settings.side_px)[0] for i in range(settings.batch_size)]
    batch = to_input(torch.from_numpy(np.stack(chosen)).to(device))
    if device.type == "cuda":
        batch = batch.contiguous(memory_format=torch.channels_last)

    def passes(member: int) -> nn.Module:
        network = new_network(settings, 1, len(CLASS_NAMES) + 1, member)
        if device.type == "cuda":
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for _ in range(settings.steps):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=batch.is_cuda):
                logits, _ = network(batch)
            logits.sum().backward()
        return network.eval()

    cores = torch.get_num_threads()
    with one_thread(device), ThreadPoolExecutor(1 if batch.is_cuda else cores) as pool:
        members = list(pool.map(passes, range(settings.members)))
    return Committee(members, CLASS_NAMES, settings)


def plain(
    images: Sequence[Grey],
    maps: Sequence[Grey],
    settings: TrainingSettings,
    times: float = 1,
    scheduled: bool = True,
) -> Committee:
    """The plain way, for `times` as many steps."""
    settings = replace(settings, steps=round(settings.steps * times))
    members = []
    for member in range(settings.members):
        seed = 1000 * settings.seed + member
        drawn = bootstrap(len(images), np.random.default_rng(seed))
        data = Slices([images[i] for i in drawn], [maps[i] for i in drawn], settings.side_px)
        weight = class_weights_of(maps, drawn, settings)
        members.append(_plain_member(data, weight, settings, seed, scheduled))
    return Committee(members, CLASS_NAMES, settings)


def class_weights_of(
    maps: Sequence[Grey], drawn: npt.NDArray[np.int64], settings: TrainingSettings
) -> torch.Tensor:
    """The classes' weights in a resample."""
    squares = np.stack([fit_labels(maps[i], settings.side_px) for i in drawn])
    return class_weights(squares, len(CLASS_NAMES) + 1)


def _plain_member(
    data: Slices, weight: torch.Tensor, settings: TrainingSettings, seed: int, scheduled: bool
) -> nn.Module:
    device = torch_device(settings.device)
    network = new_network(settings, 1, len(CLASS_NAMES) + 1, seed)
    rate = settings.learning_rate if scheduled else _ADAM_RATE
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=settings.weight_decay)
    schedule = one_cycle(optimizer, rate, settings.steps, rising=0.2) if scheduled else None
    order = torch.Generator().manual_seed(seed)
    draws = settings.steps * settings.batch_size
    sampler = RandomSampler(data, replacement=True, num_samples=draws, generator=order)
    for squares, labels in DataLoader(data, settings.batch_size, sampler=sampler):
        batch, target = augment(to_input(squares.to(device)), labels.long().to(device), order)
        optimizer.zero_grad()
        logits, _ = network(batch)
        segmentation_loss(logits, target, weight.to(device)).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
    return network.eval()


class Way(NamedTuple):
    """One way to train a committee."""

    title: str
    train: Callable[[Sequence[Grey], Sequence[Grey], TrainingSettings], Committee]


FLOOR = "floor"
_ADAM = {
    f"adam-{times:g}": Way(
        f"the plain way, Adam's rate, {times:g} times the steps",
        partial(plain, times=times, scheduled=False),
    )
    for times in (1, 1.5, 2, 3)
}
WAYS: dict[str, Way] = {
    "plain": Way("the plain way", plain),
    "ours": Way("ours", ours),
    FLOOR: Way("the passes alone", passes_alone),
    **_ADAM,
    "memory": Way("ours, memory not kept", without_memory),
    "one-by-one": Way("ours, one member after another", one_by_one),
}
_USUAL = ("plain", "ours", FLOOR, "adam-1", "adam-1.5", "adam-2")


def measure(way: str, settings: TrainingSettings) -> dict[str, float]:
    """Seconds of one training, and the held-out mean IoU of what came of it."""
    images, maps = slices()
    held_out = range(0, len(images), _HELD_OUT)
    others = [i for i in range(len(images)) if i % _HELD_OUT]
    chosen = [others[i] for i in np.linspace(0, len(others) - 1, _LABELLED).astype(int)]
    started = time.perf_counter()
    committee = WAYS[way].train([images[i] for i in chosen], [maps[i] for i in chosen], settings)
    if torch_device(settings.device).type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    drafts = [scored.draft for scored in committee.score([images[i] for i in held_out])]
    counts = [
        confusion(maps[i], draft, len(CLASS_NAMES) + 1)
        for i, draft in zip(held_out, drafts, strict=True)
    ]
    return {
        "seconds": seconds,
        "mean_iou": float(report(sum(counts[1:], counts[0]), CLASS_NAMES)["mean_iou"]),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench training``; its exit status."""
    parser = argparse.ArgumentParser(prog="quorum bench training", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each way (%(default)s)")
    parser.add_argument("--steps", type=int, default=0, help="a member (the device's preset)")
    parser.add_argument("--side", type=int, default=0, help="pixels (the device's preset)")
    parser.add_argument("--device", default="auto")
    listed = "; ".join(f"{name}: {way.title}" for name, way in WAYS.items())
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(_USUAL),
        metavar="WAY", help=f"{listed} ({' '.join(_USUAL)})")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a page")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    settings = preset(arguments.device)
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

{_LABELLED} slices of {len(slices()[0])} of the demo's brain; {settings.network}, width \
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

    tried = [way for way in _ADAM if way in measured]
    if "ours" not in measured or not tried:
        return "At the same rate, schedule and number of steps."
    wanted, seconds = mean("ours", "mean_iou"), mean("ours", "seconds")

    def told(way: str) -> str:
        return f"{mean(way, 'seconds') / seconds:.1f} (*{WAYS[way].title}*: {mean(way, 'mean_iou'):.3f})"

    lead = "To the same held-out score, against Adam's rate left alone:"
    reached = next((n for n, way in enumerate(tried) if mean(way, "mean_iou") >= wanted), None)
    if reached is None:
        return f"{lead} more than {told(tried[-1])} times as fast."
    if reached == 0:
        return f"{lead} at most {told(tried[0])} times as fast."
    return f"{lead} between {told(tried[reached - 1])} and {told(tried[reached])} times as fast."


if __name__ == "__main__":
    raise SystemExit(main())
