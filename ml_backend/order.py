"""The labelling order as scores of predictions.

Label Studio's "Uncertainty sampling" serves ascending scores within [0, 1], so a task's score is
its rank divided by the number of tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Points of the uncertainty distribution that a version keeps to place slices that come later.
_QUANTILES = np.linspace(0.0, 1.0, 101)


def rank_scores(count: int) -> list[float]:
    """Scores of `count` tasks that are to be served in the order given: 0 first, below 1."""
    return [rank / count for rank in range(count)]


def quantiles(uncertainty: Sequence[float]) -> list[float]:
    """101 quantiles of a pool's uncertainty, for late_score(); none for an empty pool."""
    if not len(uncertainty):
        return []
    return [float(q) for q in np.quantile(np.asarray(uncertainty, dtype=float), _QUANTILES)]


def late_score(uncertainty: float, pool_quantiles: Sequence[float], first: float) -> float:
    """Score of a slice that was not in the pool when the order was made.

    It is placed by its uncertainty among the pool's, but never before `first`, the score where
    the selected batch ends.
    """
    if not pool_quantiles:
        return 1.0
    below = float(np.searchsorted(np.asarray(pool_quantiles), uncertainty)) / len(pool_quantiles)
    return min(1.0, max(0.0, first + (1.0 - first) * (1.0 - below)))
