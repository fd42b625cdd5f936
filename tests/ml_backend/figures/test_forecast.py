"""What is left to label: known answers, and refusals where nothing can be said."""

import numpy as np
import pytest

from ml_backend.figures.forecast import forecast

PACE = {
    "labels_per_hour": {"mean": 40.0, "low": 30.0, "high": 50.0},
    "work_s_per_label": {"mean": 90.0, "low": 72.0, "high": 108.0},
    "window_h": 24.0,
}
HALF = 0.03  # of each version's interval


def versions(labels, a=0.9, b=1.5, c=0.5, scatter=0.0, half=HALF):
    generator = np.random.default_rng(0)
    rows = []
    for count in labels:
        mean = a - b * count**-c + scatter * generator.normal()
        interval = {"mean": mean, "low": mean - half, "high": mean + half}
        rows.append({"labels": count, "mean_iou": interval})
    return rows


def standing(labelled, waiting=10_000, auto=0, **counts):
    return {"counts": {"labelled": labelled, "waiting": waiting, "auto": auto, **counts}}


LONG = list(range(20, 260, 10))


def to_target(rows, target, labelled=None, pace=PACE, waiting=10_000):
    labelled = rows[-1]["labels"] if labelled is None else labelled
    return forecast(standing(labelled, waiting), rows, pace, target=target)["target"]


def test_a_known_curve_is_recovered():
    # The lower bound is 0.79 where the mean is 0.82: 1.5 * n ** -0.5 = 0.08 at n = 351.6.
    found = to_target(versions(LONG), 0.79)
    assert found["labels"]["mean"] == pytest.approx(352 - 250, abs=10)
    assert found["labels"]["low"] <= 102 <= found["labels"]["high"]


def test_scatter_widens_the_range_which_still_holds_the_truth():
    sure, unsure = (to_target(versions(LONG, scatter=s), 0.79)["labels"] for s in (0.0, 0.02))
    assert unsure["low"] <= 102
    assert unsure["high"] is None or unsure["high"] > sure["high"]


def test_hours_are_labels_at_the_present_pace_with_its_range():
    found = to_target(versions(LONG), 0.79)
    labels, hours = found["labels"], found["hours"]
    assert hours["mean"] == pytest.approx(labels["mean"] / 40)
    assert hours["low"] == pytest.approx(labels["low"] / 50)
    assert hours["high"] == pytest.approx(labels["high"] / 30)


def test_more_pace_needs_fewer_hours():
    faster = {name: 2 * value for name, value in PACE["labels_per_hour"].items()}
    slow = forecast(standing(20, 500), [], PACE, budget=300)
    fast = forecast(standing(20, 500), [], {**PACE, "labels_per_hour": faster}, budget=300)
    for part in ("budget", "all"):
        for bound in ("mean", "low", "high"):
            assert fast[part]["hours"][bound] < slow[part]["hours"][bound]


def test_a_higher_target_needs_more_labels():
    needed = [to_target(versions(LONG), t)["labels"]["mean"] for t in (0.775, 0.78, 0.79, 0.80)]
    assert needed == sorted(needed) and needed[0] < needed[-1]


def test_labels_since_the_last_version_count():
    before = to_target(versions(LONG), 0.79)["labels"]["mean"]
    assert to_target(versions(LONG), 0.79, labelled=290)["labels"]["mean"] == before - 40


@pytest.mark.parametrize(
    ("rows", "target", "says"),
    [
        ([], 0.8, "no version has been measured"),
        (versions([20, 30, 40]), 0.8, "too early to say: 3 of the 4"),
        (versions([20, 20, 20, 30]), 0.8, "too early to say: 2 of the 4"),
        (versions(LONG, a=0.7), 0.8, "levels off at a mean IoU of 0.70"),
        (versions(LONG, b=0.0, a=0.6), 0.8, "levels off at a mean IoU of 0.60"),
        (versions(LONG), 0.98, "not within reach"),
        (versions(LONG, c=0.2, b=1.0, a=1.0), 0.90, "too far ahead to say"),
    ],
)
def test_what_cannot_be_said_is_said_so_and_gets_no_number(rows, target, says):
    found = forecast(standing(100), rows, PACE, target=target)
    assert says in found["target"]["says"]
    nothing = {"mean": None, "low": None, "high": None}
    assert found["target"]["labels"] == found["target"]["hours"] == nothing
    assert found["saved_h"] == nothing and says in found["says"]


def test_versions_of_other_classes_or_units_are_of_another_curve():
    rows = [{**row, "held_out_unit": "patient"} for row in versions(LONG)]
    for row in rows[:-3]:
        row["held_out_unit"] = "slab"
    assert "too early to say: 3 of the 4" in to_target(rows, 0.79)["says"]
    for row in rows:
        row["held_out_unit"] = "patient"
    for row in rows[:-2]:
        row["classes"] = [{"name": "A"}]
    assert "too early to say: 2 of the 4" in to_target(rows, 0.79)["says"]


