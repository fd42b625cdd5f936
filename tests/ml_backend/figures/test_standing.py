"""What is kept of a survey for the page."""

import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from ml_backend.figures.standing import OTHERS, standing
from ml_backend.label_studio import Task
from ml_backend.learning.held_out import Side
from ml_backend.settings import Settings
from ml_backend.store import Store
from ml_backend.survey import survey

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="mask" toName="image"><Label value="A"/></BrushLabels></View>'
)


class Listing:
    """A project's tasks as a listing gives them."""

    def __init__(self, tasks, overlap):
        self._tasks, self._overlap = tasks, overlap

    def project(self, project_id):
        return {"label_config": CONFIG, "maximum_annotations": self._overlap}

    def tasks(self, project_id):
        return iter(self._tasks)


def task(number, annotations=0, skipped=0, overlap=1, **data):
    data = {"slice": str(number), "patient": "p", "series": "s", **data}
    return Task(number, data, annotations >= overlap, annotations, skipped)


@pytest.fixture
def look(tmp_path):
    def look(tasks, overlap=1, out=("q",)):
        settings = Settings(data_dir=tmp_path, evaluation_slices=1)
        patients = {task.data.get("patient") or task.data["slice"] for task in tasks}
        sides = {name: Side.HELD_OUT if name in out else Side.TRAINING for name in patients}
        Store(settings.store_root, 1).keep_sides(sides)
        return survey(Listing(tasks, overlap), 1, settings)

    return look


def counts(found, **arguments):
    return standing(found, "T", **arguments)["counts"]


def test_every_slice_is_counted_where_it_stands(look):
    tasks = [
        task(1, annotations=1),
        task(2),
        task(3),
        task(4, skipped=1),
        task(5, patient="q", annotations=1),
        task(6, patient="q"),
        task(7, annotations=1, skipped=2),
    ]
    assert counts(look(tasks), auto=[2, 7, 99]) == {
        "slices": 7,
        "labelled": 3,
        "partly": 0,
        "lacking": 0,
        "pool": 2,
        "held_out": 2,
        "evaluation": 1,
        "skipped": 1,
        "auto": 1,
        "waiting": 3,
    }


def test_labelled_skipped_and_waiting_make_up_the_whole(look):
    tasks = [task(n, annotations=n % 3 == 0, skipped=n % 4 == 0) for n in range(40)]
    tasks += [task(n, patient="q", annotations=n % 2) for n in range(40, 50)]
    found = counts(look(tasks))
    assert found["labelled"] + found["skipped"] + found["waiting"] == found["slices"] == 50


def test_with_two_annotators_a_slice_that_one_has_drawn_is_partly_labelled(look):
    tasks = [task(n, annotations=n, overlap=2) for n in range(3)]
    found = counts(look(tasks, overlap=2))
    assert (found["labelled"], found["partly"], found["pool"]) == (2, 1, 1)
    assert counts(look(tasks, overlap=2), auto=[1])["partly"] == 0


def test_what_further_readers_have_left_is_counted_in_slices(look):
    tasks = [task(n, annotations=n % 4, overlap=3) for n in range(8)]
    assert counts(look(tasks, overlap=3))["lacking"] == pytest.approx(2, abs=0.01)
    closed = [replace(each, is_labeled=True) for each in tasks]
    assert counts(look(closed, overlap=3))["lacking"] == 0
    assert counts(look(tasks, overlap=1))["lacking"] == 0


def test_title_and_what_quorum_annotated_are_the_surveys_own(look):
    found = replace(look([task(1, annotations=1)]), title="Livers", automatic=frozenset({1}))
    kept = standing(found)
    assert kept["title"] == "Livers" and kept["counts"]["auto"] == 1


def test_statistics_name_the_largest_first_and_sum_the_rest(look):
    tasks = [task(n, patient=f"p{n % 60}", annotations=n % 60 == 0) for n in range(120)]
    tasks += [task(n, patient="large", annotations=1) for n in range(120, 130)]
    by = standing(look(tasks), "T")["by"]["patient"]
    assert by[0] == {"value": "large", "slices": 10, "labelled": 10}
    assert by[1] == {"value": "p0", "slices": 2, "labelled": 2}
    assert by[-1] == {"value": OTHERS, "slices": 22, "labelled": 0, "values": 11}
    assert len(by) == 51 and sum(entry["slices"] for entry in by) == 130


def test_what_the_committee_labelled_by_itself_is_labelled_in_no_statistic(look):
    tasks = [task(n, annotations=1, modality="CT") for n in range(5)]
    found = standing(look(tasks), "T", auto=[1, 2, 3])
    assert found["by"]["modality"] == [{"value": "CT", "slices": 5, "labelled": 2}]


def test_what_a_task_does_not_say_is_null(look):
    tasks = [task(1, modality="MR"), task(2, modality=""), task(3)]
    by = standing(look(tasks), "T")["by"]
    assert by["modality"] == [
        {"value": None, "slices": 2, "labelled": 0},
        {"value": "MR", "slices": 1, "labelled": 0},
    ]


def test_it_is_small_and_json_whatever_the_project_holds(look):
    tasks = [
        task(n, patient="p" * 500 + f"{n}", series=f"{n:0100}", modality={"odd": n})
        for n in range(500)
    ]
    problems = [{"task_id": n, "reason": "the image is gone: import it again"} for n in range(400)]
    kept = standing(look(tasks), "T", problems=problems)
    assert len(json.dumps(kept, allow_nan=False)) < 100_000
    assert all(
        len(e["value"]) <= 64 for entries in kept["by"].values() for e in entries if e["value"]
    )
    assert len(kept["problems"]) == 100 and kept["problems_left_out"] == 300


def test_it_says_when_it_was_made_in_utc(look):
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert standing(look([]), "T", at=at)["updated_at"] == "2026-01-02T03:04:05+00:00"


def test_an_empty_project_is_all_zeros(look):
    assert set(counts(look([])).values()) == {0}
