"""An encoder trained on slices without labels: features for the first batch, and a start.

VICReg (Bardes, Ponce and LeCun, ICLR 2022): two views of a slice get like descriptors
(invariance), each dimension varies over the batch (variance), and no two say the same (covariance).
It needs no negatives, no second network, and no large batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .augment import view
from .fcn import FCN
from .geometry import Image, channels_of, fit, to_input, with_channels
from .memory import BatchSize, computed_again, in_parts
from .training import TrainingSettings, mixed_precision, one_cycle, one_thread, seeded, torch_device

STEPS = 150
BATCH_SIZE = 24  # slices a step, two views each

_PROJECTED = 256  # dimensions that the loss sees
_LEARNING_RATE = 3e-3
_INVARIANCE, _VARIANCE, _COVARIANCE = 25.0, 25.0, 1.0  # the paper's weights


class Encoder(nn.Module):
    """The FCN's stem and encoder: (B, C, H, W) → descriptors (B, D).

    state_dict() holds them by the FCN's own names, for train_committee(encoder=...).
    """

    def __init__(self, network: FCN, in_channels: int, settings: TrainingSettings) -> None:
        super().__init__()
        self.stem, self.encoder = network.stem, network.encoder
        self.descriptor_size = network.descriptor_size
        self.in_channels = in_channels
        self.settings = settings

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for scale in self.encoder:
            x = scale(x)
        return x.mean(dim=(2, 3))


def train_encoder(
    images: Sequence[Image],
    settings: TrainingSettings,
    seed: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    in_channels: int | None = None,
) -> Encoder:
    """Train the encoder of the settings' width and scales on slices, (H, W) or (H, W, 3) uint8.

    Views are half the settings' side: a quarter of the time, and the network sees them at full
    size too, as windows. The seed is the settings' own if not given; the same seed gives the same
    weights on the same device. If its memory runs out, views go through the encoder in parts, and
    batch norm takes its statistics from each. Raises ValueError without slices, or for steps or
    batch_size below 1 or 2, and TooLittleMemory if a single view does not fit.
    """
    if not images or steps < 1 or batch_size < 2:
        raise ValueError(
            "an encoder needs slices, steps >= 1 and batch_size >= 2: it was given "
            f"{len(images)}, {steps} and {batch_size}"
        )
    seed = settings.seed if seed is None else seed
    channels = channels_of(images) if in_channels is None else in_channels
    squares = np.stack([fit(with_channels(i, channels), settings.side_px)[0] for i in images])
    device = torch_device(settings.device)

    def build() -> nn.Sequential:
        fcn = FCN(channels, 2, settings.width, settings.scales)
        encoder = Encoder(fcn, channels, settings)
        return nn.Sequential(encoder, _projector(fcn.descriptor_size))

    network = seeded(build, device, seed)
    x = torch.from_numpy(squares)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-4)
    schedule = one_cycle(optimizer, _LEARNING_RATE, steps, rising=0.1)
    order = torch.Generator().manual_seed(seed)
    side = max(settings.side_px // 2, 2 ** (settings.scales - 1))
    fitting = BatchSize(2 * batch_size, device, settings)
    with one_thread(device):
        for step in range(steps):
            chosen = torch.randint(len(x), (batch_size,), generator=order)
            batch = to_input(x[chosen].to(device))
            views = torch.cat([view(batch, side, order), view(batch, side, order)])
            fitting.run(partial(_backward, network, views), len(views))
            optimizer.step()
            schedule.step()
            if on_progress:
                on_progress(step + 1, steps)
    return cast(Encoder, network[0].eval())


def _backward(network: nn.Sequential, views: Tensor, at_once: int) -> None:
    """The loss's gradient; only the encoder, by far the larger, takes its views in parts."""
    encoder, projector = network
    network.zero_grad(set_to_none=True)
    with torch.autocast(
        views.device.type, dtype=torch.bfloat16, enabled=mixed_precision(views.device)
    ):
        (features,) = in_parts(encoder, lambda x: (encoder(x),), views, at_once, 0)
        projected = projector(features)
    loss = vicreg_loss(*projected.float().chunk(2))
    if at_once < len(views):
        with computed_again(encoder):
            loss.backward()  # type: ignore[no-untyped-call]
    else:
        loss.backward()  # type: ignore[no-untyped-call]


@torch.inference_mode()
def describe(
    encoder: Encoder, images: Iterable[Image], batch_size: int = 16
) -> npt.NDArray[np.float32]:
    """Descriptors of N slices, (N, D), each dimension brought to mean 0 and deviation 1.

    Of a stream of slices a batch is held at a time.
    The spatial mean of a ReLU network's features has a large common part; without it distances
    show what differs. A dimension that does not vary is 0.
    """
    device = next(encoder.parameters()).device
    side = encoder.settings.side_px
    fitting = BatchSize(batch_size, device, encoder.settings)

    def described(batch: Sequence[Image]) -> list[npt.NDArray[np.float32]]:
        squares = [fit(with_channels(image, encoder.in_channels), side)[0] for image in batch]
        x = to_input(torch.from_numpy(np.stack(squares)).to(device))
        return list(encoder(x).float().cpu().numpy())

    rows = list(fitting.each(images, described))
    if not rows:
        return np.zeros((0, encoder.descriptor_size), dtype=np.float32)
    found = np.stack(rows)
    spread = found.std(axis=0)
    standard: npt.NDArray[np.float32] = (found - found.mean(axis=0)) / np.where(
        spread > 1e-6, spread, np.float32(np.inf)
    )
    return standard


def vicreg_loss(first: Tensor, second: Tensor) -> Tensor:
    """VICReg's loss of two views' projections, (B, P) each, B >= 2 (paper, eq. 1 to 6)."""
    loss = _INVARIANCE * F.mse_loss(first, second)
    for z in (first, second):
        centred = z - z.mean(dim=0)
        deviation = (centred.var(dim=0) + 1e-4).sqrt()
        covariance = centred.T @ centred / (len(z) - 1)  # (P, P)
        between = covariance - torch.diag(covariance.diagonal())
        loss = loss + _VARIANCE / 2 * F.relu(1 - deviation).mean()
        loss = loss + _COVARIANCE * (between**2).sum() / z.shape[1]
    return loss


def _projector(size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, _PROJECTED, bias=False),
        nn.BatchNorm1d(_PROJECTED),
        nn.ReLU(),
        nn.Linear(_PROJECTED, _PROJECTED),
    )
