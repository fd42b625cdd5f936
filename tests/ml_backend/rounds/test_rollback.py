"""Back to an older version, with a project in memory in Label Studio's place."""

import pytest

from ml_backend.masks import BrushConfig
from ml_backend.rounds import Context, begin, next_steps, run_round, run_step
from ml_backend.rounds.rollback import roll_back
from ml_backend.store import Store, StoreError
from tests.ml_backend.projects import Project, quick_settings, sides


@pytest.fixture
def settings(tmp_path):
    return quick_settings(tmp_path, shard_slices=5)


@pytest.fixture
def store(settings):
    return Store(settings.store_root, 1)


@pytest.fixture
def project(store):
    project = Project()
    store.keep_sides(sides(project))
    return project


@pytest.fixture
def older(settings, project):
    """A version of three labels."""
    project.annotate([*project.data.test[:2], 0, 1, 2])
    return run_round(settings, project, 1)["version"]


def context(settings, project):
    return Context.of(settings, project, 1)


def test_a_rollback_holds_until_labels_come(settings, project, store, older):
    project.annotate([3, 4, 5])
    newer = run_round(settings, project, 1)["version"]
    assert newer != older
    roll_back(context(settings, project), older)
    assert project.served == store.current() == older
    assert run_round(settings, project, 1)["did"] == "nothing"
    assert store.current() == older
    project.annotate([6, 7, 8])
    newest = run_round(settings, project, 1)["version"]
    assert store.current() == newest not in (older, newer)


def test_a_version_that_there_is_not_is_refused(settings, project, older):
    with pytest.raises(StoreError, match="no version"):
        roll_back(context(settings, project), "r0099-abcdef")


def test_after_a_rollback_the_same_labels_make_a_version_with_an_order_of_its_own(
    settings, project, store, older
):
    """Under the newer version's name Label Studio would serve the order that it was pushed then."""
    project.annotate([3, 4, 5])
    newer = run_round(settings, project, 1)["version"]
    roll_back(context(settings, project), older)
    store.keep_overrides({"strategy": "k-centre"})
    version = begin(context(settings, project), force=True)
    assert version not in (older, newer)
    while (steps := next_steps(store, version))[0].kind != "order":
        for step in steps:
            run_step(context(settings, project), version, step)
    assert "labelled" in store.work(version).names()  # what is chosen differs from these
    run_step(context(settings, project), version, steps[0])
    assert project.served == store.current() == version
    assert [i + 1 for i in project.next_slices(99)] == store.noted(version, "order")["tasks"]
    assert store.noted(version, "round")["train_s"] > 0
    assert begin(context(settings, project), force=True) is None  # nothing has changed since


def test_a_version_gone_back_to_orders_every_open_slice(settings, project, store, older):
    project.annotate([3, 4, 5, 6, 7, 8])
    run_round(settings, project, 1)
    for task in project.tasks(1):
        if not task.is_labeled:
            del project.scores(older)[task.id]
    roll_back(context(settings, project), older)
    waiting = {task.id for task in project.tasks(1) if not task.is_labeled}
    assert waiting and waiting <= set(project.scores(older))
    assert {i + 1 for i in project.next_slices(99)} == waiting


def test_a_round_that_was_stopped_before_its_order_is_no_version_to_go_back_to(
    settings, project, store, older
):
    project.annotate([3, 4, 5])
    version = begin(context(settings, project))
    while (steps := next_steps(store, version))[0].kind != "score":
        for step in steps:
            run_step(context(settings, project), version, step)
    assert store.versions()[-1] == version
    with pytest.raises(StoreError, match="stopped before it made an order: start training"):
        roll_back(context(settings, project), version)
    assert store.current() == project.served == older and not project.scores(version)
    assert run_round(settings, project, 1, force=True)["version"] == version  # as it was told


def test_a_version_of_other_labels_is_not_gone_back_to(settings, project, store, older):
    more = '<Label value="edge"/></BrushLabels>'
    project.label_config = project.label_config.replace("</BrushLabels>", more)
    project.config = BrushConfig.parse(project.label_config)
    newer = run_round(settings, project, 1)["version"]
    with pytest.raises(StoreError, match="other labels than the project has now: choose another"):
        roll_back(context(settings, project), older)
    assert store.current() == project.served == newer != older
