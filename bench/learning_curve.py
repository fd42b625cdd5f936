"""Held-out quality against labels spent, strategy against strategy, on the demo's brain.

``./quorum bench learning-curve``: the same cold start and the same seeds for each strategy, without
Label Studio in between. One patient, so neighbouring slices are alike: what holds here is a hint.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from demo import brain
from ml_backend.learning.committee import Committee, train_committee
from ml_backend.learning.geometry import thumbnails
from ml_backend.learning.held_out import Unit, divide, evaluation_subset
from ml_backend.learning.metrics import confusion, report
from ml_backend.learning.strategies import STRATEGIES, cold_start
from ml_backend.learning.training import TrainingSettings, preset


@dataclass(frozen=True)
class Point:
    """One round of one strategy."""

    strategy: str
    seed: int
    labels: int
    mean_iou: float
    dice: float
    train_s: float


def curve(
    strategy: str, seed: int, rounds: int, k: int, K: int, settings: TrainingSettings
) -> Iterator[Point]:
    """Label k slices a round for some rounds, the first ones by the cold start."""
    images, labels = brain.slices()
    units = [Unit(str(n), "brain", "T1", float(n)) for n in range(len(images))]
    out = divide(units, f"bench {seed}".encode(), fraction=0.2, slab_mm=10.0).held_out
    evaluation = np.flatnonzero(evaluation_subset(units, out, limit=12))
    pool = np.flatnonzero(~out)
    chosen = pool[cold_start(thumbnails([images[i] for i in pool]), k)].tolist()
    for number in range(rounds):
        started = time.perf_counter()
        committee = train_committee(
            [images[i] for i in chosen],
            [labels[i] for i in chosen],
            brain.CLASS_NAMES,
            settings,
            seed=100 * seed + number,
        )
        train_s = time.perf_counter() - started
        figures = _evaluate(
            committee, [images[i] for i in evaluation], [labels[i] for i in evaluation]
        )
        yield Point(strategy, seed, len(chosen), figures["mean_iou"], figures["dice"], train_s)
        rest = [i for i in pool.tolist() if i not in chosen]
        scores = list(committee.score([images[i] for i in rest]))
        selected = STRATEGIES[strategy](
            np.array([s.uncertainty for s in scores]),
            np.stack([s.descriptor for s in scores]),
            K,
            k,
        )
        chosen += [rest[i] for i in selected]


def _evaluate(
    committee: Committee, images: Sequence[brain.Volume], labels: Sequence[brain.Volume]
) -> dict[str, float]:
    classes = len(brain.CLASS_NAMES) + 1
    counts = np.zeros((classes, classes), dtype=np.int64)
    for label, scored in zip(labels, committee.score(images), strict=True):
        counts += confusion(label, scored.draft, classes)
    figures = report(counts, brain.CLASS_NAMES)
    return {"mean_iou": figures["mean_iou"], "dice": figures["dice"]}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench learning-curve``; its exit status."""
    parser = argparse.ArgumentParser(prog="quorum bench learning-curve", description=__doc__)
    parser.add_argument("--strategies", nargs="+", choices=sorted(STRATEGIES),
                        default=["two-stage", "random"])  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, help="runs of each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each run (%(default)s)")
    parser.add_argument("--steps", type=int, help="optimizer steps a member, if not the preset's")
    arguments = parser.parse_args(argv)
    settings = preset("auto")
    if arguments.steps:
        settings = replace(settings, steps=arguments.steps)
    print("| strategy | seed | labels | mean IoU | Dice | train s |\n|---|---|---|---|---|---|")
    for seed in range(arguments.seeds):
        for strategy in arguments.strategies:
            for p in curve(strategy, seed, arguments.rounds, 8, 48, settings):
                print(
                    f"| {p.strategy} | {p.seed} | {p.labels} | {p.mean_iou:.3f} | {p.dice:.3f} "
                    f"| {p.train_s:.1f} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
