"""Whether the draft is a help, where the answer is known."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from ml_backend.figures.records import WITH, WITHOUT, Record
from ml_backend.figures.trial import trial
from tests.figures_sample import sample_records

MOMENT = "2026-03-02T08:00:00Z"


def row(task, who, arm, seconds, **fields):
    return Record(task, task, who, MOMENT, MOMENT, seconds, arm, **fields)


def test_known_times_give_known_figures():
    rows = [row(n, 1, WITH, 30.0) for n in range(20)]
    rows += [row(n, 1, WITHOUT, 60.0) for n in range(20, 40)]
    found = trial(rows, share=0.5)
    assert found["time_ratio"]["mean"] == pytest.approx(0.5)
    assert found["saved_s"]["mean"] == pytest.approx(30)
    assert found["saved_h"]["mean"] == pytest.approx(30 * 20 / 3600)
    assert found["with"] == {"slices": 20, "median_s": 30.0}
    assert "50 % less time" in found["verdict"]


def test_who_labels_which_arm_does_not_fool_it():
    # A fast one with nearly all drafts, a slow one with nearly none; drafts change nothing.
    generator = np.random.default_rng(2)
    rows = []
    for task in range(400):
        fast = task % 2
        arm = WITH if generator.random() < (0.9 if fast else 0.1) else WITHOUT
        seconds = (20 if fast else 200) * np.exp(generator.normal(0, 0.3))
        rows.append(row(task, fast + 1, arm, float(seconds)))
    found = trial(rows, share=0.5)
    assert found["with"]["median_s"] < found["without"]["median_s"] / 2
    assert 0.85 < found["time_ratio"]["mean"] < 1.15
    assert found["time_ratio"]["low"] < 1 < found["time_ratio"]["high"]
    assert "No difference" in found["verdict"]


def test_who_has_one_arm_only_says_nothing():
    rows = [row(n, 1, WITH, 30.0) for n in range(30)]
    rows += [row(n, 2, WITHOUT, 90.0) for n in range(30, 60)]
    found = trial(rows, share=0.5)
    assert found["time_ratio"]["mean"] is None
    assert "0 timed slices with a draft and 0 without" in found["verdict"]


def test_nights_do_not_move_it():
    with_nights = trial(sample_records(3, 1500, 5, idle=0.04), share=0.2)
    assert with_nights["time_ratio"]["mean"] == pytest.approx(0.6, abs=0.06)
    assert with_nights["saved_s"]["mean"] < 100


@pytest.mark.parametrize("truth", [0.6, 1.0])
def test_the_interval_covers_the_truth_about_as_often_as_it_should(truth):
    covered = 0
    for seed in range(100):
        rows = sample_records(seed, 80, 3, share=0.3, ratio=truth, idle=0, two_readers=0.2)
        ratio = trial(rows, share=0.3, seed=seed)["time_ratio"]
        covered += ratio["low"] <= truth <= ratio["high"]
    assert 88 <= covered <= 100


def test_a_bias_of_the_areas_is_found_and_none_is_made_up():
    biased = trial(sample_records(4, 3000, 4, share=0.5, area_ratio=1.5), share=0.5)
    assert biased["area_ratio"]["low"] > 1
    assert "Drafts change the result" in biased["verdict"]
    fair = trial(sample_records(5, 3000, 4, share=0.5), share=0.5)
    assert fair["area_ratio"]["low"] < 1 < fair["area_ratio"]["high"]
    assert "No bias of the areas can be shown" in fair["verdict"]


def test_with_too_few_slices_it_says_how_many_more():
    rows = [row(n, 1, WITH, 10.0) for n in range(30)]
    rows += [row(n, 1, WITHOUT, 60.0) for n in range(30, 36)]
    verdict = trial(rows, share=0.1)["verdict"]
    assert "4 more without a draft" in verdict and "help" not in verdict


def test_without_a_share_it_says_how_to_begin():
    assert "Hold drafts back" in trial([], share=0.0)["verdict"]


def test_labels_from_before_any_draft_count_in_no_arm():
    rows = sample_records(6, 200, 2)
    early = [
        replace(r, annotation=10_000 + r.annotation, task=10_000 + r.task, arm=None, lead_time_s=1)
        for r in rows
    ]
    assert trial(rows + early, share=0.2) == trial(rows, share=0.2)


def test_masks_that_nobody_drew_save_no_time():
    rows = sample_records(6, 200, 2)
    brought = [
        replace(r, annotation=10_000 + r.annotation, task=10_000 + r.task, lead_time_s=None)
        for r in rows
    ]
    assert trial(rows + brought, share=0.2) == trial(rows, share=0.2)


def test_who_works_in_one_arm_changes_nothing_of_the_comparison():
    rows = sample_records(8, 300, 3, idle=0)
    others = [row(20_000 + n, 100 + n, WITH, 30.0, areas={"lesion": 0.5}) for n in range(400)]
    alone, beside = (trial(r, share=0.2)["time_ratio"] for r in (rows, rows + others))
    assert beside["mean"] == pytest.approx(alone["mean"])
    # Among many others, each draw has more or fewer of these.
    assert beside["low"] == pytest.approx(alone["low"], rel=0.05)
    assert beside["high"] == pytest.approx(alone["high"], rel=0.05)


def test_a_large_crowd_fits_into_little_memory():
    generator = np.random.default_rng(0)
    arms, seconds = generator.random(8_000) < 0.3, generator.uniform(40, 90, 8_000)
    rows = [
        row(n, n % 2_000, WITHOUT if without else WITH, float(s))
        for n, (without, s) in enumerate(zip(arms, seconds, strict=True))
    ]
    tracemalloc.start()
    try:
        found = trial(rows, share=0.3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["time_ratio"]["low"] < 1 < found["time_ratio"]["high"]
    assert peak < 50e6  # a table of slices by annotators is of 130 MB here, and grows as both do


def test_agreement_is_told_by_arm():
    rows = [row(n, 1, WITH, 10.0, dice=0.9) for n in range(12)]
    rows += [row(n, 1, WITHOUT, 10.0, dice=0.8) for n in range(12, 24)]
    agreement = trial(rows, share=0.5)["agreement"]
    assert agreement["with"]["mean"] == pytest.approx(0.9)
    assert agreement["without"]["mean"] == pytest.approx(0.8)
    assert trial(rows[:5], share=0.5)["agreement"]["without"]["mean"] is None


def test_the_panel_is_json_without_nan():
    for rows in ([], sample_records(7, 40, 2), sample_records(7, 1, 1)):
        json.dumps(trial(rows, share=0.2), allow_nan=False)
