"""What is next in the queue, and why."""

from dataclasses import replace

import numpy as np
import pytest

from ml_backend.figures.next_batch import (
    COLD_START,
    about_order,
    entries,
    novelty,
    share_below,
)
from ml_backend.label_studio import Task
from ml_backend.learning.held_out import Division
from ml_backend.masks import BrushConfig
from ml_backend.order import quantiles
from ml_backend.survey import Survey

VERSION = "r0001-aaaaaa"
CONFIG = BrushConfig("mask", "image", "image", ("A", "B"))


def survey_of(tasks, wanted=(), overlap=1):
    out = np.array([task.id in wanted for task in tasks], dtype=bool)
    division = Division(out, out, {})
    return Survey(7, CONFIG, tasks, division, out, "patient", overlap)


def task(number, annotations=0, skipped=0, overlap=1):
    return Task(number, {}, annotations >= overlap, int(annotations), int(skipped))


POOL = np.arange(1, 101)
UNCERTAINTY = POOL / 1000  # a task's number says how uncertain it is
SELECTED = [90, 80, 70]
DESCRIPTORS = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.9]])


def order(strategy="two-stage", tasks=(99, 90, 80, 70, *range(1, 60)), selected=SELECTED):
    return {
        "tasks": list(tasks),
        "selected": list(selected),
        "quantiles": quantiles(UNCERTAINTY),
        "next": about_order(tasks, selected, strategy, (POOL, UNCERTAINTY), DESCRIPTORS),
    }


def listed(tasks, noted=None, k=4, wanted=(), overlap=1, **arguments):
    found = survey_of(tasks, wanted, overlap)
    return entries(found, noted or order(), VERSION, k, url="http://here", **arguments)


EVERY = [task(n) for n in range(1, 101)]


def test_novelty_is_how_far_the_nearest_chosen_before_is():
    values = novelty(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 3.0], [1.0, 0.0]]))
    assert values[0] is None
    assert values[1:] == pytest.approx([1.0, 1 - 2**-0.5, 0.0])
    assert novelty(np.zeros((2, 3))) == [None, 1.0]


def test_the_share_below_is_found_between_quantiles():
    marks = quantiles(np.linspace(0, 1, 1001))
    assert share_below(0.377, marks) == pytest.approx(0.377)
    assert (share_below(-1, marks), share_below(2, marks)) == (0.0, 1.0)
    assert share_below(0.5, []) is None
    assert share_below(0.5, quantiles([0.5] * 10)) == 0.0  # none is less uncertain


def test_the_next_are_open_slices_in_the_order_of_the_round():
    assert [e["task"] for e in listed(EVERY)] == [99, 90, 80, 70]
    done = [task(n, annotations=n in (99, 80)) for n in range(1, 101)]
    later = listed(done)
    assert [e["task"] for e in later] == [90, 70, 1, 2]
    assert [e["rank"] for e in later] == [1, 2, 3, 4]


def test_a_skipped_slice_is_passed_over():
    tasks = [task(n, skipped=n == 90) for n in range(1, 101)]
    assert [e["task"] for e in listed(tasks)] == [99, 80, 70, 1]


def test_a_late_slice_follows_unless_it_is_wanted_to_evaluate_with():
    noted = order()
    noted["tasks"] += [95, 96]
    first = [e["task"] for e in listed(EVERY, noted, wanted=(96, 99))]
    assert first == [96, 99, 90, 80]


def test_each_entry_says_how_uncertain_and_how_new_it_is():
    first, second, third, fourth = listed(EVERY, wanted=(99,))
    assert second["uncertainty"] == pytest.approx(0.09)
    assert second["uncertainty_share"] == pytest.approx(0.9, abs=0.01)
    assert first["novelty"] is None and second["novelty"] is None  # not selected; nothing before
    assert third["novelty"] == pytest.approx(1 - 2**-0.5, abs=1e-6)
    assert 0 < fourth["novelty"] < 0.01
    assert second["address"] == "http://here/projects/7/data?task=90"
    assert {e["version"] for e in (first, second, third, fourth)} == {VERSION}


def reasons(*arguments, **named):
    return [entry["reason"] for entry in listed(*arguments, **named)]


def test_reasons_differ_with_what_a_slice_is_there_for():
    evaluation, first, second, _, rest = reasons(EVERY, wanted=(99,), k=5)
    assert evaluation == "Measures quality: its patient is never trained on."
    assert first == "Among the 10 % the networks disagree about most."
    assert second == "Unlike those before it."
    assert rest == "Next in line: the networks rather agree about it."


def test_the_pictures_of_a_batch_do_not_all_say_the_same():
    said = reasons(EVERY, k=4)
    assert said[1] != said[2] == "Unlike those before it." != said[3]
    assert said[3] == "Among the 30 % the networks disagree about most."  # 70 is much like 80
    assert all(len(text) < 70 and text.count(".") == 1 for text in said)


def test_a_held_out_slice_that_nobody_needs_says_so():
    tasks = [task(n, annotations=n != 5) for n in range(1, 101)]
    found = survey_of(tasks, wanted=(5,))
    found = replace(found, evaluation=np.zeros(100, dtype=bool))
    (entry,) = entries(found, order(), VERSION, 4, url="http://here")
    assert entry["reason"] == "Held out and not needed: it comes last."


def test_before_the_first_label_what_counts_is_what_slices_look_like():
    noted = {
        "tasks": [90, 80, 1],
        "selected": [90, 80],
        "quantiles": [],
        "next": about_order([90, 80, 1], [90, 80], COLD_START),
    }
    first, second, rest = reasons(EVERY, noted)
    assert first == second == "No label yet: chosen by where slices lie and what they look like."
    assert rest == "Next in line."


def test_a_disputed_slice_and_one_half_annotated_say_so():
    tasks = [task(n, annotations=n in (90, 80), overlap=2) for n in range(1, 101)]
    _, disputed, half, _ = reasons(tasks, overlap=2, adjudicate=[90])
    assert disputed == "Its annotators disagree."
    assert half == "Has 1 of 2 annotations."


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("random", "Drawn at random."),
        ("bald", "Among the 20 % the networks disagree about most."),
        ("two-stage-depth", "Among the 20 % the networks disagree about most."),
        ("two-stage-narrowing", "Among the 20 % the networks disagree about most."),
        ("two-stage-coverage", "It stands for many slices that the networks disagree about."),
        ("typical", "Chosen by the strategy 'typical'."),
    ],
)
def test_other_strategies_have_reasons_of_their_own(strategy, says):
    assert reasons(EVERY, order(strategy))[2] == says


def test_an_order_of_an_earlier_release_still_lists_its_slices():
    noted = {k: v for k, v in order().items() if k != "next"}
    first = listed(EVERY, noted)[1]
    assert (first["task"], first["uncertainty"], first["novelty"]) == (90, None, None)
    assert first["reason"]


def test_what_a_round_keeps_of_a_large_pool_is_small():
    ids = np.arange(100_000)
    about = about_order(ids.tolist(), [5, 4], "two-stage", (ids, ids / 7), DESCRIPTORS[:2])
    assert len(str(about)) < 20_000 and about["tasks"] == 100_000


def test_an_uncertainty_that_is_no_number_is_unknown():
    values = UNCERTAINTY.copy()
    values[89] = np.nan
    noted = {**order(), "next": about_order([90, 80], [90, 80], "bald", (POOL, values))}
    assert [e["uncertainty"] for e in listed(EVERY, noted)][1:3] == [None, 0.08]
