"""Rounds step by step, with a project in memory in Label Studio's place."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

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
    train,
)
from ml_backend.rounds.cleaning import clean_predictions
from ml_backend.rounds.rollback import roll_back
from ml_backend.store import Store, StoreError, number_of
from tests.ml_backend.projects import Project, png, quick_settings, sides, slices


@pytest.fixture
def settings(tmp_path):
    return quick_settings(tmp_path, shard_slices=5)


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


def test_slices_of_a_single_held_out_patient_make_no_target_sure(settings, store):
    data = slices(held_out=6)
    data.slices[:] = [replace(p, patient="held out") if p.test else p for p in data.slices]
    project = Project(data)
    store.keep_sides(sides(project))
    settings = replace(settings, target_mean_iou=0.01, evaluation_slices=6)
    project.annotate([*data.test, 0, 1, 2])
    metadata = store.metadata(run_round(settings, project, 1)["version"])
    assert len(metadata["evaluation_tasks"]) == 6
    stopping = metadata["stopping"]
    assert not stopping["target_reached"]
    assert "cannot be judged: 1 held-out value," in stopping["reason"]


def test_of_a_project_of_one_patient_slices_count_where_positions_are_unknown_too(settings, store):
    data = slices(count=40, held_out=0)
    data.slices[:] = [replace(piece, patient="the only one") for piece in data.slices]
    project = Project(data)
    settings = replace(settings, target_mean_iou=0.9, evaluation_slices=20)
    project.annotate(range(40))
    metadata = store.metadata(run_round(settings, project, 1)["version"])
    held_out = len(metadata["evaluation_tasks"])
    assert metadata["held_out_unit"] == "slice" and held_out >= 5
    assert metadata["stopping"]["quality"]["count"] == held_out


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


class SomeSkipped(Project):
    """Some slices were skipped, and stay open for others."""

    def __init__(self):
        super().__init__()
        self.skipped = set()

    def tasks(self, project_id):
        for task in super().tasks(project_id):
            yield replace(task, skipped=int(task.id in self.skipped))


def test_where_all_evaluation_slices_are_skipped_others_are_served_first(settings, store):
    project = SomeSkipped()
    store.keep_sides(sides(project))
    asked = run_round(settings, project, 1)["wanted"][:2]
    project.skipped = set(asked)
    look(context(settings, project))
    scores = project.scores(project.served)
    first = [i + 1 for i in project.data.test if i + 1 not in asked]
    assert {task_id for task_id in scores if task_id not in asked and not scores[task_id]} == {
        *first
    }
    project.annotate([0, 1, 2, first[0] - 1])
    looked = look(context(settings, project))
    assert looked.due
    # What Label Studio loses of them comes back to its place.
    cleaned(project, project.served)
    look(context(settings, project))
    assert project.scores(project.served)[first[1]] == 0


def test_while_one_that_is_asked_for_stands_first_no_other_joins_it(settings, store):
    project = SomeSkipped()
    store.keep_sides(sides(project))
    skipped, _ = run_round(settings, project, 1)["wanted"][:2]
    before = dict(project.scores(project.served))
    project.skipped = {skipped}
    look(context(settings, project))
    assert project.scores(project.served) == before


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
        made = any(name == lost or name.startswith(f"{lost}-") for name in there)
        if not was_lost and made and steps[0].kind != "order":
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


def test_a_round_ends_though_all_open_tasks_are_deleted_while_it_pushes(
    settings, project, store, monkeypatch
):
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    push = project.push_predictions

    def pushed_then_deleted(*arguments, **more):
        pushed = push(*arguments, **more)
        project.shown = {0, 1, 2, *project.data.test[:2]}
        return pushed

    monkeypatch.setattr(project, "push_predictions", pushed_then_deleted)
    outcome = run_round(settings, project, 1)
    assert store.current() == outcome["version"]
    assert outcome["did"] == "trained"


def test_a_round_that_dies_before_the_switch_is_gone_on_with(settings, project, store, monkeypatch):
    run_round(settings, project, 1)
    evaluated(project)
    project.annotate([0, 1, 2])
    with monkeypatch.context() as patch:
        patch.setattr(Store, "point_to", died)
        with pytest.raises(KeyboardInterrupt):
            run_round(settings, project, 1)
    versions = store.versions()
    assert run_round(settings, project, 1)["version"] == versions[-1]
    assert store.versions() == versions


def died(*_, **__):
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


def until_the_order(settings, project, version):
    """Every step but the last; the last."""
    store = Store(settings.store_root, 1)
    while (steps := next_steps(store, version)) and steps[0].kind != "order":
        run_step(context(settings, project), version, steps[0])
    return steps[0]


@pytest.mark.parametrize("chosen", [False, True])
def test_a_round_begun_again_selects_from_what_was_imported_since_it_failed(
    settings, project, store, monkeypatch, chosen
):
    project.shown = {0, 1, 2, 3, 4, 5, *project.data.test}
    evaluated(project)
    project.annotate([0, 1, 2])
    last = until_the_order(settings, project, version := begin(context(settings, project)))
    if chosen:
        with monkeypatch.context() as patch:
            patch.setattr(Project, "push_predictions", died)
            with pytest.raises(KeyboardInterrupt):
                run_step(context(settings, project), version, last)
    project.shown |= set(range(6, 12))
    assert begin(context(settings, project)) == version
    names = steps_to_the_end(settings, project, version)
    assert names[-1] == "order" and {name.split("-")[0] for name in names[:-1]} == {"score"}
    order = store.noted(version, "order")
    uncertain = store.noted(version, "uncertainty")
    assert set(range(4, 13)) <= set(uncertain["task_ids"])
    assert set(order["selected"]) & set(range(7, 13))
    assert len(order["tasks"]) == len(set(order["tasks"])) == 16 - 3 - 2


def test_an_order_of_which_a_part_is_pushed_stays(settings, project, store, monkeypatch):
    project.shown = {0, 1, 2, 3, 4, 5, *project.data.test}
    evaluated(project)
    project.annotate([0, 1, 2])
    last = until_the_order(settings, project, version := begin(context(settings, project)))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "note", died)
        with pytest.raises(KeyboardInterrupt):
            run_step(context(settings, project), version, last)
    pushed = dict(project.scores(version))
    project.shown |= {6, 7}
    assert begin(context(settings, project)) == version
    steps_to_the_end(settings, project, version)
    scores = project.scores(version)
    assert pushed and {task: scores[task] for task in pushed} == pushed
    assert {7, 8} <= set(scores) and not {7, 8} & set(store.noted(version, "order")["selected"])


def test_settings_changed_while_a_round_runs_wait_for_the_next(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(settings, project))
    # It would need members that were trained with dropout.
    store.keep_overrides({"k": 5, "target_mean_iou": 0.9, "strategy": "mc-dropout"})
    steps_to_the_end(settings, project, version)
    assert len(store.noted(version, "order")["selected"]) == 3
    assert store.metadata(version)["stopping"]["target"] is None
    project.annotate([4])
    after = run_round(settings, project, 1, force=True)["version"]
    assert len(store.noted(after, "order")["selected"]) == 5
    assert store.metadata(after)["stopping"]["target"] == 0.9


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


def test_an_order_that_was_once_pushed_is_not_taken_for_the_next(settings, project, store):
    evaluated(project)
    run_round(settings, project, 1)
    alone = store.current()
    project.annotate([0, 1, 2])
    run_round(settings, project, 1)
    for task_id in (1, 2, 3):
        del project._annotated[task_id]
    store.keep_overrides({"k": 2, "K": 4})
    run_round(settings, project, 1)
    assert store.current() != alone and store.metadata(store.current())["training"] == {}
    served = [i + 1 for i in project.next_slices(99)]
    assert served == store.noted(store.current(), "order")["tasks"]


def test_a_version_that_is_damaged_before_it_is_current_is_replaced(settings, project, store):
    evaluated(project)
    project.annotate([0, 1, 2])
    version = begin(context(settings, project))
    while not store.versions():
        run_step(context(settings, project), version, next_steps(store, version)[0])
    (path,) = settings.store_root.rglob(f"versions/{version}/member-0*")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match="damaged"):
        steps_to_the_end(settings, project, version)
    other = begin(context(settings, project))
    assert other != version
    steps_to_the_end(settings, project, other)
    assert project.served == store.current() == other


@pytest.mark.parametrize(("keep_versions", "keep_predictions"), [(1, 1), (3, 3), (0, 2)])
def test_predictions_of_older_versions_go_however_few_versions_the_store_keeps(
    settings, project, store, keep_versions, keep_predictions
):
    settings = replace(
        settings, keep_versions=keep_versions, keep_predictions=keep_predictions, steps=1
    )
    evaluated(project)
    for number in range(5):
        project.annotate([2 * number, 2 * number + 1])
        version = run_round(settings, project, 1, force=True)["version"]
        if keep_versions:
            store.retain(keep_versions)
        while clean_predictions(context(settings, project), 40):
            pass
    held = project.prediction_counts(1)
    numbers = [number_of(version) - back for back in range(keep_predictions + 1)]
    assert sorted(map(number_of, held), reverse=True) == numbers


def test_predictions_that_are_served_later_or_not_ours_are_not_cleaned(settings, project, store):
    settings = replace(settings, keep_predictions=0)
    evaluated(project)
    project.annotate([0, 1, 2])
    older = run_round(settings, project, 1)["version"]
    project.annotate([3, 4, 5])
    newer = run_round(settings, project, 1)["version"]
    project._predictions["another model's"] = {1: 0.5}
    roll_back(context(settings, project), older)
    clean_predictions(context(settings, project), 40)
    assert set(project.prediction_counts(1)) == {older, newer, "another model's"}


def test_nothing_is_cleaned_before_there_is_a_version(settings, project):
    project._predictions["r0000-aaaaaa"] = {1: 0.5}
    assert clean_predictions(context(settings, project), 40) == 0


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


@pytest.mark.parametrize("file", ["version-*", "member-0*"])
def test_a_store_that_does_not_answer_makes_no_version_damaged(settings, project, store, file):
    project.shown.discard(11)
    evaluated(project)
    project.annotate([0, 1, 2])
    version = run_round(settings, project, 1)["version"]
    project.shown.add(11)
    (path,) = settings.store_root.rglob(f"versions/{version}/{file}")
    away = path.rename(path.parent.parent / "away")
    path.mkdir()  # which is not to be read, as a network drive for a moment
    with pytest.raises(StoreError, match="could not be read"):
        begin(context(settings, project), force=True)
    try:
        looked = look(context(settings, project))
    except StoreError as error:
        assert "could not be read" in str(error)
    else:
        assert not looked.due and "could not be read" in looked.trouble
    path.rmdir()
    away.rename(path)
    assert begin(context(settings, project), force=True) is None
    assert look(context(settings, project)).added == 1
    assert store.versions() == [version]


class Pixelwise(nn.Module):
    """A network of a deployment's own."""

    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.only = nn.Conv2d(in_channels, classes, 1)

    def forward(self, x):
        return self.only(x), x.mean(dim=(2, 3))


