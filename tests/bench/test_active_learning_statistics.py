"""Known answers of the benchmark's statistics."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.active_learning.page import section
from bench.active_learning.statistics import (
    area_under_curve,
    compare,
    compare_all,
    holm,
    labels_needed,
    mean_interval,
)
from bench.active_learning.tables import Results, difference_table, summary_table
from ml_backend.settings import Settings


def test_the_interval_of_five_values_is_students():
    # Mean 3, sd sqrt(2.5), t(0.975, 4) = 2.776445.
    interval = mean_interval([1, 2, 3, 4, 5])
    assert interval.mean == 3
    assert interval.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


def test_the_interval_agrees_with_scipy():
    values = np.random.default_rng(0).normal(size=7)
    low, high = stats.t.interval(0.9, 6, values.mean(), stats.sem(values))
    interval = mean_interval(values.tolist(), confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_one_value_has_no_interval():
    assert mean_interval([0.4]).mean == 0.4
    assert math.isnan(mean_interval([0.4]).half_width)
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


def test_the_area_of_a_straight_line_is_its_middle():
    assert area_under_curve([0.1, 0.2, 0.5], [0.1, 0.2, 0.5]) == pytest.approx(0.3)
    assert area_under_curve([0.1, 0.5], [0.7, 0.7]) == pytest.approx(0.7)
    with pytest.raises(ValueError, match="two rising budgets"):
        area_under_curve([0.1, 0.1], [1, 2])


def test_labels_needed_are_interpolated_at_the_first_crossing():
    labels, scores = [10, 20, 30, 40], [0.2, 0.4, 0.3, 0.6]
    assert labels_needed(labels, scores, 0.3) == pytest.approx(15)
    assert labels_needed(labels, scores, 0.5) == pytest.approx(30 + 10 * 2 / 3)
    assert labels_needed(labels, scores, 0.1) == 10
    assert labels_needed(labels, scores, 0.7) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_paired_t_test_agrees_with_scipy(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(2, 6))
    assert compare(a, b).p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert compare(a, b).difference.mean == pytest.approx((a - b).mean())
    assert compare(a, b, test="wilcoxon").p == pytest.approx(stats.wilcoxon(a, b).pvalue)


def test_differences_that_do_not_vary_are_told_apart():
    assert compare([1, 2], [1, 2]).p == 1.0
    assert compare([2.0, 3.0], [1.0, 2.0]).p == 0.0
    assert math.isnan(compare([2], [1]).p)
    with pytest.raises(ValueError, match="no pairs"):
        compare([1, 2], [1])


def test_holms_adjustment_steps_down():
    # Holm 1979: 0.01 * 4, then max with 0.02 * 3, 0.03 * 2, 0.5 * 1.
    adjusted = holm({"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.5, "e": math.nan})
    assert adjusted["a"] == pytest.approx(0.04)
    assert adjusted["b"] == pytest.approx(0.06)
    assert adjusted["c"] == pytest.approx(0.06)
    assert adjusted["d"] == pytest.approx(0.5)
    assert math.isnan(adjusted["e"])


def test_a_family_is_compared_with_one_of_its_members():
    scores = {"random": [0.1, 0.2, 0.3], "good": [0.4, 0.51, 0.6], "same": [0.1, 0.21, 0.29]}
    compared = compare_all(scores, "random")
    assert set(compared) == {"good", "same"}
    assert compared["good"].difference.mean > 0
    assert compared["good"].p_holm == pytest.approx(2 * compared["good"].p)
    assert compared["good"].p_holm < 0.05 < compared["same"].p_holm


def test_a_strategy_that_has_only_begun_takes_no_comparison_away():
    def row(strategy, seed, labels):
        return {
            "strategy": strategy,
            "seed": seed,
            "network": "fcn",
            "labels": labels,
            "fraction": labels / 100,
            "mean_iou": 0.5 + labels / 1000 + seed / 100 + 0.01 * (strategy == "two-stage"),
        }

    rows = [row(s, seed, n) for s in ("two-stage", "random") for seed in (0, 1) for n in (10, 30)]
    whole = difference_table(Results(rows, "fcn"), "random")
    assert whole.splitlines()[-1].startswith("| two-stage | +0.010 ± 0.000 |")
    assert difference_table(Results([*rows, row("typical", 0, 10)], "fcn"), "random") == whole


def row(strategy, seed, number, mean_iou, labels=None):
    """One row of a run; labels are 4, 8, … of 40, and all for full labels."""
    labels = labels or 4 * (number + 1)
    return {
        "data": "d", "edition": "cpu", "fingerprint": "f", "strategy": strategy, "network": "fcn",
        "seed": seed, "round": number, "labels": labels, "fraction": labels / 40, "pool": 40,
        "test": 10, "mean_iou": mean_iou, "dice": 0.6, "train_s": 1.0, "score_s": 1.0,
        "select_s": 0.1, "round_s": 2.0, "recipe": {}, "K": 8, "picks": ["a"], "next": ["b"],
        "hardware": "h", "commit": "c", "classes": {"x": {"iou": 0.5, "dice": 0.6, "hd95_px": 1.0}},
    }  # fmt: skip


def test_the_page_of_a_stopped_run_leaves_out_what_is_not_complete():
    rows = [row("full", 0, 0, 0.7, 40)]
    rows += [row("random", 0, n, 0.5) for n in range(5)]
    rows += [row("two-stage", 0, n, 0.5) for n in range(2)]
    results = Results(rows, "fcn")
    assert results.ranked() == ["random"] and results.begun_apart() == []
    page = section(results, {}, "command", Settings(network="fcn"), Path("p.png"), "title")
    assert "| random |" in page and "| two-stage |" not in page


def test_labels_needed_are_of_the_seeds_that_the_full_labels_are_of():
    def cells(full):
        rows = [row("full", seed, 0, top, 40) for seed, top in full.items()]
        rows += [row("random", s, n, 0.7 - 0.05 * (4 - n)) for s in (0, 1) for n in range(5)]
        return summary_table(Results(rows, "fcn")).splitlines()[2]

    # Stopped after the third seed's full labels, which come first.
    assert cells({0: 0.7, 1: 0.7, 2: 0.76}) == cells({0: 0.7, 1: 0.7})
