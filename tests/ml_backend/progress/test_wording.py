"""How figures are worded, and what is said at a glance."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import pytest

from ml_backend.progress.glance import (
    PHASES,
    STEPS,
    concerns,
    first_people,
    outline,
    parts,
    phases,
    ratio_scale,
)
from ml_backend.progress.wording import (
    ago,
    between,
    duration,
    exact,
    hour_marks,
    hours,
    hours_between,
    number,
    percent,
    rate,
    rate_between,
    sentence,
    size,
)

from .sample_panels import first_day, under_way

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (725, "12 min"),
        (3599, "59 min"),
        (7500, "2 h 5 min"),
        (86400, "1 d"),
        (273600, "3 d 4 h"),
        (-68, "−1 min 8 s"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: Any, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-01T11:59:50+00:00", "just now"),
        ("2026-03-01T12:00:50+00:00", "just now"),  # a clock that is ahead
        ("2026-03-01T11:48:00Z", "12 min ago"),
        ("2026-03-01T09:00:00+00:00", "3 h ago"),
        ("2026-02-24T12:00:00", "5 days ago"),
        ("2026-01-01T12:00:00+00:00", "on 2026-01-01"),
        ("yesterday", "–"),
        (None, "–"),
    ],
)
def test_times_are_said_as_people_say_them(moment: Any, expected: str) -> None:
    assert ago(moment, NOW) == expected


def test_exact_times_are_in_utc() -> None:
    assert exact("2026-03-01T13:05:00+01:00") == "2026-03-01 12:05 UTC"
    assert exact(5) == "–"


def test_numbers_carry_their_units_and_unknown_ones_a_dash() -> None:
    assert (number(12345), number(0.876, 2), number(None), number(True)) == (
        "12,345",
        "0.88",
        "–",
        "–",
    )
    assert (percent(0.42), percent(0.001), percent(0), percent(math.inf)) == (
        "42 %",
        "< 1 %",
        "0 %",
        "–",
    )
    assert (hours(0.5), hours(3.26), hours(38.4), hours(None)) == ("30 min", "3.3 h", "38 h", "–")
    assert (size(48_300_000), size(12), size(None)) == ("48.3 MB", "12 bytes", "–")


def test_bounds_share_one_unit_and_half_known_ones_are_not_said() -> None:
    assert between({"mean": 1, "low": 0.5, "high": 1.5}) == "0.50 to 1.50"
    assert hours_between({"mean": 30, "low": 20, "high": 40}) == "20 to 40 h"
    assert hours_between({"mean": 0.5, "low": 0.25, "high": 0.75}) == "15 to 45 min"
    assert between({"mean": 1, "low": 0.5, "high": None}) == hours_between(None) == ""


def test_a_slow_pace_is_not_rounded_to_none() -> None:
    assert (rate(0.04), rate(0.4), rate(42.4)) == ("< 0.1", "0.4", "42")
    assert (rate(1234), rate(None)) == ("1,234", "–")
    assert rate_between({"mean": 0.6, "low": 0.2, "high": 1.3}) == "0.2 to 1.3"
    assert rate_between({"mean": 30, "low": 8, "high": 42.5}) == "8 to 42"
    assert rate_between({"mean": 30, "low": 8, "high": None}) == ""


@pytest.mark.parametrize("minutes", [0.5, 1, 3, 6, 18, 59, 60, 90, 200, 239, 240, 5000])
def test_the_marks_of_a_time_axis_differ_and_say_what_they_stand_at(minutes: float) -> None:
    marks = hour_marks(minutes / 60)
    words = [word for _, word in marks]
    unit = "min" if minutes < 60 else "h"
    assert words[-1].endswith(f" {unit}") and len(set(words)) == len(words) > 1
    for value, word in marks:
        said = float(word.removesuffix(f" {unit}").replace(",", ""))
        assert said == pytest.approx(value * (60 if unit == "min" else 1))


def test_a_sentence_begins_large_and_ends_with_one_stop() -> None:
    assert [sentence(t) for t in ("it runs", "Done.", "mean IoU?", None)] == [
        "It runs.",
        "Done.",
        "Mean IoU?",
        "",
    ]


def test_a_projects_parts_add_up_to_its_slices() -> None:
    counts = {
        "slices": 100,
        "labelled": 40,
        "partly": 5,
        "auto": 10,
        "pool": 30,
        "waiting": 45,
        "skipped": 12,
        "held_out": 20,
    }
    found = {kind: count for kind, _, count in parts(counts)}
    assert found == {
        "labelled": 25,
        "partly": 5,
        "auto": 10,
        "pool": 30,
        "held": 15,
        "skipped": 12,
        "other": 3,
    }
    assert sum(found.values()) == 100
    assert sum(count for _, _, count in parts(dict.fromkeys(counts))) == 0


@pytest.mark.parametrize(
    ("step", "states", "shares"),
    [
        ("gather", ["now", "ahead", "ahead"], [None, 0, 0]),
        ("train", ["now", "ahead", "ahead"], [0.25, 0, 0]),
        ("score", ["done", "now", "ahead"], [1, 0.25, 0]),
        ("order", ["done", "now", "ahead"], [1, None, 0]),
        ("push", ["done", "done", "now"], [1, 1, 0.25]),
        ("a step of a later release", ["now", "ahead", "ahead"], [None, 0, 0]),
    ],
)
def test_a_rounds_steps_show_as_three_phases(step: str, states: Any, shares: Any) -> None:
    found = phases({"job_status": "started", "step": step, "done": 25, "total": 100})
    assert [p["state"] for p in found] == states
    assert [p["share"] for p in found] == shares


@pytest.mark.parametrize("round_", [None, {}, {"job_status": "failed", "step": "push"}])
def test_no_phase_is_on_when_no_round_runs(round_: Any) -> None:
    assert [(p["state"], p["share"]) for p in phases(round_)] == [("ahead", 0.0)] * 3


def test_a_failed_round_is_graver_than_a_paused_project() -> None:
    now = {"round": {"error": "disk full", "remedy": "Free some."}, "paused": True, "workers": []}
    found = concerns(now, {}, {})
    assert [(c["grave"], c["to"]) for c in found] == [(True, "now"), (False, "actions")]
    assert found[0]["remedy"] == "Free some."


def test_a_project_read_without_a_worker_is_a_concern_and_an_idle_one_is_none() -> None:
    read = {"updated_at": "2026-03-01T12:00:00Z"}
    assert [c["text"] for c in concerns(read, {}, {})] == ["No worker is running"]
    idle = {**read, "workers": [{"name": "a", "silent_s": 2.0, "doing": None}]}
    assert concerns(idle, {"people": [{"suspected": None}]}, {"quarantined": None}) == []
    assert concerns({}, {}, {}) == []


def test_an_attendant_alone_trains_nothing_and_that_is_a_concern() -> None:
    attendant = {"name": "a", "silent_s": 2.0, "doing": None, "device": "attendant"}
    alone = {"updated_at": "2026-03-01T12:00:00Z", "workers": [attendant]}
    (found,) = concerns(alone, {}, {})
    assert found["grave"] and found["to"] == "workers" and found["remedy"]
    assert found["text"] == "No worker that trains is running"
    helped = {**alone, "workers": [attendant, {**attendant, "device": None}]}
    assert concerns(helped, {}, {}) == []


def test_of_a_crowd_the_first_fifty_and_all_suspects_have_a_row() -> None:
    crowd: list[dict[str, Any]]
    crowd = [{"annotator": number, "suspected": None} for number in range(60)]
    assert first_people(crowd[:50]) == (crowd[:50], [])
    crowd[55]["suspected"] = "draws larger"
    rows, others = first_people(crowd)
    assert [row["annotator"] for row in rows] == [55, *range(49)]
    assert [row["annotator"] for row in others] == [*range(49, 55), *range(56, 60)]


def test_a_ratio_scale_is_even_about_one_and_holds_every_bound() -> None:
    scale = ratio_scale([{"mean": 0.4, "low": 0.2, "high": 0.6}, None])
    assert scale.at(1.0) == pytest.approx(50)
    assert scale.low <= 0.2
    assert ratio_scale([]).high == pytest.approx(2.1)


def test_every_step_of_a_round_has_a_phase_and_words() -> None:
    assert sorted(step for _, _, steps in PHASES for step in steps) == sorted(STEPS)


def test_an_outline_is_a_part_of_its_panel() -> None:
    now = under_way()["now"]
    found = outline(now)
    assert found["counts"] == now["counts"]
    assert found["round"].items() <= now["round"].items()
    for name in ("next", "workers", "problems"):
        assert len(found[name]) == len(now[name])
        assert all(a.items() <= b.items() for a, b in zip(found[name], now[name], strict=True))
    assert outline(first_day()["now"])["round"] is None
