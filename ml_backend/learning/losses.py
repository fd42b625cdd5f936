"""What a member learns to make small: class-balanced cross-entropy and Dice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import IGNORE


def class_weights(label_maps: npt.NDArray[np.uint8], classes: int) -> Tensor:
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
