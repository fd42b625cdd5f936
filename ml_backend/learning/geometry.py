"""Slices of any size in a square of fixed side: the aspect is kept, the rest is padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

Grey = npt.NDArray[np.uint8]  # (H, W)
Image = npt.NDArray[np.uint8]  # (H, W) grey or (H, W, 3) RGB

_LUMA = np.array([0.299, 0.587, 0.114])  # of R, G, B (ITU-R BT.601)

_KEPT = 0.9  # of a class's area: less of a round shape's is lost at its rim
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


def channels_of(images: Sequence[Image]) -> int:
    """Channels that hold all the slices: 3 if any is RGB, else 1.

    Raises ValueError for a slice that is neither (H, W) nor (H, W, 3).
    """
    for image in images:
        if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3):
            raise ValueError(f"a slice must be (H, W) or (H, W, 3): its shape is {image.shape}")
    return 3 if any(image.ndim == 3 for image in images) else 1


def with_channels(image: Image, channels: int) -> Image:
    """A slice as (H, W) for 1 channel or (H, W, 3) for 3: luma of RGB, or grey three times."""
    if image.ndim == 3 and channels == 1:
        return np.asarray((image @ _LUMA).round(), dtype=np.uint8)
    if image.ndim == 2 and channels == 3:
        return np.repeat(image[:, :, None], 3, axis=2)
    return image


def fit(image: Image, side: int) -> tuple[Image, Placement]:
    """Fit a slice, (H, W) or (H, W, 3) uint8, into (side, side[, 3]) uint8; padding is 0."""
    where = place(image.shape[0], image.shape[1], side)
    planes = torch.from_numpy(np.array(image, dtype=np.float32))
    planes = planes[None] if image.ndim == 2 else planes.permute(2, 0, 1)  # (C, H, W)
    # antialias averages when it shrinks: thin structures fade instead of vanishing.
    small = F.interpolate(
        planes[None], (where.rows, where.columns), mode="bilinear", antialias=True
    )[0]
    square = np.zeros((side, side, *image.shape[2:]), dtype=np.uint8)
    values = small.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    square[: where.rows, : where.columns] = values[:, :, 0] if image.ndim == 2 else values
    return square, where


def to_input(squares: torch.Tensor) -> torch.Tensor:
    """A network's input, (N, C, S, S) float in [0, 1], from uint8 (N, S, S) or (N, S, S, 3)."""
    planes = squares[:, None] if squares.dim() == 3 else squares.permute(0, 3, 1, 2)
    return planes.float() / 255.0


def fit_labels(label_map: Grey, side: int) -> Grey:
    """Fit a label map, (H, W) uint8, into (side, side); padding is IGNORE.

    A pixel is given the class that has the largest share of it, by the weights with which fit()
    brings the slice there: where a centre lies on the border of two pixels, as it does in each
    slice that is halved or quartered, the nearest neighbour would move all masks half a pixel off.
    A class that loses a tenth of its area by that, as thin lines do, which have most of a pixel
    nowhere, takes the pixels in which its share is largest; the smallest class first.
    """
    where = place(label_map.shape[0], label_map.shape[1], side)
    square = np.full((side, side), IGNORE, dtype=np.uint8)
    within = square[: where.rows, : where.columns]
    if within.shape == label_map.shape:
        within[:] = label_map
        return square
    shares: dict[int, npt.NDArray[np.float32]] = {}
    largest = np.zeros(within.shape, dtype=np.float32)
    for value in np.unique(label_map):  # at their own size all at once would not fit into memory
        plane = torch.from_numpy((label_map == value).astype(np.float32))
        share = F.interpolate(
            plane[None, None], (where.rows, where.columns), mode="bilinear", antialias=True
        )[0, 0].numpy()
        within[share > largest] = value
        np.maximum(largest, share, out=largest)
        if value not in (0, IGNORE):
            shares[int(value)] = share
    _keep_areas(within, shares)
    return square


def _keep_areas(within: Grey, shares: Mapping[int, npt.NDArray[np.float32]]) -> None:
    """Give classes of (h, w) labels that lost much the pixels that their (h, w) shares add up to.

    What a smaller class has is left to it, and to each class its last pixel.
    """
    areas = {value: max(1, round(float(share.sum()))) for value, share in shares.items()}
    counts = np.bincount(within.ravel(), minlength=256)
    settled = within == IGNORE
    for value in sorted(areas, key=lambda value: (areas[value], value)):
        lacking = areas[value] - counts[value]
        if counts[value] < _KEPT * areas[value]:
            share = np.where(settled | (within == value), 0, shares[value]).ravel()
            # Of equal shares whichever: the first would move masks to the upper left.
            chance = np.random.default_rng(0).permutation(within.size)
            for at in np.lexsort((chance, -share.round(4))):
                if lacking <= 0 or share[at] <= 0:
                    break
                owner = within.flat[at]
                if owner and counts[owner] == 1:
                    continue
                counts[owner] -= 1
                counts[value] += 1
                within.flat[at] = value
                lacking -= 1
        settled |= within == value


def restore(planes: torch.Tensor, where: Placement) -> torch.Tensor:
    """Bring planes, (C, side, side) float, back to the slice's own size: (C, H, W)."""
    valid = planes[None, :, : where.rows, : where.columns]
    if (where.rows, where.columns) == (where.height, where.width):
        return valid[0]
    return F.interpolate(valid, (where.height, where.width), mode="bilinear", align_corners=False)[
        0
    ]


def thumbnails(images: Sequence[Image], side: int = 16) -> npt.NDArray[np.float32]:
    """Features of N slices before any network exists: small copies in [0, 1], one row a slice.

    (N, side * side), or (N, side * side * 3) if any is RGB.
    """
    channels = channels_of(images)
    if not images:
        return np.zeros((0, side * side), dtype=np.float32)
    small = np.stack([fit(with_channels(i, channels), side)[0].ravel() for i in images])
    return small.astype(np.float32) / np.float32(255)
