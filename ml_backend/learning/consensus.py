"""Several annotators' label maps of one slice made into one, and how far they agree."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from .metrics import confusion, dice, foreground_mean

LabelMaps = npt.NDArray[np.uint8]


def majority(label_maps: LabelMaps) -> npt.NDArray[np.uint8]:
    """The class most annotators gave each pixel: (A, H, W) → (H, W).

    A tie goes to the lowest class among the tied, thus to background where it is one of them: a
    pixel that half of the annotators left out is not in the target.
    Raises ValueError for another shape.
    """
    if label_maps.ndim != 3 or len(label_maps) == 0:
        raise ValueError(f"label maps must be (A, H, W): their shape is {label_maps.shape}")
    best = np.zeros(label_maps.shape[1:], dtype=np.uint8)
    votes = np.zeros(label_maps.shape[1:], dtype=np.int64)
    for value in np.unique(label_maps):
        count = (label_maps == value).sum(axis=0)
        better = count > votes
        best[better], votes[better] = value, count[better]
    return best


def agreement(label_maps: LabelMaps, classes: int) -> float:
    """Mean Dice over the foreground between each two of (A, H, W); NaN if there is none."""
    pairs = [
        foreground_mean(dice(confusion(a, b, classes))) for a, b in combinations(label_maps, 2)
    ]
    return float(np.nanmean(pairs)) if pairs and not np.isnan(pairs).all() else float("nan")
