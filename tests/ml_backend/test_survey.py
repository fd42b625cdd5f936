"""How a project's tasks are divided, without any server."""

import pytest

from ml_backend.label_studio import Task
from ml_backend.settings import Settings
from ml_backend.survey import survey

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="mask" toName="image"><Label value="A"/></BrushLabels></View>'
)
SETTINGS = Settings(evaluation_slices=6, k=4, K=8)


class Listing:
    """A project's tasks as a listing gives them."""

    def __init__(self, tasks):
        self._tasks = tasks

    def project(self, project_id):
        return {"label_config": CONFIG}

    def tasks(self, project_id):
        return iter(self._tasks)


def task(number, annotations=0, skipped=0):
    data = {"slice": str(number), "patient": "p", "series": "s", "slice_position_mm": float(number)}
    return Task(number, data, annotations > 0, annotations, skipped)


def look(tasks):
    return survey(Listing(tasks), 1, SETTINGS)


@pytest.fixture
def fresh():
    return look([task(n) for n in range(100)])


def asked(found):
    return {t.id for t, wanted in zip(found.tasks, found.evaluation, strict=True) if wanted}


def out(found):
    return [t.id for t, held in zip(found.tasks, found.held_out, strict=True) if held]


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
    assert not without_evaluation.due([], SETTINGS)
    labelled = {*training[:4], out(fresh)[0]}
    enough = look([task(n, annotations=n in labelled) for n in range(100)])
    assert enough.due([], SETTINGS)
    assert not enough.due(training[:1], SETTINGS)


def test_the_last_labels_are_trained_on_though_they_are_few(fresh):
    done = look([task(n, annotations=1) for n in range(100)])
    trained = [t.id for t in done.labelled(held_out=False)]
    assert done.due(trained[:-1], SETTINGS)
    assert not done.due(trained, SETTINGS)
