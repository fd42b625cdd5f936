"""Random changes of a training batch that keep its meaning."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import IGNORE

_TURN_RAD = math.radians(10.0)
_SCALE = 0.12  # largest relative change of size
_SHIFT = 0.05  # of the side
_CONTRAST = 0.2
_BRIGHTNESS = 0.1


def augment(batch: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turn, scale and shift each slice with its labels; change its contrast and brightness.

    (B, 1, S, S) in [0, 1] and (B, S, S) int64. No mirroring: left and right differ in medicine.
    What comes in from outside is IGNORE. Random numbers come from the CPU generator given.
    """
    count = len(batch)
    draw = (torch.rand((count, 6), generator=generator) * 2 - 1).to(batch.device)
    turn, scale = draw[:, 0] * _TURN_RAD, 1 + draw[:, 1] * _SCALE
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    rows = [cos, -sin, draw[:, 2] * _SHIFT, sin, cos, draw[:, 3] * _SHIFT]
    theta = torch.stack(rows, dim=1).reshape(count, 2, 3)
    grid = F.affine_grid(theta, list(batch.shape), align_corners=False)
    moved = F.grid_sample(batch, grid, align_corners=False)
    # Shifted by one so that 0, grid_sample's value outside, can mean IGNORE.
    shifted = (target + 1).where(target != IGNORE, torch.zeros_like(target))
    labels = F.grid_sample(shifted[:, None].float(), grid, mode="nearest", align_corners=False)
    labels = labels[:, 0].round().long() - 1
    labels = labels.where(labels >= 0, torch.full_like(labels, IGNORE))
    contrast = (1 + draw[:, 4] * _CONTRAST)[:, None, None, None]
    brightness = (draw[:, 5] * _BRIGHTNESS)[:, None, None, None]
    return (moved * contrast + brightness).clamp(0, 1), labels
