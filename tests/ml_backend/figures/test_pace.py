"""How fast slices are labelled, where the answer is known."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from ml_backend.figures.pace import pace
from ml_backend.figures.records import Record
from tests.figures_sample import sample_records

START = datetime(2026, 3, 2, 8, tzinfo=timezone.utc)


def steady(count, every_s=120.0, spent_s=120.0, who=1, start=START, first=1):
    """One slice after another."""
    return [
        Record(
            first + n,
            first + n,
            who,
            (start + timedelta(seconds=(n + 1) * every_s)).isoformat(),
            "",
            spent_s,
        )
        for n in range(count)
    ]


def test_one_at_a_steady_pace():
    found = pace(steady(60))
    assert found["labels_per_hour"]["mean"] == pytest.approx(30)
    assert found["work_s_per_label"]["mean"] == pytest.approx(120)
    assert found["window_h"] == pytest.approx(2)
    assert found["labels"] == 60
    assert found["by_day"] == [["2026-03-02", 60]]


def test_two_at_once_are_twice_as_fast_and_take_as_long_each():
    found = pace(steady(60) + steady(60, who=2, first=1000))
    assert found["labels_per_hour"]["mean"] == pytest.approx(60)
    assert found["work_s_per_label"]["mean"] == pytest.approx(120)


def test_nights_are_no_work_but_pass_by_the_clock():
    rows = []
    for day in range(6):
        rows += steady(30, start=START + timedelta(days=day), first=1 + 100 * day)
    found = pace(rows)
    assert found["labels_per_hour"]["mean"] == pytest.approx(30)
    assert found["window_h"] == pytest.approx(6)
    assert found["labels_per_clock_hour"]["mean"] == pytest.approx(30 / 24)


def test_an_open_tab_is_no_work():
    rows = steady(60)
    rows[30] = Record(31, 31, 1, rows[30].created_at, "", 50_000.0)
    found = pace(rows)
    assert found["labels_per_hour"]["mean"] == pytest.approx(30, rel=0.05)
    assert found["work_s_per_label"]["mean"] == pytest.approx(120, rel=0.05)


def test_a_short_pause_is_work_and_a_long_one_is_not():
    rows = steady(30) + steady(30, start=START + timedelta(hours=5), first=100)
    assert pace(rows)["window_h"] == pytest.approx(2)
    rows = steady(30) + steady(30, start=START + timedelta(hours=1, minutes=10), first=100)
    assert pace(rows)["window_h"] == pytest.approx(2 + 10 / 60)


def test_of_two_annotations_that_a_slice_needs_each_is_half_a_label():
    rows = [
        Record(n, n // 2, 1 + n % 2, (START + timedelta(minutes=n)).isoformat(), "", 60.0)
        for n in range(60)
    ]
    found = pace(rows, overlap=2)
    assert found["labels"] == 30
    assert found["work_s_per_label"]["mean"] == pytest.approx(120)


def test_imported_annotations_say_nothing():
    rows = [Record(n, n, 1, START.isoformat(), "", None) for n in range(500)]
    found = pace(rows)
    assert found["labels_per_hour"]["mean"] is None and found["labels"] == 0


def test_reviews_of_what_quorum_made_are_no_drawing():
    rows = steady(60)
    reviews = steady(500, every_s=30, spent_s=30, start=START + timedelta(hours=3), first=1000)
    rows += [replace(record, reviewed=True) for record in reviews]
    assert pace(rows) == pace(steady(60))


def test_only_the_last_two_weeks_are_the_present():
    old = steady(60, every_s=600, spent_s=600, start=START - timedelta(days=60), first=1000)
    found = pace(old + steady(60))
    assert found["labels_per_hour"]["mean"] == pytest.approx(30)
    assert len(found["by_day"]) == 2


def test_the_range_holds_the_true_pace_of_a_varying_team_most_of_the_time():
    covered = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        rows = []
        for day in range(8):
            minutes = np.exp(generator.normal(0, 0.2))  # a slice, differing by day
            rows += steady(
                30,
                every_s=60 * minutes,
                spent_s=60 * minutes,
                start=START + timedelta(days=day),
                first=1 + 100 * day,
            )
        found = pace(rows, seed=seed)["labels_per_hour"]
        # In the long run: labels over hours, 60 / E[minutes].
        covered += found["low"] <= 60 / np.exp(0.02) <= found["high"]
    assert covered >= 51


def test_a_few_seconds_of_an_hour_make_no_pace_by_themselves():
    # Three hours, the last label 20 s into the fourth: as if 180 were made in one.
    rows = steady(18, every_s=600, spent_s=600, start=START + timedelta(seconds=20))
    found = pace(rows)["labels_per_hour"]
    assert found["mean"] == pytest.approx(6)
    assert 4 < found["low"] <= 6 <= found["high"] < 9
    # And here the first is begun 20 s before an hour: as if none were made in it.
    found = pace(steady(18, every_s=600, spent_s=600, start=START - timedelta(seconds=20)))
    assert found["labels_per_hour"]["low"] > 4


def test_two_hours_of_work_have_a_pace_and_no_range():
    found = pace(steady(24, every_s=300, spent_s=300))["labels_per_hour"]
    assert found["mean"] == pytest.approx(12) and found["low"] is found["high"] is None


def test_a_large_team_is_json_without_nan():
    found = pace(sample_records(8, 2000, 20))
    assert found["labels_per_hour"]["low"] > 0
    json.dumps(found, allow_nan=False)
    json.dumps(pace([]), allow_nan=False)
