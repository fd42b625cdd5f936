"""Counts apart from their reductions: a confusion matrix, then IoU, Dice and kappa from it.

Distances between outlines are apart: no confusion matrix holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .geometry import IGNORE

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def confusion(
    reference: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8], classes: int
) -> Counts:
    """Pixels by reference class (row) and predicted class (column): (C, C).

    Pixels whose reference is IGNORE do not count. Raises ValueError if the shapes differ or a
    value is no class.
    """
    if reference.shape != predicted.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {predicted.shape}")
    valid = reference != IGNORE
    rows, columns = reference[valid].astype(np.int64), predicted[valid].astype(np.int64)
    if rows.size and max(rows.max(), columns.max()) >= classes:
        raise ValueError(f"a pixel's class is not below {classes}")
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def iou(counts: Counts) -> Floats:
    """Intersection over union of each class, (C,); NaN for one absent from both."""
    hit = np.diag(counts).astype(float)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hit
    values: Floats = np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)
    return values


def dice(counts: Counts) -> Floats:
    """Dice coefficient of each class, (C,); NaN for one absent from both."""
    hit = np.diag(counts).astype(float)
    total = (counts.sum(axis=0) + counts.sum(axis=1)).astype(float)
    values: Floats = np.divide(2 * hit, total, out=np.full(len(hit), np.nan), where=total > 0)
    return values


def f1(counts: Counts) -> Floats:
    """F1 of each class over pixels, (C,): the same number as its Dice coefficient.

    Both are 2 TP / (2 TP + FP + FN); papers on one data set report it under either name.
    """
    return dice(counts)


def cohen_kappa(counts: Counts) -> float:
    """Cohen's kappa (1960) of two label maps: agreement beyond what chance gives; 1 is perfect.

    NaN without a pixel, and where both gave every pixel the same one class.
    """
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    observed = float(np.trace(counts)) / total
    chance = float((counts.sum(axis=0) / total) @ (counts.sum(axis=1) / total))
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def hd95(
    reference: npt.NDArray[np.uint8],
    predicted: npt.NDArray[np.uint8],
    classes: int,
    spacing_mm: Sequence[float] | None = None,
) -> Floats:
    """95th percentile Hausdorff distance of each class's outlines, (C,), in mm or pixels.

    The larger of the two directed 95th percentiles between outlines; a mask's outline is its
    pixels with a neighbour (4 in a slice, 6 in a volume) outside of it or of the image. Lengths
    are pixels without a spacing, (row, column) or (slice, row, column) in mm a pixel.
    NaN for a class absent from both, and for background; for one absent from either alone the
    diagonal of the image, the worst there is: infinity would spoil every mean, and to leave it
    out would reward silence. Pixels whose reference is IGNORE belong to no class.
    Raises ValueError if the shapes differ, or the spacing is not one length above 0 an axis.
    """
    if reference.shape != predicted.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {predicted.shape}")
    spacing = np.ones(reference.ndim) if spacing_mm is None else np.asarray(spacing_mm, float)
    if spacing.shape != (reference.ndim,) or not (spacing > 0).all():
        raise ValueError(
            f"spacing_mm must be {reference.ndim} lengths above 0 mm: it is {spacing_mm}"
        )
    values = np.full(classes, np.nan)
    for c in range(1, classes):
        masks = [reference == c, (predicted == c) & (reference != IGNORE)]
        empty = [not mask.any() for mask in masks]
        if not any(empty):
            values[c] = _between_outlines(masks[0], masks[1], spacing)
        elif not all(empty):
            values[c] = np.linalg.norm(spacing * reference.shape)
    return values


def _between_outlines(one: Mask, other: Mask, spacing: Floats) -> float:
    from scipy.ndimage import binary_erosion
    from scipy.spatial import cKDTree

    # What lies outside of both changes no distance between them: a box around them is enough.
    where = tuple(
        slice(int(along.min()), int(along.max()) + 1) for along in np.nonzero(one | other)
    )
    outlines = [
        np.argwhere(mask[where] & ~binary_erosion(mask[where])) * spacing for mask in (one, other)
    ]
    # Outlines are few pixels: their nearest neighbours take a third of a distance map's time.
    return max(
        float(np.percentile(cKDTree(there).query(here)[0], 95))
        for here, there in (outlines, outlines[::-1])
    )


def mean_iou_by(groups: Sequence[str], counts: Sequence[Counts]) -> dict[str, float]:
    """Foreground mean IoU of each group, a patient or a slice, from slices' confusion matrices.

    The values are what stopping.decide() takes. A group's slices are counted together; NaN where
    it has no foreground, labelled or predicted. Raises ValueError if the numbers differ.
    """
    total: dict[str, Counts] = {}
    for group, matrix in zip(groups, counts, strict=True):
        total[group] = total[group] + matrix if group in total else matrix
    return {group: foreground_mean(iou(matrix)) for group, matrix in total.items()}


def foreground_mean(values: Floats) -> float:
    """Mean of (C,) over the classes but background that occur; NaN if none does.

    Background is out: it is most of a medical image, and would hide the classes that matter.
    """
    present = values[1:][~np.isnan(values[1:])]
    return float(present.mean()) if present.size else float("nan")


def overall_mean(values: Floats) -> float:
    """Mean of (C,) over all classes that occur, background with them; NaN if none does."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def mean_by_class(values: Sequence[Floats]) -> Floats:
    """Each class's mean, (C,), over those of N slices, each (C,), with a value; NaN without one."""
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    means: Floats = np.divide(
        np.where(known, stacked, 0.0).sum(axis=0),
        known.sum(axis=0),
        out=np.full(stacked.shape[1], np.nan),
        where=known.any(axis=0),
    )
    return means


def report(
    counts: Counts, class_names: Sequence[str], distances: Mapping[str, Floats] | None = None
) -> dict[str, Any]:
    """Mean IoU and Dice over the foreground, and each class's, JSON-able; None where undefined.

    The `_all` figures are means over all classes, background with them. F1 is the Dice. Each of the
    `distances`, (C,) by a name such as "hd95_mm", is told of every class, and as their mean.
    """

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    ious, dices, others = iou(counts), dice(counts), distances or {}
    return {
        "mean_iou": known(foreground_mean(ious)),
        "dice": known(foreground_mean(dices)),
        "mean_iou_all": known(overall_mean(ious)),
        "f1_all": known(overall_mean(dices)),
        **{key: known(foreground_mean(values)) for key, values in others.items()},
        "classes": {
            name: {
                "iou": known(ious[n]),
                "dice": known(dices[n]),
                **{key: known(values[n]) for key, values in others.items()},
            }
            for n, name in enumerate(class_names, start=1)
        },
    }
