"""The panel of people."""

import json

import pytest

from ml_backend.figures.people import people
from ml_backend.figures.records import Record
from tests.figures_sample import sample_records


def row(number, task, who, **fields):
    moment = f"2026-03-02T08:{number:02d}:00Z"
    return Record(number, task, who, moment, moment, **fields)


def address(task_id):
    return f"http://studio/projects/1/data?task={task_id}"


READERS = {
    "readers": [
        {
            "annotator": 4,
            "slices": 2,
            "dice": {"mean": 0.8, "low": 0.7, "high": 0.9},
            "kappa": 0.75,
            "area_ratio": {"mean": 1.0, "low": 0.9, "high": 1.1},
        }
    ],
    "suspects": [{"annotator": 4, "reason": "draws 1.40 times as large as the others (12 slices)"}],
    "disagreement": {"9": 0.4, "8": 0.2},
    "adjudicate": [9],
}


def test_each_has_slices_times_and_change():
    rows = [
        row(1, 7, 4, lead_time_s=10.0, changed=0.1),
        row(2, 8, 4, lead_time_s=20.0, changed=0.3),
        row(3, 9, 4, lead_time_s=90_000.0),
        row(4, 9, 6),
    ]
    found = people(rows, READERS, address=address, names={4: "a@clinic.example"})
    first, second = found["people"]
    assert (first["annotator"], first["name"], first["slices"]) == (4, "a@clinic.example", 3)
    assert first["median_s"] == 20.0
    assert first["changed"]["mean"] == pytest.approx(0.2) and first["drafts"] == 2
    assert first["dice"]["mean"] == 0.8 and first["kappa"] == 0.75
    assert "1.40 times" in first["suspected"]
    assert first["last_at"] == "2026-03-02T08:03:00Z"
    assert second["median_s"] is None and second["suspected"] is None
    assert found["adjudicate"] == [{"task": 9, "address": address(9), "disagreement": 0.4}]


def test_what_was_decided_or_deleted_since_the_round_waits_for_nobody():
    rows = [row(1, 7, 4), row(2, 7, 6), row(3, 8, 4), row(4, 8, 9, ground_truth=True)]
    found = people(rows, {"adjudicate": [8, 7, 77]}, address=address)
    assert [each["task"] for each in found["adjudicate"]] == [7]


def test_a_mask_that_nobody_drew_changes_no_draft():
    rows = [row(1, 7, 4, lead_time_s=100.0, changed=0.1), row(2, 8, 4, changed=0.9)]
    (found,) = people(rows, {}, address=address)["people"]
    assert found["changed"]["mean"] == pytest.approx(0.1)
    assert (found["slices"], found["drafts"]) == (2, 1)


def test_an_agreement_on_one_slice_has_no_bounds():
    nan = float("nan")
    alone = {"annotator": 4, "dice": {"mean": 0.87, "low": nan, "high": nan}, "kappa": nan}
    (found,) = people([row(1, 7, 4)], {"readers": [alone]}, address=address)["people"]
    assert found["dice"] == {"mean": 0.87, "low": None, "high": None} and found["kappa"] is None


def test_reviews_are_counted_by_themselves():
    rows = [
        row(1, 7, 4, lead_time_s=100.0, changed=0.1),
        row(2, 8, 4, lead_time_s=3.0, reviewed=True),
        row(3, 9, 6, lead_time_s=3.0, reviewed=True),
    ]
    first, second = people(rows, {}, address=address)["people"]
    assert (first["slices"], first["reviewed"], first["median_s"]) == (1, 1, 100.0)
    assert (second["slices"], second["reviewed"], second["median_s"]) == (0, 1, None)
    assert first["last_at"] == "2026-03-02T08:02:00Z"


def test_a_pseudonymous_panel_holds_neither_name_nor_account():
    rows = [row(1, 7, 4711), row(2, 8, 4712)]
    numbers = {"4712": 1, "4711": 2}
    found = people(
        rows,
        {},
        address=address,
        names={4711: "a@clinic.example"},
        numbers=numbers,
        pseudonymous=True,
    )
    text = json.dumps(found)
    assert "clinic" not in text and "471" not in text
    assert {p["name"] for p in found["people"]} == {"Annotator 1", "Annotator 2"}


def test_numbers_stay_when_an_older_account_joins():
    first = people([row(1, 7, 20)], {}, address=address, numbers={"20": 1})
    second = people([row(1, 7, 20), row(2, 8, 3)], {}, address=address, numbers={"20": 1})
    assert first["people"][0]["name"] == "Annotator 1"
    assert {p["annotator"]: p["name"] for p in second["people"]} == {
        20: "Annotator 1",
        3: "Annotator 2",
    }


def test_nothing_known_is_an_empty_panel():
    assert people([], {}, address=address)["people"] == []


def test_a_large_team_is_json_without_nan():
    found = people(sample_records(1, 300, 20), {}, address=address)
    assert len(found["people"]) == 20
    json.dumps(found, allow_nan=False)