def test_after_a_rollback_the_version_that_serves_decides():
    rows = versions(LONG)
    reached = rows[-1]["mean_iou"]["low"]
    rows[-2]["current"] = True
    assert to_target(rows, reached)["says"].startswith("by the curve enough is labelled already")
    rows[-1]["current"], rows[-2]["current"] = True, False
    assert to_target(rows, reached)["says"] == "the target is reached"


def test_without_bounds_no_target_can_be_forecast():
    rows = versions(LONG)
    for row in rows:
        row["mean_iou"].update(low=None, high=None)
    assert "no bound yet" in to_target(rows, 0.8)["says"]


def test_a_target_that_is_reached_needs_nothing_more():
    found = to_target(versions(LONG), 0.7)
    assert found["labels"] == {"mean": 0, "low": 0, "high": 0}
    assert found["hours"] == {"mean": 0, "low": 0, "high": 0}
    assert found["says"] == "the target is reached"


def test_a_target_beyond_the_slices_there_are_says_so():
    assert "more labels than the 20 slices" in to_target(versions(LONG), 0.79, waiting=20)["says"]


def test_the_budget_is_what_is_left_of_it_and_no_more_than_the_slices():
    assert forecast(standing(20, 500), [], PACE, budget=100)["budget"]["labels"]["mean"] == 80
    few = forecast(standing(20, 50), [], PACE, budget=100)["budget"]
    assert few["labels"]["mean"] == 50 and "more slices than are left" in few["says"]
    spent = forecast(standing(120), [], PACE, budget=100)["budget"]
    assert spent["labels"]["mean"] == 0 and spent["says"] == "the budget is spent"


@pytest.mark.parametrize(
    ("waiting", "said"),
    [(120, "about 30 minutes of"), (300, "about 5.0 hours of"), (10_100, "about 250 hours of")],
)
def test_what_is_spared_is_said_in_a_unit_that_tells_something(waiting, said):
    found = forecast(standing(100, waiting), [], PACE, budget=200)
    assert said in found["says"]


def test_hours_saved_are_the_labels_not_needed_times_the_time_of_one():
    found = forecast(standing(20, 480), [], PACE, budget=100)
    assert found["saved_h"] == {"mean": 10.0, "low": 8.0, "high": 12.0}
    assert "400 of the 480" in found["says"]


def test_what_quorum_labelled_by_itself_is_still_to_be_done():
    found = forecast(standing(300, 100, auto=200), [], PACE)
    assert found["labels"] == 100 and found["all"]["labels"]["mean"] == 300


def test_without_a_pace_there_are_labels_and_no_hours():
    found = forecast(standing(20, 480), [], {}, budget=100)
    assert found["budget"]["labels"]["mean"] == 80
    assert found["budget"]["hours"]["mean"] is None
    assert "no pace is known yet" in found["budget"]["says"]
    assert found["saved_h"]["mean"] is None


def test_a_pace_of_unknown_bounds_gives_hours_of_unknown_bounds():
    pace = {"labels_per_hour": {"mean": 40.0, "low": None, "high": None}}
    hours = forecast(standing(20, 480), [], pace)["all"]["hours"]
    assert hours == {"mean": 12.0, "low": None, "high": None}


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({}, "the project has not been read yet"),
        ({"counts": {"slices": 0, "labelled": 0, "waiting": 0, "auto": 0}}, "there are no slices"),
    ],
)
def test_nothing_is_known_of_a_project_without_slices(known, says):
    found = forecast(known, [], {}, target=0.8, budget=100)
    nothing = {"mean": None, "low": None, "high": None}
    assert found["labels"] is None and says in found["says"]
    for part in ("target", "budget", "all"):
        assert found[part]["labels"] == found[part]["hours"] == nothing
        assert says in found[part]["says"]


def test_when_all_is_labelled_nothing_is_left():
    found = forecast({"counts": {"slices": 9, "labelled": 9, "waiting": 0, "auto": 0}}, [], {})
    assert found["all"]["says"] == "every slice is labelled"
    assert found["all"]["labels"]["mean"] == 0


def test_what_further_readers_have_left_is_left():
    found = forecast(standing(600, 0, partly=600, lacking=400.0), [], PACE)["all"]
    assert found["labels"]["mean"] == 400 and found["says"] is None
    assert found["hours"]["mean"] == pytest.approx(10)
    almost = forecast(standing(600, 0, partly=1, lacking=0.33), [], PACE)["all"]
    assert almost["labels"]["mean"] == 1


def test_begun_slices_are_none_that_a_budget_could_be_spent_on():
    found = forecast(standing(600, 50, lacking=400.0), [], PACE, budget=700)["budget"]
    assert found["labels"]["mean"] == 50 and "more slices than are left" in found["says"]


@pytest.mark.parametrize(("skipped", "says"), [(1, "but 1 that was"), (40, "but 40 that were")])
def test_what_was_skipped_is_not_called_labelled(skipped, says):
    found = forecast(standing(60, 0, skipped=skipped), [], PACE)["all"]
    assert found["says"] == f"every slice is labelled {says} skipped"


def test_large_numbers_are_written_as_the_page_writes_them():
    found = forecast(standing(10, 8735), [], PACE, budget=2395)
    assert "6,350 of the 8,735 slices" in found["says"]
