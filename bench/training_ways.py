"""The ways to train a committee that the training bench compares, and one measured training."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from demo.brain import CLASS_NAMES, slices
from ml_backend.allocator import keep_large_blocks
from ml_backend.learning.augment import augment, share_to_change
from ml_backend.learning.committee import Committee, train_committee
from ml_backend.learning.geometry import fit, fit_labels, to_input
from ml_backend.learning.losses import class_weights, segmentation_loss
from ml_backend.learning.metrics import confusion, report
from ml_backend.learning.training import (
    mixed_precision,
    new_network,
    one_cycle,
    one_thread,
    torch_device,
)
from ml_backend.learning.training_settings import TrainingSettings

Grey = npt.NDArray[np.uint8]

_HELD_OUT = 5  # every fifth slice: neighbours are alike, so the score says only that both learn
LABELLED = 24
_RATE = 1e-3  # torch's and the paper's (Kingma and Ba, 2015) default


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
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed_precision(device)):
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
    data = Slices(images, maps, settings.side_px)
    squares = np.stack([fit_labels(label_map, settings.side_px) for label_map in maps])
    weight = class_weights(squares, len(CLASS_NAMES) + 1)
    members = [
        _plain_member(data, weight, settings, 1000 * settings.seed + member, scheduled)
        for member in range(settings.members)
    ]
    return Committee(members, CLASS_NAMES, settings)


def _plain_member(
    data: Slices, weight: torch.Tensor, settings: TrainingSettings, seed: int, scheduled: bool
) -> nn.Module:
    device = torch_device(settings.device)
    network = new_network(settings, 1, len(CLASS_NAMES) + 1, seed)
    rate = settings.learning_rate if scheduled else _RATE
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=settings.weight_decay)
    schedule = one_cycle(optimizer, rate, settings.steps, rising=0.2) if scheduled else None
    order = torch.Generator().manual_seed(seed)
    draws = settings.steps * settings.batch_size
    share = share_to_change(settings.augmentation, len(data), draws)
    sampler = RandomSampler(data, replacement=True, num_samples=draws, generator=order)
    for squares, labels in DataLoader(data, settings.batch_size, sampler=sampler):
        batch, target = to_input(squares.to(device)), labels.long().to(device)
        batch, target = augment(batch, target, order, share=share)
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
ADAM = {
    f"adam-{times:g}": Way(
        f"the plain way, Adam's rate{f', {times:g} times the steps' if times > 1 else ''}",
        partial(plain, times=times, scheduled=False),
    )
    for times in (1, 1.5, 2, 3)
}
WAYS: dict[str, Way] = {
    "plain": Way("the plain way", plain),
    "ours": Way("ours", ours),
    FLOOR: Way("the passes alone", passes_alone),
    **ADAM,
    "memory": Way("ours, memory not kept", without_memory),
    "one-by-one": Way("ours, one member after another", one_by_one),
}
USUAL = ("plain", "ours", FLOOR, "adam-1", "adam-1.5", "adam-2")


def measure(way: str, settings: TrainingSettings) -> dict[str, float]:
    """Seconds of one training, and the held-out mean IoU of what came of it."""
    images, maps = slices()
    held_out = range(0, len(images), _HELD_OUT)
    others = [i for i in range(len(images)) if i % _HELD_OUT]
    chosen = [others[i] for i in np.linspace(0, len(others) - 1, LABELLED).astype(int)]
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
