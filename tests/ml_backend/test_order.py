"""The labelling order as scores."""

import itertools

import numpy as np
import pytest

from ml_backend.order import late_score, quantiles, rank_scores


@pytest.mark.parametrize("count", [0, 1, 7, 10_000])
def test_scores_rise_strictly_within_what_label_studio_accepts(count):
    scores = rank_scores(count)
    assert len(scores) == count
    assert all(0 <= score <= 1 for score in scores)
    assert all(a < b for a, b in itertools.pairwise(scores))


def test_a_late_slice_is_placed_by_its_uncertainty_behind_the_selected_batch():
    pool = quantiles(np.linspace(0, 1, 1000).tolist())
    certain, middling, uncertain = (late_score(u, pool, first=0.1) for u in (0.01, 0.5, 2.0))
    assert 0.1 <= uncertain < middling < certain <= 1.0
    assert middling == pytest.approx(0.55, abs=0.02)


def test_without_a_pool_a_late_slice_comes_last():
    assert late_score(0.3, quantiles([]), first=0.0) == 1.0
