"""What the machine's part of a round takes: from a file, or measured with the product's code."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from demo.brain import CLASS_NAMES, DemoDataError, slices
from ml_backend.committees import training_settings
from ml_backend.learning.committee import train_committee
from ml_backend.learning.training import torch_device
from ml_backend.masks import BrushConfig
from ml_backend.pool import Draft, prediction
from ml_backend.settings import Settings

from ..pages import hardware

_LABELS = (8, 48)  # a first round, and the campaign's last
_SCORED = 48  # slices


class TimesError(ValueError):
    """Times that cannot be used; the message says which file and what is wrong."""


@dataclass(frozen=True)
class Times:
    """Seconds of a round's steps, and where they were measured."""

    source: str  # hardware and command
    train: Sequence[tuple[int, float]]  # (training labels, seconds), rising
    query_s: float = 0.0  # whatever the pool's size
    score_s_per_slice: float = 0.0
    push_s_per_slice: float = 0.0

    def __post_init__(self) -> None:
        labels = [count for count, _ in self.train]
        if not labels or labels != sorted(set(labels)):
            raise TimesError("train needs pairs of labels and seconds, labels rising")
        values = [s for _, s in self.train] + [
            self.query_s,
            self.score_s_per_slice,
            self.push_s_per_slice,
        ]
        if not all(np.isfinite(values)) or min(values) < 0:
            raise TimesError("times must be finite and not negative")

    def train_s(self, labels: int) -> float:
        """Training on so many labels: interpolated; beyond the measured as at their ends."""
        counts, seconds = zip(*self.train, strict=True)
        return float(np.interp(labels, counts, seconds))

    def round_s(self, labels: int, pool: int) -> float:
        """From the first look to the new order served."""
        per_slice = self.score_s_per_slice + self.push_s_per_slice
        return self.train_s(labels) + self.query_s + pool * per_slice

    @classmethod
    def read(cls, path: Path) -> Times:
        """Times from a JSON file, of this bench's --keep or of the demo's --simulate --json.

        Raises TimesError naming the file.
        """
        try:
            found = json.loads(path.read_text())
            if "rounds" in found:
                return cls.of_demo(found, path.name)
            return cls(**{**found, "train": [(int(n), float(s)) for n, s in found["train"]]})
        except (OSError, KeyError, TypeError, ValueError, DemoDataError) as error:
            raise TimesError(f"{path} holds no times: {error}") from None

    @classmethod
    def of_demo(cls, found: dict[str, Any], name: str) -> Times:
        """Times of rounds that the demo went through with a real Label Studio."""
        rounds, every = found["rounds"], len(slices()[0])
        if not rounds:
            raise TimesError("the demo went through no round")

        def per_slice(step: str) -> float:
            open_ = [every - row["labelled"] - row["evaluated_on"] for row in rounds]
            taken = [row[step] / n for row, n in zip(rounds, open_, strict=True)]
            return round(float(np.mean(taken)), 5)

        return cls(
            f"./quorum demo --simulate --rounds {len(rounds)} --json {name}",
            [(int(row["labelled"]), float(row["train_s"])) for row in rounds],
            score_s_per_slice=per_slice("score_s"),
            push_s_per_slice=per_slice("reorder_s"),
        )

    def write(self, path: Path) -> None:
        """Write what read() reads."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


# Computer Systems & Applications 2023, 32(2): 75-82: its figures for one round.
PAPER = Times("the paper", [(1, 1547.0)], query_s=83.0)


def measure(settings: Settings, server_s_per_slice: float) -> Times:
    """Train, score and encode drafts of the demo's brain, with the committee's default settings.

    `server_s_per_slice` is what storing one prediction takes Label Studio. Raises TimesError
    without the demo's data.
    """
    try:
        images, label_maps = slices()
    except DemoDataError as error:
        raise TimesError(str(error)) from None
    names, chosen = CLASS_NAMES, training_settings(settings)
    train: list[tuple[int, float]] = []
    for count in _LABELS:
        started = time.perf_counter()
        which = np.linspace(0, len(images) - 1, count).astype(int)
        committee = train_committee(
            [images[i] for i in which], [label_maps[i] for i in which], names, chosen, seed=0
        )
        train.append((count, round(time.perf_counter() - started, 2)))
    started = time.perf_counter()
    scores = list(committee.score(images[:_SCORED]))
    score_s = (time.perf_counter() - started) / len(scores)
    started = time.perf_counter()
    drafts = {i: Draft.of(score.draft) for i, score in enumerate(scores)}
    config = BrushConfig("mask", "image", "image", names)
    for task_id in range(len(scores)):
        prediction("r0001-000000", task_id, 0.0, drafts, config)
    push_s = (time.perf_counter() - started) / len(scores) + server_s_per_slice
    device = hardware()
    if torch_device(chosen.device).type == "cuda":
        device = f"{torch.cuda.get_device_name()}, {device}"
    side = images[0].shape
    return Times(
        f"{device}; {chosen.members} members, {chosen.steps} steps, {chosen.side_px} px, "
        f"demo brain {side[0]}x{side[1]}; storing a prediction taken as "
        f"{server_s_per_slice * 1000:g} ms",
        train,
        score_s_per_slice=round(score_s, 5),
        push_s_per_slice=round(push_s, 5),
    )
