"""Training of one committee member: from scratch, for a fixed number of steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from .augment import augment, share_to_change
from .dropout import reseed
from .geometry import to_input
from .losses import class_weights, segmentation_loss
from .memory import BatchSize, computed_again, in_parts
from .networks import build_network
from .training_set import Squares, bootstrap
from .training_settings import TrainingSettings, preset, torch_device

__all__ = [
    "Squares",
    "TrainingSettings",
    "bootstrap",
    "fit_network",
    "mixed_precision",
    "new_network",
    "one_cycle",
    "one_thread",
    "preset",
    "second_stage_steps",
    "seeded",
    "torch_device",
    "train_further",
    "train_member",
]

Network = TypeVar("Network", bound=nn.Module)
OnStep = Callable[[int], None]
Draw = Callable[[torch.Generator], tuple[Tensor, Tensor]]

# Initial weights come from the global random state, which members in other threads share.
_BUILDING = threading.Lock()

_SECOND_STAGE_RATE = 0.3  # of the first stage's: it starts from weights that are good already


def train_member(
    images: Squares,
    label_maps: Squares,
    classes: int,
    settings: TrainingSettings,
    seed: int,
    on_step: OnStep | None = None,
    encoder: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Train a network on (N, S, S[, 3]) uint8 slices and (N, S, S) label maps; in eval mode.

    Pixels of IGNORE are left out. `encoder` holds weights by name that the network starts from
    instead of random ones. The same seed gives the same network on the same device; the global
    random state is left alone. Raises ValueError for other shapes, an empty set, or weights that
    do not belong to the network.
    """
    if images.ndim < 3 or images.shape[:3] != label_maps.shape or len(images) == 0:
        raise ValueError(
            "images must be (N, S, S) or (N, S, S, 3) and label maps (N, S, S), N >= 1: "
            f"{images.shape}, {label_maps.shape}"
        )
    network = new_network(settings, 3 if images.ndim == 4 else 1, classes, seed)
    if encoder is not None:
        _start_from(network, encoder)
    x, y = _on(settings, images), _on(settings, label_maps)

    def draw(order: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(x), (settings.batch_size,), generator=order).to(x.device)
        return x[chosen], y[chosen]

    weight = class_weights(label_maps, classes)
    return fit_network(network, draw, weight, settings, seed, on_step, slices=len(x))


def train_further(
    network: nn.Module,
    images: Squares,
    label_maps: Squares,
    more_images: Squares,
    more_label_maps: Squares,
    classes: int,
    settings: TrainingSettings,
    seed: int,
    on_step: OnStep | None = None,
) -> nn.Module:
    """Train a network on, half of each batch (rounded up) from the labels, half from more.

    Shapes as train_member's; it takes second_stage_steps(), at a lower rate. Classes weigh as in
    the labels: what was predicted must not change what counts as rare.
    """
    x, y = _on(settings, images), _on(settings, label_maps)
    more_x, more_y = _on(settings, more_images), _on(settings, more_label_maps)
    half = settings.batch_size // 2

    def draw(order: torch.Generator) -> tuple[Tensor, Tensor]:
        own = torch.randint(len(x), (settings.batch_size - half,), generator=order).to(x.device)
        other = torch.randint(len(more_x), (half,), generator=order).to(x.device)
        return torch.cat([x[own], more_x[other]]), torch.cat([y[own], more_y[other]])

    stage = replace(
        settings,
        steps=second_stage_steps(settings),
        learning_rate=settings.learning_rate * _SECOND_STAGE_RATE,
    )
    weight = class_weights(label_maps, classes)
    slices = len(x) + len(more_x)
    return fit_network(network.train(), draw, weight, stage, seed, on_step, slices=slices)


