"""When to stop labelling: the target is reached for sure, or the budget is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95  # of the two-sided interval
RESAMPLES = 2000
LEAST_VALUES = 5  # of fewer, resamples are so few that the bound is close to the lowest value

_BLOCK = 2**22  # values drawn at once, 32 MiB


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence bounds; NaN where there is nothing to take them from."""

    mean: float
    lower: float
    upper: float
    count: int  # values that it was taken from


@dataclass(frozen=True)
class Decision:
    """Whether to stop, why in words, and the figures behind it."""

    stop: bool
    reason: str
    target_reached: bool
    budget_spent: bool
    quality: Interval
    target: float | None
    labels: int
    budget: int | None

    def figures(self) -> dict[str, Any]:
        """All of it, JSON-able; None for a bound that is not known."""
        figures = asdict(self)
        figures["quality"] = {
            name: None if np.isnan(value) else value for name, value in figures["quality"].items()
        }
        return figures


def bootstrap_mean(
    values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES, least: int = LEAST_VALUES
) -> Interval:
    """Mean of values (N,) and its 95 % percentile bootstrap interval; NaN is left out.

    The values must be independent: one for each patient, where a patient has several slices. Of
    fewer than `least` the bounds are NaN. With few values the interval is somewhat too narrow
    (Efron and Tibshirani, 1993, chapter 13). Raises ValueError if resamples < 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1: it is {resamples}")
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    count = len(known)
    mean = float(known.mean()) if count else float("nan")
    if count < max(1, least):
        return Interval(mean, float("nan"), float("nan"), count)
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // count)
    means = np.concatenate(
        [
            known[generator.integers(0, count, (min(rows, resamples - start), count))].mean(axis=1)
            for start in range(0, resamples, rows)
        ]
    )
    tail = 50 * (1 - CONFIDENCE)  # per cent on each side
    lower, upper = np.percentile(means, [tail, 100 - tail])
    return Interval(mean, float(lower), float(upper), count)


def decide(
    values: Sequence[float],
    labels: int,
    *,
    target: float | None = None,
    budget: int | None = None,
    seed: int = 0,
) -> Decision:
    """Stop once the held-out mean's lower bound reaches the target, or the budget is spent.

    `values` is the quality of each held-out patient (or slice, where they are of unknown patients),
    `labels` the labels spent, those of held-out slices with them. The bound and not the mean
    decides: a lucky few patients end no project. Without a target or budget that one never stops.
    Raises ValueError if target, labels or budget is below 0.
    """
    for name, value in (("target", target), ("labels", labels), ("budget", budget)):
        if value is not None and not value >= 0:
            raise ValueError(f"{name} must be at least 0: it is {value}")
    quality = bootstrap_mean(values, seed)
    reached = target is not None and quality.lower >= target  # NaN reaches nothing
    spent = budget is not None and labels >= budget
    reason = "; ".join(
        part for part in (_about_target(quality, target), _about_budget(labels, budget)) if part
    )
    return Decision(
        stop=reached or spent,
        reason=reason,
        target_reached=reached,
        budget_spent=spent,
        quality=quality,
        target=target,
        labels=labels,
        budget=budget,
    )


def _about_target(quality: Interval, target: float | None) -> str:
    if target is None:
        return "no target is set"
    if np.isnan(quality.lower):
        return (
            f"the target of {target:.3f} cannot be judged: {quality.count} held-out "
            f"{'value' if quality.count == 1 else 'values'}, and at least {LEAST_VALUES} are needed"
        )
    figures = (
        f"mean {quality.mean:.3f}, {100 * CONFIDENCE:.0f} % interval {quality.lower:.3f} to "
        f"{quality.upper:.3f} over {quality.count:,} held-out values"
    )
    verdict = "is reached" if quality.lower >= target else "is not reached for sure"
    return f"the target of {target:.3f} {verdict}: {figures}"


def _about_budget(labels: int, budget: int | None) -> str:
    if budget is None:
        return f"{labels:,} labels spent, no budget is set"
    verdict = "the budget is spent: " if labels >= budget else ""
    return f"{verdict}{labels:,} of {budget:,} labels"
