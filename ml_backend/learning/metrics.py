"""Counts apart from their reductions: a confusion matrix, then IoU and Dice from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .geometry import IGNORE

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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


def foreground_mean(values: Floats) -> float:
    """Mean of (C,) over the classes but background that occur; NaN if none does.

    Background is out: it is most of a medical image, and would hide the classes that matter.
    """
    present = values[1:][~np.isnan(values[1:])]
    return float(present.mean()) if present.size else float("nan")


def report(counts: Counts, class_names: Sequence[str]) -> dict[str, Any]:
    """Mean IoU and Dice over the foreground, and each class's, JSON-able; None where undefined."""

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    ious, dices = iou(counts), dice(counts)
    return {
        "mean_iou": known(foreground_mean(ious)),
        "dice": known(foreground_mean(dices)),
        "classes": {
            name: {"iou": known(ious[n]), "dice": known(dices[n])}
            for n, name in enumerate(class_names, start=1)
        },
    }
