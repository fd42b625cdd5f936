"""Rounds step by step, with a project in memory in Label Studio's place."""

import sys
from dataclasses import replace

import pytest

from ml_backend.pool import held_back
from ml_backend.rounds import (
    Context,
    RoundError,
    begin,
    gathered_of,
    look,
    next_steps,
    run_round,
    run_step,
)
from ml_backend.rounds.rollback import roll_back
from ml_backend.settings import Settings
from ml_backend.store import Store, StoreError, number_of
from tests.ml_backend.projects import Project, sides, slices


@pytest.fixture
def settings(tmp_path):
    return Settings(
        data_dir=tmp_path,
        device="cpu",
        k=3,
        K=6,
        members=2,
        width=4,
        scales=2,
        side_px=16,
        steps=3,
        batch_size=2,
        evaluation_slices=2,
        shard_slices=5,
        push_pause_s=0,
    )


@pytest.fixture
def project(settings):
    project = Project()
    Store(settings.store_root, 1).keep_sides(sides(project))
    return project


@pytest.fixture
def store(settings):
    return Store(settings.store_root, 1)


def context(settings, project, **more):
    return Context.of(settings, project, 1, **more)


def evaluated(project):
    """Annotate two held-out slices."""
    project.annotate(project.data.test[:2])


def steps_to_the_end(settings, project, version, **more):
    """Every step in a context of its own, as workers do it; their names."""
    done = []
    while steps := next_steps(Store(settings.store_root, 1), version):
        for step in steps:
            run_step(context(settings, project, **more), version, step)
            done.append(step.name)
    return done


def test_before_any_label_there_is_an_order_alone(settings, project, store):
    outcome = run_round(settings, project, 1)
    assert outcome["did"] == "ordered"
    version = store.current()
    assert project.served == version
    assert len(project.scores(version)) == 16
    first = sorted(project.scores(version), key=project.scores(version).get)
    assert {i - 1 for i in first[:2]} <= set(project.data.test)  # evaluation slices come first
    assert run_round(settings, project, 1)["did"] == "nothing"


def test_labels_make_a_version_whose_selected_batch_is_served_first(settings, project, store):
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    outcome = run_round(settings, project, 1)
    assert outcome["did"] == "trained"
    assert outcome["labelled"] == 3 and outcome["evaluated_on"] == 2
    note = store.noted(outcome["version"], "order")
    assert outcome["wanted"] == note["tasks"][:3] == note["selected"]
    assert [i + 1 for i in project.next_slices(3)] == outcome["wanted"]
    assert store.works() == []
    assert run_round(settings, project, 1)["did"] == "nothing"


def test_a_project_of_which_nothing_can_be_held_out_learns_without_figures(settings, store):
    project = Project(slices(held_out=0))
    store.keep_sides(sides(project))
    run_round(settings, project, 1)
    project.annotate([0, 1, 2])
    assert look(context(settings, project)).due
    outcome = run_round(settings, project, 1)
    assert (outcome["did"], outcome["labelled"], outcome["evaluated_on"]) == ("trained", 3, 0)


def test_held_out_slices_that_are_all_skipped_keep_no_round_waiting(settings, project, store):
    class Skipped(Project):
        def tasks(self, project_id):
            for task in super().tasks(project_id):
                skipped = int(task.id - 1 in self.data.test)
                yield replace(task, skipped=skipped, is_labeled=task.is_labeled or bool(skipped))

    project = Skipped()
    assert run_round(settings, project, 1)["did"] == "ordered"
    project.annotate([0, 1, 2])
    assert look(context(settings, project)).due
    outcome = run_round(settings, project, 1)
    assert (outcome["did"], outcome["labelled"], outcome["evaluated_on"]) == ("trained", 3, 0)


