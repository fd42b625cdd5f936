"""How a project's tasks are divided, without any server."""

from dataclasses import replace

import numpy as np
import pytest

from ml_backend.label_studio import Task
from ml_backend.learning.held_out import Side
from ml_backend.settings import Settings
from ml_backend.store import Store, StoreError
from ml_backend.survey import remembered, survey, unit_of

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="mask" toName="image"><Label value="A"/></BrushLabels></View>'
)
SETTINGS = Settings(evaluation_slices=6, k=4, K=8)


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SETTINGS", replace(SETTINGS, data_dir=tmp_path))


class Listing:
    """A project's tasks as a listing gives them."""

    def __init__(self, tasks, overlap=1):
        self._tasks = tasks
        self._overlap = overlap

    def project(self, project_id):
        return {"label_config": CONFIG, "maximum_annotations": self._overlap}

    def tasks(self, project_id):
        return iter(self._tasks)


def task(number, annotations=0, skipped=0, patient="p", changed="", overlap=1):
    data = {
        "slice": str(number),
        "patient": patient,
        "series": "s",
        "slice_position_mm": float(number),
    }
    return Task(number, data, annotations >= overlap, annotations, skipped, changed)


def look(tasks, overlap=1):
    return survey(Listing(tasks, overlap), 1, SETTINGS)


def seen(found, ids):
    return {task_id: value for task_id, value in found.seen().items() if task_id in ids}


@pytest.fixture
def fresh():
    return look([task(n) for n in range(100)])


def asked(found):
    return {t.id for t, wanted in zip(found.tasks, found.evaluation, strict=True) if wanted}


def out(found):
    return [t.id for t, held in zip(found.tasks, found.held_out, strict=True) if held]


def test_depths_stand_as_the_tasks_do_and_are_of_all_slices_of_a_series(fresh):
    assert fresh.depths() == pytest.approx(np.arange(100) / 99)


def test_the_evaluation_budget_is_asked_for_among_held_out_slices(fresh):
    assert len(asked(fresh)) == 6
    assert asked(fresh) <= set(out(fresh))
    assert fresh.held_out_unit == "slab"


def test_once_the_budget_is_spent_no_more_is_asked_for(fresh):
    paid = set(out(fresh)[:6])
    later = look([task(n, annotations=n in paid) for n in range(300)])
    assert asked(later) == paid


def test_a_skipped_slice_is_replaced_by_another(fresh):
    skipped = min(asked(fresh))
    later = look([task(n, skipped=n == skipped) for n in range(100)])
    assert len(asked(later)) == 6 and skipped not in asked(later)


def test_a_round_is_due_after_k_new_training_labels_and_an_evaluation_label(fresh):
    training = [n for n in range(100) if n not in out(fresh)]
    without_evaluation = look([task(n, annotations=n in training[:4]) for n in range(100)])
    assert not without_evaluation.due({}, SETTINGS)
    labelled = {*training[:4], out(fresh)[0]}
    enough = look([task(n, annotations=n in labelled) for n in range(100)])
    assert enough.due({}, SETTINGS)
    assert not enough.due(seen(enough, training[:1]), SETTINGS)
    assert enough.due(seen(enough, training[:1]), SETTINGS, after=3)


def test_a_project_of_one_spot_is_trained_though_nothing_can_be_held_out():
    spot = look([task(n, annotations=n < 4) for n in range(10)])
    assert not spot.held_out.any() and spot.due({}, SETTINGS)


def test_only_an_evaluation_slice_that_can_still_come_is_waited_for(fresh):
    held_out = set(out(fresh))
    training = [n for n in range(100) if n not in held_out][:4]

    def with_skipped(skipped):
        return look([task(n, n in training, skipped=n in skipped) for n in range(100)])

    assert not with_skipped(held_out - {min(held_out)}).due({}, SETTINGS)
    assert with_skipped(held_out).due({}, SETTINGS)


def test_a_changed_and_a_deleted_label_count_as_new_ones_do(fresh):
    training = [n for n in range(100) if n not in out(fresh)]

    def labelled(ids, changed=()):
        evaluation = out(fresh)[0]
        chosen = {*ids, evaluation}
        return look(
            [task(n, annotations=n in chosen, changed=f"{n in changed}") for n in range(100)]
        )

    before = labelled(training[:6])
    known = before.seen()
    assert before.fresh(known) == 0
    assert labelled(training[:6], changed=training[:4]).fresh(known) == 4
    assert labelled(training[:6], changed=training[:4]).due(known, SETTINGS)
    assert labelled(training[2:6]).fresh(known) == 2
    assert labelled(training[:6], changed=out(fresh)).fresh(known) == 0  # not trained with


