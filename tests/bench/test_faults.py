"""What the fault benchmark notices: differences between two end states, and broken promises."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from bench.faults import slices
from bench.faults.plan import KINDS, plan
from bench.faults.state import EndState, broken, differences, labels_lost

# Slices 0 and 1 trained on, 2 evaluated on, 3 to 5 open; 4 is to be labelled first.
GOOD = EndState(
    labels={0: ("a0",), 1: ("a1",), 2: ("a2",)},
    open_slices=(3, 4, 5),
    served="r0001-abcdef",
    current="r0001-abcdef",
    number=1,
    trained_on=(0, 1),
    evaluated_on=(2,),
    weights="cafe",
    predictions={3: ((0.5, "m3"),), 4: ((0.0, "m4"),), 5: ((0.75, "m5"),), 0: ((0.25, "m0"),)},
    noted=(4, 0, 3, 5),
    unreadable=(),
)


def test_a_whole_state_is_neither_broken_nor_different_from_itself():
    assert broken(GOOD) == []
    assert differences(GOOD, GOOD) == []


@pytest.mark.parametrize(
    ("doctored", "words"),
    [
        ({"served": "r0000-abcdef"}, "the store r0001-abcdef"),
        ({"served": ""}, "serves nothing"),
        ({"labels": {**GOOD.labels, 3: ("a3",)}}, r"no round has used: slices \[3\]"),
        ({"trained_on": (0,)}, r"no round has used: slices \[1\]"),
        ({"evaluated_on": ()}, r"no round has used: slices \[2\]"),
        ({"predictions": {**GOOD.predictions, 5: ()}}, r"without a prediction: \[5\]"),
        (
            {"predictions": {**GOOD.predictions, 5: ((0.75, "m5"), (0.75, "m5"))}},
            r"more than one prediction: \[5\]",
        ),
        ({"noted": (3, 4, 5)}, "is not the noted"),
        ({"noted": (4, 3)}, "is not the noted"),
        ({"predictions": {**GOOD.predictions, 3: ((0.9, "m3"),)}}, "is not the noted"),
        ({"unreadable": ("r0000-abcdef",)}, "cannot be loaded: r0000-abcdef"),
    ],
)
def test_a_broken_promise_is_told(doctored, words):
    assert re.search(words, "; ".join(broken(replace(GOOD, **doctored))))


@pytest.mark.parametrize(
    ("doctored", "words"),
    [
        ({"labels": {0: ("a0",), 1: ("a1",)}}, "1 labels lost"),
        ({"labels": {**GOOD.labels, 2: ("other",)}}, "1 labels lost"),
        ({"labels": {**GOOD.labels, 2: ("a2", "a2")}}, "1 labels that nobody made"),
        ({"open_slices": (3, 4)}, "open slices"),
        ({"number": 2}, "the version's number: 1 undisturbed, 2 here"),
        ({"trained_on": (0,)}, "the slices trained on"),
        ({"evaluated_on": ()}, "the slices evaluated on"),
        ({"noted": (3, 4, 5)}, "the order noted"),
        ({"weights": "f00d"}, "the weights differ"),
        ({"predictions": {**GOOD.predictions, 4: ((0.1, "m4"),)}}, r"slices \[4\] differ"),
        ({"predictions": {**GOOD.predictions, 4: ((0.0, "?"),)}}, r"slices \[4\] differ"),
        ({"predictions": {**GOOD.predictions, 4: ()}}, r"slices \[4\] differ"),
    ],
)
def test_a_difference_from_the_undisturbed_run_is_told(doctored, words):
    assert re.search(words, "; ".join(differences(GOOD, replace(GOOD, **doctored))))


def test_a_label_drawn_twice_and_kept_once_is_one_lost():
    twice = replace(GOOD, labels={**GOOD.labels, 0: ("a0", "a0")})
    assert labels_lost(twice, GOOD) == 1
    assert labels_lost(GOOD, twice) == 0


def test_names_and_labelled_slices_predictions_are_no_difference():
    renamed = replace(GOOD, served="r0001-123456", current="r0001-123456")
    assert differences(GOOD, renamed) == []
    assert differences(GOOD, replace(GOOD, predictions={**GOOD.predictions, 0: ()})) == []


def test_every_kind_comes_as_often_and_all_over_the_round():
    faults = plan(seed=3, count=12 * len(KINDS))
    assert set(Counter(fault.kind for fault in faults).values()) == {12}
    for kind in KINDS:
        moments = sorted(fault.moment for fault in faults if fault.kind == kind)
        gaps = [b - a for a, b in zip([0.0, *moments], [*moments, 1.0], strict=True)]
        assert max(gaps) < 0.2, kind


def test_a_fault_is_the_same_however_many_are_run():
    assert plan(seed=8, count=50)[:7] == plan(seed=8, count=7)
    assert plan(seed=8, count=7) != plan(seed=9, count=7)


def test_slices_differ_and_hold_both_labels():
    maps = [slices.label_map(number) for number in range(slices.COUNT)]
    assert len({found.tobytes() for found in maps}) == slices.COUNT
    assert all(set(found.flat) == {0, 1, 2} for found in maps)