def test_a_round_in_pieces_by_several_workers_makes_the_same_version(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    together = Project()
    together.annotate([*together.data.test[:2], 0, 1, 2])
    other = replace(settings, data_dir=settings.data_dir / "other")
    Store(other.store_root, 1).keep_sides(sides(together))
    run_round(other, together, 1, force=True)

    version = begin(context(settings, project, workers=2))
    names = steps_to_the_end(settings, project, version)
    assert names == ["train-0", "train-1", "publish", "score-0", "score-1", "score-2", "order"]
    assert Store(other.store_root, 1).current() == version
    assert project.scores(version) == together.scores(version)
    import torch

    for one, two in zip(
        store.states(version), Store(other.store_root, 1).states(version), strict=True
    ):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_every_step_can_be_done_twice(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(settings, project))
    assert begin(context(settings, project)) == version
    while steps := next_steps(store, version):
        for step in steps:
            run_step(context(settings, project), version, step)
            if step.kind != "order":
                run_step(context(settings, project), version, step)
    assert project.served == store.current() == version
    assert begin(context(settings, project)) is None  # nothing has changed since


@pytest.mark.parametrize("lost", ["member-1", "training", "shard-0", "drafts-1", "gathered"])
def test_what_is_lost_of_a_round_is_made_again(settings, project, store, lost):
    """Lost or damaged artefacts send the round back to the step that makes them."""
    from ml_backend.rounds import ArtefactError

    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(settings, project))
    was_lost = False
    for _ in range(40):
        try:
            steps = next_steps(store, version)
        except RoundError:
            assert begin(context(settings, project)) == version
            continue
        if not steps:
            break
        try:
            run_step(context(settings, project), version, steps[0])
        except (ArtefactError, RoundError):
            # What gather made is made by gathering again; the advance does the same.
            assert begin(context(settings, project)) == version
        there = store.work(version).names()
        if not was_lost and lost in there and steps[0].kind != "order":
            was_lost = True
            (path,) = settings.store_root.rglob(f"*/{lost}*")
            path.unlink()
    assert was_lost
    assert project.served == store.current() == version


def test_until_the_last_step_label_studio_follows_the_old_version(
    settings, project, store, monkeypatch
):
    run_round(settings, project, 1)
    before = store.current()
    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(settings, project))
    while (steps := next_steps(store, version)) and steps[0].kind != "order":
        run_step(context(settings, project), version, steps[0])
        assert project.served == store.current() == before
    # The last step dies between pushing and switching.
    with monkeypatch.context() as patch:
        patch.setattr(Store, "point_to", died)
        with pytest.raises(KeyboardInterrupt):
            run_step(context(settings, project), version, steps[0])
    assert project.served == store.current() == before
    pushed = dict(project.scores(version))
    project.annotate([5])  # the order was chosen already: it stays as it is
    run_step(context(settings, project), version, steps[0])
    assert project.served == store.current() == version
    assert project.scores(version) == pushed


def died(*_):
    raise KeyboardInterrupt


def test_a_look_finishes_a_switch_that_died_half_way(settings, project, store, monkeypatch):
    run_round(settings, project, 1)
    before = store.current()
    evaluated(project)
    project.annotate([0, 1, 2])
    with monkeypatch.context() as patch:
        patch.setattr(Project, "serve_order_of", died)
        with pytest.raises(KeyboardInterrupt):
            run_round(settings, project, 1)
    assert project.served == before != store.current()
    look(context(settings, project))
    assert project.served == store.current()


def test_an_empty_store_is_not_begun_in_where_label_studio_follows_a_version(
    settings, project, store
):
    """As when the folder is not mounted: another project would be made in its place."""
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    away = settings.store_root.rename(settings.store_root.with_name("away"))
    for _ in range(2):
        with pytest.raises(StoreError, match="mounted"):
            look(context(settings, project))
        for force in (False, True):  # a round that was on its way when the store went
            with pytest.raises(StoreError, match="mounted"):
                begin(context(settings, project), force, anew=False)
    assert store.versions() == [] and store.works() == []
    for leaf in (*settings.store_root.rglob("*.json"),):
        leaf.unlink()
    import shutil

    shutil.rmtree(settings.store_root, ignore_errors=True)
    away.rename(settings.store_root)
    assert look(context(settings, project)).due


