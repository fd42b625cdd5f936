"""Training of one committee member: from scratch, for a fixed number of steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .augment import augment
from .baselines import build_network
from .geometry import IGNORE

Squares = npt.NDArray[np.uint8]

# Initial weights come from the global random state, which members in other threads share.
_BUILDING = threading.Lock()


@dataclass(frozen=True)
class TrainingSettings:
    """What decides a training; the defaults suit a GPU, preset() gives a CPU's."""

    network: str = "fcn"
    members: int = 4  # the paper's committee
    width: int = 32  # with six scales the paper's 1024-d descriptor
    scales: int = 6
    side_px: int = 256
    steps: int = 1500
    batch_size: int = 16
    learning_rate: float = 3e-3  # peak of the one-cycle schedule
    weight_decay: float = 1e-2
    augment: bool = True  # a round's few labels are soon known by heart without
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("members", 1),
            ("width", 1),
            ("scales", 2),
            ("steps", 1),
            ("batch_size", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}: it is {getattr(self, name)}")
        if self.side_px % 2 ** (self.scales - 1) or self.side_px < 1:
            raise ValueError(
                f"side_px must be a multiple of {2 ** (self.scales - 1)} for {self.scales} scales: "
                f"it is {self.side_px}"
            )


def torch_device(name: str) -> torch.device:
    """The device of a setting; "auto" is the GPU if there is one. Raises ValueError if unknown."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"there is no device {name!r}: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but no GPU is usable here")
    return device


def preset(device: str) -> TrainingSettings:
    """Settings for a device: on two CPU cores a round of the demo stays under two minutes."""
    if torch_device(device).type == "cpu":
        return TrainingSettings(
            width=8, scales=5, side_px=128, steps=100, batch_size=8, device=device
        )
    return TrainingSettings(device=device)


def bootstrap(count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of a resample with replacement, as many as there are: (count,)."""
    return generator.integers(0, count, size=count)


def train_member(
    images: Squares,
    label_maps: Squares,
    classes: int,
    settings: TrainingSettings,
    seed: int,
    on_step: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train a network on (N, S, S) uint8 slices and label maps, IGNORE left out; in eval mode.

    The same seed gives the same network on the same device; the global random state is left
    alone. Raises ValueError for other shapes or an empty set.
    """
    if images.ndim != 3 or images.shape != label_maps.shape or len(images) == 0:
        raise ValueError(
            f"images and label maps must be (N, S, S), N >= 1: {images.shape}, {label_maps.shape}"
        )
    device = torch_device(settings.device)
    on_gpu = device.type == "cuda"
    with _BUILDING, torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.manual_seed(seed)
        built = build_network(settings.network, 1, classes, settings.width, settings.scales)
    network: nn.Module = built.to(device).train()
    # Tensor cores want channels last; on a CPU torch 2.13's kernels for it corrupt memory.
    layout = torch.channels_last if on_gpu else torch.contiguous_format
    network = network.to(memory_format=layout)  # type: ignore[call-overload]
    x = torch.from_numpy(images).to(device)  # kept as uint8: a quarter of the memory
    y = torch.from_numpy(label_maps).to(device)
    weight = class_weights(label_maps, classes).to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.learning_rate, total_steps=settings.steps + 1, pct_start=0.2
    )
    order = torch.Generator().manual_seed(seed)
    for step in range(settings.steps):
        chosen = torch.randint(len(x), (settings.batch_size,), generator=order).to(device)
        batch = (x[chosen].float() / 255.0)[:, None]  # (B, 1, S, S)
        target = y[chosen].long()  # (B, S, S)
        if settings.augment:
            batch, target = augment(batch, target, order)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu):
            logits, _ = network(batch.contiguous(memory_format=layout))
        loss = segmentation_loss(logits.float(), target, weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if on_step:
            on_step(step + 1)
    network.eval()
    return network


def class_weights(label_maps: Squares, classes: int) -> Tensor:
    """Weights (C,) by the inverse root of each class's share, of mean 1 over those that occur.

    The root keeps a class of a few pixels from drowning the rest; an absent class weighs 1.
    """
    counts = np.bincount(label_maps[label_maps != IGNORE].ravel(), minlength=classes)[:classes]
    share = counts / max(1, counts.sum())
    inverse = np.where(counts > 0, 1.0 / np.sqrt(np.maximum(share, 1e-6)), 0.0)
    mean = inverse[counts > 0].mean() if (counts > 0).any() else 1.0
    return torch.tensor(np.where(counts > 0, inverse / mean, 1.0), dtype=torch.float32)


def segmentation_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy plus soft Dice: logits (B, C, H, W), target (B, H, W) with IGNORE.

    Dice is taken over the whole batch and the classes that occur in it, so empty masks are
    allowed: background is then all there is to learn.
    """
    classes = logits.shape[1]
    valid = target != IGNORE
    entropy = F.cross_entropy(logits, target, weight=weight, ignore_index=IGNORE)
    probability = logits.softmax(dim=1) * valid[:, None]
    hot = F.one_hot(target.where(valid, torch.zeros_like(target)), classes)
    reference = hot.permute(0, 3, 1, 2).to(probability.dtype) * valid[:, None]
    overlap = (probability * reference).sum(dim=(0, 2, 3))  # (C,)
    total = (probability + reference).sum(dim=(0, 2, 3))
    present = reference.sum(dim=(0, 2, 3)) > 0
    dice = (2 * overlap + 1.0) / (total + 1.0)
    mean_dice = (dice * present).sum() / present.sum().clamp(min=1)
    # A batch of padding alone has no cross-entropy (0 / 0).
    return torch.nan_to_num(entropy) + (1.0 - mean_dice)