def test_where_the_network_is_not_set_a_look_says_so_and_calls_for_no_round(
    settings, project, store
):
    own = replace(settings, network=f"{__name__}:Pixelwise", width=1)
    project.shown.discard(11)
    evaluated(project)
    project.annotate([0, 1, 2])
    version = run_round(own, project, 1)["version"]
    project.shown.add(11)  # it is to be scored with a network that is not known here
    looked = look(context(settings, project))
    assert not looked.due and "QUORUM_NETWORK" in looked.trouble
    project.annotate([3, 4, 5])
    assert look(context(settings, project)).due  # labels call for one as ever
    assert look(context(own, project)).added == 1
    assert store.current() == version


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


def test_slices_without_labels_are_no_larger_than_the_network_sees_them(settings, store):
    data = slices()
    large = [replace(each, content=png(np.zeros((40, 64), np.uint8))) for each in data.slices]
    project = Project(replace(data, slices=large))
    store.keep_sides(sides(project))
    project._annotated[1] = []
    version = begin(context(replace(settings, semi_supervised=True), project), force=True)
    here = context(settings, project)
    images = train._unlabelled(here, gathered_of(store, version))
    assert len(images) == 11 and {image.shape for image in images} == {(10, 16)}


def test_slices_without_labels_to_learn_from_are_of_all_patients(
    settings, project, store, monkeypatch
):
    monkeypatch.setattr(sys.modules[begin.__module__], "MOST_LOOKED_AT", 3)
    project.annotate([project.data.pool[0]])
    version = begin(context(replace(settings, semi_supervised=True), project), force=True)
    free = [index + 1 for index in project.data.pool[1:]]
    unlabelled = gathered_of(store, version).values["unlabelled"]
    assert len(unlabelled) == 3 and [unlabelled[0], unlabelled[-1]] == [free[0], free[-1]]
