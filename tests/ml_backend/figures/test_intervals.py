"""Bootstrap intervals, and times without idle tabs."""

import numpy as np

from ml_backend.figures.intervals import capped, mean_interval


def test_the_interval_of_a_mean_covers_it_about_as_often_as_it_should():
    generator = np.random.default_rng(1)
    for size in (10, 60):
        covered = 0
        for _ in range(200):
            found = mean_interval(generator.normal(3, 1, size).tolist())
            covered += found["low"] <= 3 <= found["high"]
        assert 0.90 <= covered / 200 <= 0.99, (size, covered)


def test_of_one_value_no_bounds_are_said_and_of_none_nothing():
    assert mean_interval([2.0]) == {"mean": 2.0, "low": None, "high": None}
    assert mean_interval([]) == {"mean": None, "low": None, "high": None}


def test_a_night_is_brought_back_and_the_others_left_alone():
    times = np.array([50.0, 60, 70, 55, 65, 58, 62, 36_000])
    bounded = capped(times)
    assert (bounded[:-1] == times[:-1]).all() or np.allclose(bounded[:-1], times[:-1])
    assert bounded[-1] < 120