def test_a_store_that_is_lost_for_good_can_be_begun_anew_by_hand(settings, project, store):
    import shutil

    run_round(settings, project, 1)
    shutil.rmtree(settings.store_root)
    store.keep_sides(sides(project))
    assert run_round(settings, project, 1, force=True)["did"] == "ordered"
    assert project.served == store.current()


def test_what_is_labelled_while_the_committee_trains_is_not_selected(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(settings, project))
    while (steps := next_steps(store, version)) and steps[0].kind != "order":
        run_step(context(settings, project), version, steps[0])
    meanwhile = [3, 4, 5, 6]
    project.annotate(meanwhile)
    run_step(context(settings, project), version, steps[0])
    tasks = store.noted(version, "order")["tasks"]
    assert not {i + 1 for i in meanwhile} & set(tasks)


def test_labels_of_the_running_round_call_for_no_other(settings, project, store):
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    here = context(settings, project)
    assert look(here).due
    seen = look(here).found.seen()
    assert not look(here, busy=True).due  # it has not read them yet
    assert not look(here, busy=True, running=seen).due
    project.annotate([3, 4, 5])
    assert look(here, busy=True, running=seen).due


def test_rounds_that_fail_one_after_another_leave_the_work_of_the_last_alone(
    settings, project, store
):
    versions = []
    for number in range(3):
        project.annotate(project.data.pool[2 * number : 2 * number + 2])
        versions.append(begin(context(settings, project), force=True))  # and then it fails
    assert len(set(versions)) == 3
    assert store.works() == versions[-1:]
    later = f"r{number_of(versions[-1]) + 1:04d}-000000"
    store.work(later).put("member-0", b"of another worker")
    begin(context(settings, project), force=True)
    assert store.works() == [versions[-1], later]


def test_changed_labels_call_for_a_new_version_of_the_new_config(settings, project, store):
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    old = run_round(settings, project, 1)["version"]
    project.label_config = project.label_config.replace("disc", "tumour")
    outcome = run_round(settings, project, 1)
    # Nothing that is drawn belongs to a label of the config: only an order can be made.
    assert outcome["did"] == "ordered"
    assert store.metadata(outcome["version"])["labels"] == ["tumour"]
    assert project.served == store.current() == outcome["version"] != old


def test_a_project_has_settings_of_its_own(settings, project, store):
    store.keep_overrides({"k": 2, "K": 4})
    run_round(settings, project, 1)
    assert len(store.noted(store.current(), "order")["selected"]) == 2
    assert context(settings, project).settings.k == 2


