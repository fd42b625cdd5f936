"""The stopping rule against exact bootstrap values and its bounds."""

import json
from itertools import product

import numpy as np
import pytest

from ml_backend.learning.stopping import bootstrap_mean, decide

GOOD = [0.80, 0.82, 0.85, 0.88, 0.90, 0.91, 0.84, 0.86]


def test_the_interval_is_that_of_all_resamples():
    values = [0.1, 0.5, 0.6, 0.7, 0.9]
    every = [np.mean(draw) for draw in product(values, repeat=5)]  # 3,125 resamples, once each
    lower, upper = np.percentile(every, [2.5, 97.5])
    found = bootstrap_mean(values, resamples=100_000)
    assert found.mean == pytest.approx(0.56)
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=0.011)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    held = [
        found.lower <= 0.7 <= found.upper
        for found in (
            bootstrap_mean(generator.normal(0.7, 0.1, 40), seed=n, resamples=500)
            for n in range(300)
        )
    ]
    assert 0.90 < np.mean(held) < 0.98


def test_a_seed_repeats_the_interval_bit_for_bit_and_blocks_do_not_change_it(monkeypatch):
    first = bootstrap_mean(GOOD, seed=3)
    assert bootstrap_mean(GOOD, seed=3) == first != bootstrap_mean(GOOD, seed=4)
    monkeypatch.setattr("ml_backend.learning.stopping._BLOCK", 100)
    assert bootstrap_mean(GOOD, seed=3) == first


def test_the_bound_and_not_the_mean_must_reach_the_target():
    quality = bootstrap_mean(GOOD)
    between = (quality.lower + quality.mean) / 2
    unsure = decide(GOOD, 10, target=between)
    assert not unsure.stop and quality.mean > between
    assert "not reached for sure" in unsure.reason
    sure = decide(GOOD, 10, target=quality.lower)
    assert sure.stop and sure.target_reached and not sure.budget_spent
    assert "is reached" in sure.reason and "10 labels" in sure.reason


def test_a_spent_budget_stops_whatever_the_quality():
    decision = decide([0.1] * 8, 50, target=0.9, budget=50)
    assert decision.stop and decision.budget_spent and not decision.target_reached
    assert "not reached" in decision.reason and "50 of 50 labels" in decision.reason
    assert not decide([0.1] * 8, 49, target=0.9, budget=50).stop


def test_two_good_patients_prove_nothing():
    decision = decide([0.99, 0.99], 10, target=0.5)
    assert not decision.stop
    assert "2 held-out values" in decision.reason and "at least 5" in decision.reason


@pytest.mark.parametrize("values", [[], [float("nan")] * 9])
def test_without_any_value_nothing_is_reached_and_the_figures_stay_valid_json(values):
    decision = decide(values, 0, target=0.0, budget=5)
    assert not decision.stop
    figures = json.loads(json.dumps(decision.figures(), allow_nan=False))
    assert figures["quality"] == {"mean": None, "lower": None, "upper": None, "count": 0}


def test_undefined_values_are_left_out():
    assert bootstrap_mean([*GOOD, float("nan")]) == bootstrap_mean(GOOD)


def test_without_target_or_budget_it_never_stops():
    assert not decide([1.0] * 9, 10**6).stop


@pytest.mark.parametrize("wrong", [{"target": -0.1}, {"budget": -1}, {"target": float("nan")}])
def test_bounds_are_named(wrong):
    with pytest.raises(ValueError, match="must be at least 0"):
        decide(GOOD, 0, **wrong)
    with pytest.raises(ValueError, match="resamples must be"):
        bootstrap_mean(GOOD, resamples=0)
