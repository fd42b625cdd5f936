"""Bootstrap intervals over slices, and times that an open tab cannot spoil."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Interval = dict[str, float | None]

RESAMPLES = 1000
_AT_ONCE = 2_000_000  # indices drawn at once: 16 MB
MOST_ROWS = 1000
_FENCE = 1.5  # Tukey's, in interquartile ranges


def unknown() -> Interval:
    """Of what nothing is known."""
    return {"mean": None, "low": None, "high": None}


def interval(mean: float, draws: Floats, size: int) -> Interval:
    """A mean with the percentile interval, 95 %, of its resampled values, of `size` slices.

    Of few slices plain percentiles are too narrow: they are widened as Hesterberg (2015), "What
    Teachers Should Know About the Bootstrap", section 5, says. Bounds are None for one slice.
    """
    if not np.isfinite(mean):
        return unknown()
    known = draws[np.isfinite(draws)]
    if size < 2 or not known.size:
        return {"mean": float(mean), "low": None, "high": None}
    tail = _tail(size)
    low, high = np.quantile(known, [tail, 1 - tail])
    return {"mean": float(mean), "low": float(low), "high": float(high)}


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of values, one a slice, with its interval."""
    if not len(values):
        return unknown()
    rows = np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)
    sums = resampled_sums(rows, np.random.default_rng([seed, len(rows)]))
    return interval(float(rows[:, 0].mean()), sums[:, 0] / sums[:, 1], len(rows))


def resampled_sums(rows: Floats, generator: np.random.Generator) -> Floats:
    """Column sums, (RESAMPLES, F), of rows (N, F) drawn N at a time with replacement.

    Of many rows, groups put together by chance are drawn: their sums scatter as the rows do, and
    10,000 slices cost no more than 1,000. So have a column for what is to be divided by.
    """
    if len(rows) > MOST_ROWS:
        order = generator.permutation(len(rows))
        rows = np.stack([part.sum(axis=0) for part in np.array_split(rows[order], MOST_ROWS)])
    count = len(rows)
    at_once = max(1, _AT_ONCE // max(1, count))
    parts = []
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        drawn = generator.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        parts.append(times.astype(np.float64) @ rows)
    return np.concatenate(parts)


def capped(times_s: Floats) -> Floats:
    """One annotator's times, (N,) s above 0, those far beyond the others brought back to a fence.

    Label Studio measures from opening a slice to submitting it: a tab left open for a night is ten
    hours of work to it. The fences are Tukey's, on logarithms, for times are skewed.
    """
    if not times_s.size:
        return times_s
    logs = np.log(times_s)
    q1, q3 = np.quantile(logs, [0.25, 0.75])
    reach = _FENCE * (q3 - q1)
    bounded: Floats = np.exp(np.clip(logs, q1 - reach, q3 + reach))
    return bounded


def _tail(size: int) -> float:
    """The share of resampled values beyond each bound."""
    z, degrees = 1.959964, size - 1
    # Student's t from the normal quantile (Cornish and Fisher), accurate to 1 % from 4 degrees on.
    t = z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    return NormalDist().cdf(-min(t, 12.0) * (size / degrees) ** 0.5)
