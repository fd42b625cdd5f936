"""The quality of each version on the held-out slices, against the labels spent on it.

A version's metadata names all that it was trained on, megabytes for twenty versions of a large
project; so what the page shows of it is kept under the figures "quality", and only versions that
are new are read. Versions never change.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..store import Store, StoreError

QUALITY = "quality"
BASELINE = "baseline"  # {"points": [[labels, mean IoU]]} of labels chosen at random

log = logging.getLogger(__name__)


def refresh_quality(store: Store) -> dict[str, Any]:
    """Bring the figures "quality" up to date with the store's versions, and return them.

    To be called after each round, and cheap where nothing is new. A version that cannot be read is
    left out and tried again next time. Raises StoreError if the store cannot be reached.
    """
    kept = store.figures(QUALITY)
    known = {row["version"]: row for row in kept.get("versions", [])}
    rows = []
    for name in store.versions():
        if name not in known:
            try:
                known[name] = version_row(store.metadata(name))
            except (StoreError, KeyError, TypeError, AttributeError) as error:
                log.warning("version %s is not shown: %s", name, error)
                continue
        rows.append(known[name])
    figures = {"versions": rows}
    if figures != kept:
        store.keep_figures(QUALITY, figures)
    return figures


def version_row(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a version.

    `mean_iou` is the mean over held-out patients (slices, where patients are unknown) with its
    95 % interval, as learning.stopping decides by; without one, the quality report's, which counts
    all pixels together. `labels` are those spent: of training and of evaluation.
    """
    quality = metadata.get("quality") or {}
    stopping = metadata.get("stopping")
    training, evaluation = len(metadata["training_tasks"]), len(metadata["evaluation_tasks"])
    interval = (stopping or {}).get("quality") or {}
    mean = interval.get("mean")
    return {
        "version": str(metadata["version"]),
        "published_at": metadata["published_at"],
        "labels": training + evaluation,
        "training": training,
        "evaluation": evaluation,
        "held_out_unit": metadata["held_out_unit"],
        "mean_iou": {
            "mean": quality.get("mean_iou") if mean is None else mean,
            "low": interval.get("lower"),
            "high": interval.get("upper"),
        },
        "dice": quality.get("dice"),
        "classes": [
            {"name": name, **figures} for name, figures in (quality.get("classes") or {}).items()
        ],
        "stopping": stopping,
    }


def quality(
    figures: Mapping[str, Any],
    current: str | None,
    *,
    target: float | None = None,
    budget: int | None = None,
    random: Sequence[Sequence[float]] | None = None,
) -> dict[str, Any]:
    """The panel, from what refresh_quality() keeps; `current` is the version that drafts now.

    `target` and `budget` are as they are set now, None if they are not; `distance` is from the
    current version's lower bound to the target, below 0 once it is reached. `random` is where
    labels chosen at random would have led, [[labels, mean IoU]], where somebody has measured it.
    """
    rows = list(figures.get("versions", []))
    versions = [
        {**{k: v for k, v in row.items() if k != "stopping"}, "current": row["version"] == current}
        for row in rows
    ]
    serving = next((row for row in rows if row["version"] == current), None)
    low = serving["mean_iou"]["low"] if serving else None
    return {
        "versions": versions,
        "target": target,
        "budget": budget,
        "distance": None if target is None or low is None else target - low,
        "stopping": _stopping(serving, target, budget) if serving else None,
        "random": [list(point) for point in random] if random else None,
    }


def _stopping(
    row: Mapping[str, Any], target: float | None, budget: int | None
) -> dict[str, Any] | None:
    """What the version's round decided, or what it would have by a target that was set since."""
    decided = row.get("stopping")
    if not decided:
        return None
    if (decided.get("target"), decided.get("budget")) == (target, budget):
        return dict(decided)
    low, labels = row["mean_iou"]["low"], row["labels"]
    reached = target is not None and low is not None and low >= target
    spent = budget is not None and labels >= budget
    parts = []
    if target is None:
        parts.append("no target is set")
    elif low is None:
        parts.append(f"the target of {target:.3f} cannot be judged: too few held-out values")
    else:
        verdict = "is reached" if reached else "is not reached for sure"
        parts.append(f"the target of {target:.3f} {verdict}: the lower bound is {low:.3f}")
    if budget is None:
        parts.append(f"{labels:,} labels spent, no budget is set")
    else:
        parts.append(f"{'the budget is spent: ' if spent else ''}{labels:,} of {budget:,} labels")
    return {
        **decided,
        "stop": reached or spent,
        "reason": "; ".join(parts),
        "target_reached": reached,
        "budget_spent": spent,
        "target": target,
        "budget": budget,
    }


def baseline(lines: Sequence[str]) -> list[list[float]]:
    """Points [labels, mean IoU] by their labels, from lines "LABELS,MEAN_IOU".

    A line of words may come first. Raises ValueError naming the line that is none.
    """
    points = []
    for number, line in enumerate(lines, start=1):
        first, _, second = line.partition(",")
        try:
            labels, quality = float(first), float(second)
        except ValueError:
            if number == 1 or not line.strip():
                continue
            raise ValueError(f"line {number} is not LABELS,MEAN_IOU") from None
        if not (0 <= labels < 1e9 and 0 <= quality <= 1):
            raise ValueError(f"line {number}: labels are 0 or more, a mean IoU is from 0 to 1")
        points.append([labels, quality])
    return sorted(points)
