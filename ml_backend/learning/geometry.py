"""Slices of any size in a square of fixed side: the aspect is kept, the rest is padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

Grey = npt.NDArray[np.uint8]

IGNORE = 255  # value of pixels in a label map that neither loss nor metrics count


@dataclass(frozen=True)
class Placement:
    """Where a slice of (height, width) lies in a square: `rows` x `columns` from the upper left."""

    height: int
    width: int
    rows: int
    columns: int
    side: int


def place(height: int, width: int, side: int) -> Placement:
    """How a slice is fitted into a square of `side` pixels. Raises ValueError for an empty one."""
    if min(height, width, side) < 1:
        raise ValueError(f"a slice must have pixels: {height} x {width} into {side}")
    scale = side / max(height, width)
    return Placement(
        height, width, max(1, round(height * scale)), max(1, round(width * scale)), side
    )


def fit(image: Grey, side: int) -> tuple[Grey, Placement]:
    """Fit a slice, (H, W) uint8, into (side, side) uint8; padding is 0."""
    where = place(image.shape[0], image.shape[1], side)
    # antialias averages when it shrinks: thin structures fade instead of vanishing.
    small = F.interpolate(
        torch.from_numpy(np.array(image, dtype=np.float32))[None, None],
        (where.rows, where.columns),
        mode="bilinear",
        antialias=True,
    )[0, 0]
    square = np.zeros((side, side), dtype=np.uint8)
    square[: where.rows, : where.columns] = small.round().clamp(0, 255).to(torch.uint8).numpy()
    return square, where


def fit_labels(label_map: Grey, side: int) -> Grey:
    """Fit a label map, (H, W) uint8, into (side, side) by nearest neighbour; padding is IGNORE."""
    where = place(label_map.shape[0], label_map.shape[1], side)
    rows = ((np.arange(where.rows) + 0.5) * where.height / where.rows).astype(int)
    columns = ((np.arange(where.columns) + 0.5) * where.width / where.columns).astype(int)
    square = np.full((side, side), IGNORE, dtype=np.uint8)
    square[: where.rows, : where.columns] = label_map[np.ix_(rows, columns)]
    return square


def restore(planes: torch.Tensor, where: Placement) -> torch.Tensor:
    """Bring planes, (C, side, side) float, back to the slice's own size: (C, H, W)."""
    valid = planes[None, :, : where.rows, : where.columns]
    if (where.rows, where.columns) == (where.height, where.width):
        return valid[0]
    return F.interpolate(valid, (where.height, where.width), mode="bilinear", align_corners=False)[
        0
    ]


def thumbnails(images: Sequence[Grey], side: int = 16) -> npt.NDArray[np.float32]:
    """Features of N slices before any network exists: (N, side * side) small copies in [0, 1]."""
    if not images:
        return np.zeros((0, side * side), dtype=np.float32)
    small = np.stack([fit(image, side)[0].ravel() for image in images])
    return small.astype(np.float32) / np.float32(255)
