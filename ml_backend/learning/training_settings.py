"""What decides a training, its bounds, and what suits a device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from .choices import CHOICES, in_words

_EPOCHS = 10


@dataclass(frozen=True)
class TrainingSettings:
    """What decides a training; the defaults suit a GPU, preset() gives a CPU's."""

    network: str = "fcn"  # see networks.build_network
    members: int = 4  # the paper's committee
    width: int = 32  # with six scales the paper's 1024-d descriptor
    scales: int = 6
    side_px: int = 256
    steps: int = 1500
    epochs: int = 0  # times each labelled slice is seen at least, in more steps; 0: steps alone
    batch_size: int = 16
    learning_rate: float = 3e-3  # peak of the one-cycle schedule
    weight_decay: float = 1e-2
    augmentation: str = "repeats"  # what is seen often is changed at random; or "all", "none"
    mirror: bool = False  # left for right, by chance: not where a class has a side
    dropout: float = 0.0  # probability, before the last convolution
    passes: int = 0  # dropout passes of the first member when scoring; 0: no MC dropout
    bootstrap_over: str = (
        "none"  # every member learns from all; or a resample of "slices", "patients"
    )
    start: str = "scratch"  # or "encoder": from one trained on the unlabelled pool
    semi_supervised: bool = False  # a second stage with what the committee agrees on
    confidence: float = 0.9  # mean probability of a pixel from which its agreement counts
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("members", 1),
            ("width", 1),
            ("scales", 2),
            ("steps", 1),
            ("epochs", 0),
            ("batch_size", 1),
            ("passes", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}: it is {getattr(self, name)}")
        if self.side_px % 2 ** (self.scales - 1) or self.side_px < 1:
            raise ValueError(
                f"side_px must be a multiple of {2 ** (self.scales - 1)} for {self.scales} scales: "
                f"it is {self.side_px}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1: it is {self.dropout}")
        if not 0 < self.confidence <= 1:
            raise ValueError(f"confidence must be above 0 and at most 1: it is {self.confidence}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be {in_words(choices)}: it is {getattr(self, name)!r}"
                )
        if self.start == "encoder" and self.network != "fcn":
            raise ValueError(f"only the fcn can start from an encoder: network is {self.network!r}")

    def for_labels(self, count: int) -> TrainingSettings:
        """These with the steps that `count` labelled slices take: never fewer than `steps`."""
        least = math.ceil(self.epochs * count / self.batch_size)
        return self if least <= self.steps else replace(self, steps=least)


def torch_device(name: str) -> torch.device:
    """The device of a setting; "auto" is the GPU if there is one.

    Numbers count the GPUs that this process may use, from 0: with CUDA_VISIBLE_DEVICES=2,3 the
    machine's third GPU is cuda:0, its fourth cuda:1, and "cuda" is the third. So several workers
    on one machine are each given a GPU by that variable, and all keep "auto".

    Raises ValueError if there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"there is no device {name!r}: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda":
        _check_gpu(name, device)
    elif device.type != "cpu":
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError, ImportError):  # each kind of device says it its way
            raise ValueError(
                f"device {name!r} was asked for, but it is not usable here: use auto or cpu"
            ) from None
    return device


def _check_gpu(name: str, device: torch.device) -> None:
    if not torch.cuda.is_available():
        raise ValueError(
            f"device {name!r} was asked for, but no GPU is usable here: use auto or cpu"
        )
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        there = "only cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise ValueError(
            f"there is no device {name!r}: this process sees {there} "
            "(CUDA_VISIBLE_DEVICES says which of the machine's GPUs, counted anew from 0)"
        )


def preset(device: str) -> TrainingSettings:
    """Settings for a device: on two CPU cores a round of the demo stays under two minutes.

    In the same time twice as many steps of half the slices draw better there, and a U-Net draws
    better than the paper's FCN in less time (docs/benchmarks-choices.md). On a GPU, at full width,
    they were not compared. Steps grow with the labels: of 398 slices seen 5 times each a member
    learned 95 % of what it did from 20 times, from 10 times 99 % (all of them changed each time).
    """
    if torch_device(device).type == "cpu":
        return TrainingSettings(
            network="unet",
            width=8,
            scales=5,
            side_px=128,
            steps=200,
            epochs=_EPOCHS,
            batch_size=4,
            device=device,
        )
    return TrainingSettings(epochs=_EPOCHS, device=device)
