"""What the rows of a benchmark say, and how sure: pure functions over scores of paired seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean with the half width of its confidence interval; NaN for a single value."""

    mean: float
    half_width: float
    count: int

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean over seeds and its t-interval. Raises ValueError without values."""
    from scipy.stats import t

    if not len(values):
        raise ValueError("there are no values to average")
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return Interval(float(x.mean()), math.nan, len(x))
    error = x.std(ddof=1) / math.sqrt(len(x))
    return Interval(float(x.mean()), float(t.ppf((1 + confidence) / 2, len(x) - 1) * error), len(x))


def area_under_curve(fractions: Sequence[float], scores: Sequence[float]) -> float:
    """Area under score against budget by trapezoids, divided by the budget's range.

    It is the mean score over the budgets. Raises ValueError for fewer than two budgets, or such
    that do not rise.
    """
    x, y = np.asarray(fractions, dtype=float), np.asarray(scores, dtype=float)
    if len(x) != len(y) or len(x) < 2 or (np.diff(x) <= 0).any():
        raise ValueError("an area needs at least two rising budgets with a score each")
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def labels_needed(labels: Sequence[float], scores: Sequence[float], target: float) -> float | None:
    """Labels at which a curve first reaches a score, interpolated; None if it never does.

    A curve that begins above the target needs at most its first number of labels, which is given.
    """
    pairs = list(zip(labels, scores, strict=True))
    if not pairs:
        return None
    if pairs[0][1] >= target:
        return float(pairs[0][0])
    for (n0, s0), (n1, s1) in pairwise(pairs):
        if s1 >= target:
            return float(n0 + (n1 - n0) * (target - s0) / (s1 - s0))
    return None


@dataclass(frozen=True)
class Comparison:
    """A paired difference: a - b over seeds, its interval, and p of "no difference"."""

    difference: Interval
    p: float  # two-sided; NaN if it cannot be told
    p_holm: float = math.nan  # adjusted for the family it was made in


def compare(
    a: Sequence[float], b: Sequence[float], test: Literal["t", "wilcoxon"] = "t"
) -> Comparison:
    """Paired test of a against b, the same seeds in the same order.

    Wilcoxon's signed-rank test assumes less, but cannot reach p < 0.05 with fewer than six seeds.
    Raises ValueError if the numbers differ.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} values are no pairs")
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    interval = mean_interval(difference.tolist())
    if len(difference) < 2:
        return Comparison(interval, math.nan)
    if not difference.any():
        return Comparison(interval, 1.0)
    if test == "wilcoxon":
        from scipy.stats import wilcoxon

        return Comparison(interval, float(wilcoxon(difference).pvalue))
    from scipy.stats import t

    error = difference.std(ddof=1) / math.sqrt(len(difference))
    if error == 0:
        return Comparison(interval, 0.0)
    return Comparison(
        interval, float(2 * t.sf(abs(difference.mean()) / error, len(difference) - 1))
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment (Scand. J. Statist. 1979); NaN values stand outside it."""
    known = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    adjusted = dict.fromkeys(p_values, math.nan)
    highest = 0.0
    for rank, (p, name) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[name] = highest
    return adjusted


def compare_all(
    scores: Mapping[str, Sequence[float]],
    against: str,
    test: Literal["t", "wilcoxon"] = "t",
) -> dict[str, Comparison]:
    """Each of several (name → scores by seed) against one of them, Holm over the family."""
    made = {
        name: compare(values, scores[against], test)
        for name, values in scores.items()
        if name != against
    }
    adjusted = holm({name: comparison.p for name, comparison in made.items()})
    return {
        name: Comparison(comparison.difference, comparison.p, adjusted[name])
        for name, comparison in made.items()
    }