def test_with_two_readers_a_slice_half_read_is_half_a_label(fresh):
    training = [n for n in range(100) if n not in out(fresh)]

    def read(times):
        made = {**dict.fromkeys(training[:4], times), out(fresh)[0]: 2}
        tasks = [task(n, made.get(n, 0), changed=f"{made.get(n)}", overlap=2) for n in range(100)]
        return look(tasks, overlap=2)

    assert read(1).fresh({}) == 2 and not read(1).due({}, SETTINGS)
    assert read(2).fresh({}) == 4 and read(2).due({}, SETTINGS)
    assert read(2).fresh(read(1).seen()) == 2


def test_the_last_labels_are_trained_on_though_they_are_few(fresh):
    done = look([task(n, annotations=1) for n in range(100)])
    trained = [t.id for t in done.labelled(held_out=False)]
    assert done.due(seen(done, trained[:-1]), SETTINGS)
    assert not done.due(seen(done, trained), SETTINGS)


def test_held_out_slices_that_nobody_is_asked_for_hold_the_last_labels_back_from_nobody(fresh):
    held_out = set(out(fresh))
    training = [n for n in range(100) if n not in held_out]

    def labelled(evaluation, training=training, skipped=()):
        made = {*training, *evaluation}
        return look([task(n, n in made, skipped=n in skipped) for n in range(100)])

    paid = sorted(held_out)[:6]
    last = labelled(paid)
    assert last.open_tasks() and last.due(seen(last, training[:-1]), SETTINGS)
    # As long as one may come that counts, few labels wait for more.
    asked_for = labelled(paid[:-1])
    assert not asked_for.due(seen(asked_for, training[:-1]), SETTINGS)
    to_learn = labelled(paid, training[:-1])
    assert not to_learn.due(seen(to_learn, training[:-2]), SETTINGS)


def test_a_second_patient_is_held_out_whole_and_evaluated_with_once_labelled(fresh):
    Store(SETTINGS.store_root, 1).keep_sides(fresh.division.sides)
    paid = asked(fresh)

    def with_second(labelled):
        first = [task(n, annotations=n in paid) for n in range(100)]
        second = [task(100 + n, annotations=n in labelled, patient="q") for n in range(9)]
        return look([*first, *second])

    before, after = with_second([]), with_second([2, 3])
    assert out(before)[: len(out(fresh))] == out(fresh)
    assert out(before)[-9:] == list(range(100, 109))
    assert before.held_out_unit == "slab"
    assert {t.id for t in before.labelled(held_out=True)} == paid
    assert asked(before) - paid <= set(range(100, 109)) and asked(before) - paid
    assert after.held_out_unit == "patient"
    assert [t.id for t in after.labelled(held_out=True)] == [102, 103]
    assert len(asked(after)) == 6


@pytest.mark.parametrize(
    "position", [10**400, float("inf"), float("nan")], ids=["huge", "inf", "nan"]
)
def test_a_position_that_is_none_is_not_known(position):
    odd = task(2, patient="q")
    odd = replace(odd, data={**odd.data, "slice_position_mm": position})
    assert unit_of(odd).position_mm is None
    assert look([odd]).tasks == [odd]  # alone, it would be divided by its position


def test_half_a_character_names_a_patient_as_well_as_another():
    tasks = [task(n, patient=name) for n, name in enumerate(["p", "q", "q\ud83d"])]
    found = look(tasks)
    Store(SETTINGS.store_root, 1).keep_sides(found.division.sides)
    assert out(look([*tasks, task(3, patient="r")]))[: len(out(found))] == out(found)


@pytest.mark.parametrize("first", [0, 10, 20, 30])
def test_who_was_met_by_another_survey_first_stays_on_the_side_it_put_him(first):
    """A look lists ten patients, a round all forty that are there a moment later."""
    store = Store(SETTINGS.store_root, 1)
    tasks = [task(n, patient=f"p{n}") for n in range(40)]
    by_look, by_round = look(tasks[first : first + 10]), look(tasks)
    assert remembered(by_look, Listing(tasks[first : first + 10]), SETTINGS) is by_look
    found = remembered(by_round, Listing(tasks), SETTINGS)
    kept = store.sides()
    assert len(kept) == 40 and kept == found.division.sides
    assert kept.items() >= by_look.division.sides.items()
    held = {t.data["patient"] for t, out in zip(tasks, found.held_out, strict=True) if out}
    assert held == {name for name, side in kept.items() if side is Side.HELD_OUT}


def test_a_damaged_division_is_never_guessed_anew(fresh):
    store = Store(SETTINGS.store_root, 1)
    store.keep_sides(fresh.division.sides)
    next(SETTINGS.store_root.rglob("division.json")).write_text("{")
    with pytest.raises(StoreError, match="restore it"):
        look([task(1)])
