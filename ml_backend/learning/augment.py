"""Random changes of a batch that keep its meaning."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import IGNORE

_TURN_RAD = math.radians(10.0)
_SCALE = 0.12  # largest relative change of size
_SHIFT = 0.05  # of the side
# As scanners and windows differ from those that the labelled slices came from.
_CONTRAST = 0.2
_BRIGHTNESS = 0.1

_ENOUGH_VIEWS = 32  # of one slice as it is; what is seen more often would be known by heart

# A view to learn features from may differ more: no label has to move along.
_VIEW_LEAST = 0.5  # of the side that a view shows
_VIEW_CONTRAST = 0.4
_VIEW_BRIGHTNESS = 0.2
_VIEW_NOISE = 0.03


def share_to_change(augmentation: str, slices: int, views: int) -> float:
    """Share of `views` of so many slices that augment() should change: the rest are as they are.

    "repeats" changes what exceeds the first views of a slice: what a network never sees as it is,
    it knows less well, and what it sees again and again, it learns by heart
    (docs/benchmarks-choices.md compares it with "all" and "none").
    """
    if augmentation == "repeats":
        return max(0.0, 1 - _ENOUGH_VIEWS * slices / views)
    return {"all": 1.0, "none": 0.0}[augmentation]


def augment(
    batch: Tensor,
    target: Tensor,
    generator: torch.Generator,
    *,
    share: float = 1.0,
    mirror: bool = False,
) -> tuple[Tensor, Tensor]:
    """Turn, scale and shift slices with their labels; change their contrast and brightness.

    (B, C, S, S) in [0, 1] and (B, S, S) int64. A `share` of them, by chance, is changed; besides,
    with `mirror`, half of all have their left on the right. What comes in from outside is IGNORE.
    Random numbers come from the CPU generator given.
    """
    draw = _uniform(len(batch), 6, generator, batch.device)
    changed = torch.rand((len(batch), 1), generator=generator) < share
    draw = draw * changed.to(draw)
    theta = _affine(
        draw[:, 0] * _TURN_RAD, 1 + draw[:, 1] * _SCALE, draw[:, 2] * _SHIFT, draw[:, 3] * _SHIFT
    )
    if mirror:
        theta[:, :, 0] *= torch.where(_uniform(len(batch), 1, generator, batch.device) < 0, -1, 1)
    grid = F.affine_grid(theta, list(batch.shape), align_corners=False)
    moved = F.grid_sample(batch, grid, align_corners=False)
    # Shifted by one so that 0, grid_sample's value outside, can mean IGNORE.
    shifted = (target + 1).where(target != IGNORE, torch.zeros_like(target))
    labels = F.grid_sample(shifted[:, None].float(), grid, mode="nearest", align_corners=False)
    labels = labels[:, 0].round().long() - 1
    labels = labels.where(labels >= 0, torch.full_like(labels, IGNORE))
    return _toned(moved, draw[:, 4] * _CONTRAST, draw[:, 5] * _BRIGHTNESS).clamp(0, 1), labels


def view(batch: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A random square window of each slice, turned a little, in other contrast, with noise.

    (B, C, S, S) in [0, 1] → (B, C, side, side); a window's side is from half of S to all of it.
    """
    draw = _uniform(len(batch), 6, generator, batch.device)
    scale = _VIEW_LEAST + (1 - _VIEW_LEAST) * (draw[:, 1] + 1) / 2
    room = 1 - scale  # a window stays within the slice
    theta = _affine(draw[:, 0] * _TURN_RAD, scale, draw[:, 2] * room, draw[:, 3] * room)
    grid = F.affine_grid(theta, [*batch.shape[:2], side, side], align_corners=False)
    seen = F.grid_sample(batch, grid, align_corners=False)
    noise = torch.randn(seen.shape, generator=generator).to(batch.device) * _VIEW_NOISE
    toned = _toned(seen, draw[:, 4] * _VIEW_CONTRAST, draw[:, 5] * _VIEW_BRIGHTNESS)
    return (toned + noise).clamp(0, 1)


def _uniform(count: int, columns: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return (torch.rand((count, columns), generator=generator) * 2 - 1).to(device)


def _affine(turn: Tensor, scale: Tensor, right: Tensor, down: Tensor) -> Tensor:
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    return torch.stack([cos, -sin, right, sin, cos, down], dim=1).reshape(len(turn), 2, 3)


def _toned(batch: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    return batch * (1 + contrast)[:, None, None, None] + brightness[:, None, None, None]
