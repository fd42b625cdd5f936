"""The curve that quality follows as labels are added, fitted to the versions so far.

An inverse power law, quality = a - b * labels ** -c, with a the plateau, b the gain still to be had
at the first label and c the rate: what learning curves of classifiers are usually fitted with
(Figueroa et al., "Predicting sample size required for classification performance", BMC Medical
Informatics and Decision Making 2012, 12:8, equation 1; reviewed by Viering and Loog, "The Shape of
Learning Curves", IEEE TPAMI 2023). It is an extrapolation: a range is worth more than its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_POINTS = 4  # a curve of three parameters goes through any three

_RATES = np.geomspace(0.1, 2.0, 40)  # c: slower ones cannot be told from a slope, nor faster ones
_DRAWS = 400
# Two members of a committee trained anew on the same labels differ by about this much in mean IoU.
# It stands for so many points: with few versions their scatter alone says little.
_SCATTER, _SCATTER_POINTS = 0.015, 2.0


@dataclass(frozen=True)
class Curve:
    """A fitted curve, and others that the same points might as well have come from."""

    a: float
    b: float
    c: float
    draws: Floats  # (R, 3): a, b, c of each

    def at(self, labels: float) -> float:
        """The quality that is expected with so many labels."""
        return float(self.a - self.b * labels**-self.c)

    def labels_for(self, quality: float) -> tuple[float, Floats]:
        """Labels with which a quality is reached, by the fit and by each draw, (R,); inf if never.

        A curve that is flat, and there already, needs none.
        """
        rows = np.vstack([[self.a, self.b, self.c], self.draws])
        room = rows[:, 0] - quality
        with np.errstate(divide="ignore", over="ignore"):
            reachable = np.power(rows[:, 1] / np.where(room > 0, room, 1.0), 1 / rows[:, 2])
        needed = np.where(room > 0, reachable, np.inf)
        return float(needed[0]), needed[1:]


def fit(
    labels: Sequence[float], quality: Sequence[float], spread: Sequence[float], seed: int = 0
) -> Curve:
    """The curve through points (N,), with draws from what scatters about it.

    `spread` is each quality's standard error: a version measured on few patients counts for less.
    How far points scatter about the curve is taken from the points themselves: the held-out
    patients are the same in every version, so what sets these apart from each other moves the whole
    curve and not one point of it. Raises ValueError for fewer than 4 different numbers of labels.
    """
    x, y = np.asarray(labels, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    if len(set(x.tolist())) < LEAST_POINTS or not (x > 0).all():
        raise ValueError(f"a curve needs {LEAST_POINTS} versions of different numbers of labels")
    error = np.asarray(spread, dtype=np.float64)
    usual = float(np.median(error))
    weight = (
        np.minimum(1.0, (usual / np.maximum(error, 1e-9)) ** 2) if usual > 0 else np.ones(len(y))
    )
    fitted = _least_squares(x, y[np.newaxis], weight)[0]
    curve = fitted[0] - fitted[1] * x ** -fitted[2]
    # The scatter's posterior under a scaled inverse chi-squared prior (Gelman et al., Bayesian
    # Data Analysis, 3rd edition, section 2.6).
    generator = np.random.default_rng(seed)
    freedom = max(0, len(y) - 3) + _SCATTER_POINTS
    squares = float((weight * (y - curve) ** 2).sum()) + _SCATTER_POINTS * _SCATTER**2
    scatter = np.sqrt(squares / generator.chisquare(freedom, _DRAWS))
    noise = generator.normal(size=(_DRAWS, len(y))) * scatter[:, np.newaxis] / np.sqrt(weight)
    a, b, c = (float(value) for value in fitted)
    return Curve(a, b, c, _least_squares(x, curve + noise, weight))


def _least_squares(x: Floats, y: Floats, weight: Floats) -> Floats:
    """a, b, c, (R, 3), of the best curve through each row of y, (R, N); b >= 0 and a <= 1."""
    best = np.full((len(y), 3), np.nan)
    least: Floats = np.full(len(y), np.inf)
    total = weight.sum()
    mean_y: Floats = (y * weight).sum(axis=1) / total  # (R,)
    for c in _RATES:
        z = -(x**-c)
        mean_z = (z * weight).sum() / total
        away = z - mean_z
        b = np.maximum((y * weight * away).sum(axis=1) / (weight * away**2).sum(), 0.0)
        a = mean_y - b * mean_z
        # No overlap is better than a perfect one.
        over = a > 1
        through_one = ((y - 1) * weight * z).sum(axis=1) / (weight * z**2).sum()
        b = np.where(over, np.maximum(through_one, 0.0), b)
        a = np.where(over, 1.0, a)
        rest = (weight * (y - a[:, np.newaxis] - b[:, np.newaxis] * z) ** 2).sum(axis=1)
        better = rest < least
        least = np.where(better, rest, least)
        best[better] = np.stack([a, b, np.full(len(y), c)], axis=1)[better]
    return best