def test_slices_whose_draft_is_held_back_keep_their_place_without_one(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    learnt = replace(settings, steps=40)  # enough to draw something
    run_round(learnt, project, 1)
    drafted, placed = project.drafted[store.current()], project.scores(store.current())
    store.keep_overrides({"hold_drafts_back": 0.5})
    run_round(replace(learnt, steps=41), project, 1, force=True)
    with_draft = {
        task for task in drafted if not held_back(context(learnt, project).settings, task)
    }
    assert project.drafted[store.current()] == with_draft
    assert 0 < len(with_draft) < len(drafted)
    assert set(project.scores(store.current())) == set(placed)


def test_a_paused_project_says_that_a_round_is_due_and_that_none_shall_begin(
    settings, project, store
):
    store.keep_overrides({"paused": True})
    looked = look(context(settings, project))
    assert looked.due and looked.paused


def test_without_a_usable_label_nothing_can_be_forced(settings, project):
    run_round(settings, project, 1)
    with pytest.raises(RoundError, match="label more slices"):
        run_round(settings, project, 1, force=True)


def test_a_rollback_holds_until_labels_come(settings, project, store):
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    first = run_round(settings, project, 1)["version"]
    project.annotate([3, 4, 5])
    second = run_round(settings, project, 1)["version"]
    assert second != first
    roll_back(context(settings, project), first)
    assert project.served == store.current() == first
    assert run_round(settings, project, 1)["did"] == "nothing"
    assert store.current() == first
    project.annotate([6, 7, 8])
    third = run_round(settings, project, 1)["version"]
    assert store.current() == third not in (first, second)
    with pytest.raises(StoreError, match="no version"):
        roll_back(context(settings, project), "r0099-abcdef")


def cleaned(project, version, kept=()):
    """Remove a version's predictions, of all tasks but some."""
    scores = project.scores(version)
    for task_id in set(scores) - set(kept):
        del scores[task_id]


def test_predictions_of_labelled_slices_stand_for_none_that_are_lost(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    version = run_round(settings, project, 1)["version"]
    first, *others = [task.id for task in project.tasks(1) if not task.is_labeled]
    project.annotate([task_id - 1 for task_id in others[:3]])
    cleaned(project, version, kept=others)
    look(context(settings, project))
    assert first in project.scores(version)


def test_a_version_gone_back_to_orders_every_open_slice(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    older = run_round(settings, project, 1)["version"]
    project.annotate([3, 4, 5, 6, 7, 8])
    run_round(settings, project, 1)
    labelled = [task.id for task in project.tasks(1) if task.is_labeled]
    cleaned(project, older, kept=labelled)
    roll_back(context(settings, project), older)
    waiting = {task.id for task in project.tasks(1) if not task.is_labeled}
    assert waiting and waiting <= set(project.scores(older))
    assert {i + 1 for i in project.next_slices(99)} == waiting


def test_what_nobody_is_served_is_missed_once_and_again_when_it_opens(
    settings, project, store, monkeypatch
):
    evaluated(project)
    project.annotate([0, 1, 2])
    version = run_round(settings, project, 1)["version"]
    project.annotate([3])
    cleaned(project, version)
    asked, predicted = [], project.predicted
    monkeypatch.setattr(
        project, "predicted", lambda *given: asked.append(given) or predicted(*given)
    )
    for _ in range(3):
        look(context(settings, project))
    assert len(asked) == 1 and 4 not in project.scores(version)
    del project._annotated[4]
    look(context(settings, project))
    assert 4 in project.scores(version)


@pytest.mark.parametrize("damaged", ["*", "member-0*"])
def test_a_version_that_cannot_be_read_is_replaced(settings, project, store, damaged):
    project.shown.discard(11)
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    version = run_round(settings, project, 1)["version"]
    for path in settings.store_root.rglob(f"versions/{version}/{damaged}"):
        path.write_bytes(b"{")
    project.shown.add(11)  # a slice that comes later needs the committee
    looked = look(context(settings, project))
    assert looked.due
    outcome = run_round(settings, project, 1)
    assert outcome["did"] == "trained"
    assert store.current() == project.served == outcome["version"] != version
    assert store.states(store.current())


def test_what_is_imported_during_a_round_is_scored_before_the_switch(settings, project, store):
    project.shown -= {10, 11}
    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(settings, project))
    while (steps := next_steps(store, version)) and steps[0].kind != "order":
        run_step(context(settings, project), version, steps[0])
    project.shown |= {10, 11}
    run_step(context(settings, project), version, steps[0])
    order = store.noted(version, "order")
    assert set(order["tasks"][-2:]) == {11, 12}  # ids are an index more
    scores = project.scores(version)
    assert all(order["first_free_score"] <= scores[i] <= 1 for i in (11, 12))
    assert {scores[i] for i in (11, 12)} != {1.0}  # they have drafts, not a rank alone


def test_held_out_slices_are_never_learnt_from_without_labels_either(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(replace(settings, semi_supervised=True), project))
    unlabelled = gathered_of(store, version).values["unlabelled"]
    assert unlabelled and not {i - 1 for i in unlabelled} & set(project.data.test)


def test_slices_without_labels_to_learn_from_are_of_all_patients(
    settings, project, store, monkeypatch
):
    monkeypatch.setattr(sys.modules[begin.__module__], "_UNLABELLED", 3)
    project.annotate([project.data.pool[0]])
    version = begin(context(replace(settings, semi_supervised=True), project), force=True)
    free = [index + 1 for index in project.data.pool[1:]]
    unlabelled = gathered_of(store, version).values["unlabelled"]
    assert len(unlabelled) == 3 and [unlabelled[0], unlabelled[-1]] == [free[0], free[-1]]