def second_stage_steps(settings: TrainingSettings) -> int:
    """Steps of train_further."""
    return max(1, settings.steps // 2)


def new_network(settings: TrainingSettings, in_channels: int, classes: int, seed: int) -> nn.Module:
    """The settings' network with random weights, in train mode on their device."""

    def build() -> nn.Module:
        return build_network(
            settings.network,
            in_channels,
            classes,
            settings.width,
            settings.scales,
            settings.dropout,
        )

    return seeded(build, torch_device(settings.device), seed)


def seeded(build: Callable[[], Network], device: torch.device, seed: int) -> Network:
    """What `build` makes with torch's random state seeded, on a device; the state is put back."""
    with _BUILDING, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network = build()
    return network.to(device).train()


def fit_network(
    network: nn.Module,
    draw: Draw,
    weight: Tensor,
    settings: TrainingSettings,
    seed: int,
    on_step: OnStep | None = None,
    *,
    slices: int,
) -> nn.Module:
    """Optimise a network for `settings.steps` on the batches that `draw` gives; in eval mode.

    `slices` is how many there are to draw from: the fewer, the more often each is changed.
    A batch that does not fit into the device's memory goes through in parts, and so do all that
    follow; the optimizer takes the same steps. A network without batch norm or dropout learns the
    same; batch norm takes its statistics from each part. Raises TooLittleMemory if a single slice
    does not fit.
    """
    device = torch_device(settings.device)
    # Tensor cores want channels last; on a CPU torch 2.13's kernels for it corrupt memory.
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    network = network.to(memory_format=layout)  # type: ignore[call-overload]
    weight = weight.to(device)
    reseed(network, seed)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        # One call for all weights: a loop over so many small ones takes a twentieth of a step.
        fused=device.type in ("cpu", "cuda"),
    )
    schedule = one_cycle(optimizer, settings.learning_rate, settings.steps, rising=0.2)
    order = torch.Generator().manual_seed(seed)
    views = settings.steps * settings.batch_size
    share = share_to_change(settings.augmentation, slices, views)
    fitting = BatchSize(settings.batch_size, device, settings)
    for step in range(settings.steps):
        squares, labels = draw(order)
        batch, target = to_input(squares), labels.long()  # (B, C, S, S), (B, S, S)
        if share > 0 or settings.mirror:
            batch, target = augment(batch, target, order, share=share, mirror=settings.mirror)
        batch = batch.contiguous(memory_format=layout)
        # Deep supervision fades out: in the end the joined logits alone count.
        others = 1 - step / settings.steps
        masks = seed + 7919 * (step + 1)  # dropout's, of a batch in parts
        fitting.run(partial(_backward, network, batch, target, weight, others, masks), len(batch))
        optimizer.step()
        schedule.step()
        if on_step:
            on_step(step + 1)
    return network.eval()


def _backward(
    network: nn.Module,
    batch: Tensor,
    target: Tensor,
    weight: Tensor,
    others: float,
    seed: int,
    at_once: int,
) -> None:
    """The gradient of the whole batch's loss, from `at_once` of its slices at a time."""
    network.zero_grad(set_to_none=True)  # what a failed attempt left too
    try:
        mixed = mixed_precision(batch.device)
        with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=mixed):
            logits, *auxiliary = in_parts(
                network, partial(_all_logits, network), batch, at_once, seed
            )
        loss = segmentation_loss(logits.float(), target, weight)
        if auxiliary:
            extra = [segmentation_loss(each.float(), target, weight) for each in auxiliary]
            loss = loss + others * torch.stack(extra).mean()
        if at_once < len(batch):
            with computed_again(network):
                loss.backward()  # type: ignore[no-untyped-call]
        else:
            loss.backward()  # type: ignore[no-untyped-call]
    finally:
        if hasattr(network, "auxiliary"):  # it would hold all that led to it
            setattr(network, "auxiliary", ())  # noqa: B010 (mypy takes it for a Module)


def mixed_precision(device: torch.device) -> bool:
    """Whether convolutions are trained in bfloat16: where the hardware multiplies in it.

    A CPU that does not (before AVX512-BF16 or AMX) would only imitate it, far slower.
    """
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return device.type == "cuda"


def _all_logits(network: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Logits (B, C, S, S), and those of deep supervision."""
    logits, _ = network(x)
    return (logits, *getattr(network, "auxiliary", ()))


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, leave torch one thread.

    Small convolutions gain next to nothing from a second, and lose several times over when another
    process keeps one of two cores busy: each step waits for the slower thread many times.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def one_cycle(
    optimizer: torch.optim.Optimizer, peak: float, steps: int, rising: float
) -> torch.optim.lr_scheduler.OneCycleLR:
    """The one-cycle schedule (Smith and Topin, 2018), for any number of steps from 1."""
    total = steps + 1  # it counts the state before the first step
    # A rise of less than a step divides by zero.
    share = max(rising, 2 / total)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=peak, total_steps=total, pct_start=share
    )


def _on(settings: TrainingSettings, squares: Squares) -> Tensor:
    """On the device as uint8: a quarter of the memory."""
    return torch.from_numpy(np.ascontiguousarray(squares)).to(torch_device(settings.device))


def _start_from(network: nn.Module, encoder: Mapping[str, Tensor]) -> None:
    own = network.state_dict()
    strange = [n for n, v in encoder.items() if n not in own or own[n].shape != v.shape]
    if strange or not encoder:
        raise ValueError(
            "the encoder's weights do not belong to this network: train it with the same width, "
            f"scales and image channels (first that differs: {strange[:1]})"
        )
    network.load_state_dict({**own, **dict(encoder)})
