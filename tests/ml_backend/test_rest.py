"""Annotating the rest, with a project in memory in Label Studio's place."""

import copy
import itertools
import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from ml_backend import gathering
from ml_backend.auto_annotations import (
    MADE,
    Made,
    auto_tasks,
    figures_of,
    is_unseen,
    mark,
    note_account,
    untouched,
)
from ml_backend.images import ImageError
from ml_backend.label_studio import Annotation, LabelStudioDown
from ml_backend.label_studio.rewriting import Held
from ml_backend.pool import Draft, held_back
from ml_backend.rest import RestError, annotate_rest, undo_rest
from ml_backend.rest.chunks import Crew
from ml_backend.rounds import Context, look, run_round
from ml_backend.rounds.tabs import show_next
from ml_backend.store import Store
from tests.ml_backend.projects import Project, quick_settings, sides, slices

PERSON, SERVICE = 7, 1


class Served(Project):
    """Label Studio's part in it: annotations of predictions, edits, and what a task then says."""

    def __init__(self, data=None):
        super().__init__(data)
        self.made, self.results, self.tabs = {}, {}, {}
        self.overlap, self.fails_at, self.acts = 1, None, 0
        self.user, self.empty, self.uncounted = SERVICE, set(), set()
        self._ids = itertools.count(100)

    def now(self):
        """Later than before, to the microsecond."""
        return f"2030-01-01T00:00:00.{next(self._ids):06d}Z"

    def project(self, project_id):
        return {**super().project(project_id), "maximum_annotations": self.overlap}

    def tasks(self, project_id):
        for task in super().tasks(project_id):
            own = self.made.get(task.id, [])
            if not own or task.id in self.uncounted:
                yield task
                continue
            count = task.annotations + len(own)
            changed = f"{count}/0/{max(annotation.updated_at for annotation in own)}"
            yield replace(task, annotations=count, is_labeled=True, changed=changed)

    def tasks_of(self, project_id, task_ids):
        return (task for task in self.tasks(project_id) if task.id in set(task_ids))

    def annotations(self, project_id, task_ids):
        yield from super().annotations(project_id, task_ids)
        for task_id in task_ids:
            yield from self.made.get(task_id, [])

    def user_id(self):
        return self.user

    def push_predictions(self, project_id, predictions, chunk, pause_s, **more):
        every = list(predictions)
        for p in every:
            self.results[p["model_version"], p["task"]] = p["result"]
        return super().push_predictions(project_id, every, chunk, pause_s, **more)

    def annotate_from(self, project_id, version, task_ids):
        self.acts += 1
        for task_id in sorted(task_ids):
            if not next(self.tasks_of(1, [task_id])).annotations:
                regions = [] if task_id in self.empty else self.results[version, task_id]
                self.submit(task_id, self.user, regions, None)
                if self.acts == self.locked_at:  # after it is made, before it is counted
                    self.uncounted.add(task_id)
                    raise LabelStudioDown("database is locked")
        if self.acts == self.fails_at:
            raise LabelStudioDown("did not answer in time")

    locked_at = None

    def submit(self, task_id, who, regions, edited_by=PERSON, **known):
        number, at = next(self._ids), datetime.now(timezone.utc).isoformat()
        known = {"edited_by": edited_by, "created_at": at, **known}
        made = Annotation(number, task_id, self.now(), who, regions, **known)
        self.made.setdefault(task_id, []).append(made)

    def edit(self, task_id):
        (one,) = self.made[task_id]
        self.made[task_id] = [replace(one, updated_at=self.now(), edited_by=PERSON)]

    def remove_annotations(self, project_id, task_ids, annotator, until):
        for task_id in task_ids:
            kept = [a for a in self.made.get(task_id, []) if a.annotator != annotator]
            self.made[task_id] = kept

    def remove_annotation(self, annotation_id):
        for task_id, own in self.made.items():
            self.made[task_id] = [a for a in own if a.id != annotation_id]

    def held_predictions(self, project_id, version, task_ids):
        wanted = set(task_ids) & set(self.scores(version))
        return [Held(i, i, not self.results[version, i]) for i in sorted(wanted)]

    def redraw(self, project_id, held, regions):
        self.acts += 1
        self.results[self.served, held.task_id] = list(regions)
        if self.acts == self.fails_at:
            raise LabelStudioDown("did not answer in time")

    def show_tab(self, project_id, title, task_ids, ordering=None):
        self.tabs[title] = (list(task_ids), ordering)


def settings_in(folder):
    return quick_settings(folder, width=8, steps=50, batch_size=4, drafts_ahead=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """20 slices, 4 of them held out; 3 and 1 labelled, and a committee that learnt from them."""
    settings, project = settings_in(tmp_path_factory.mktemp("trained")), Served(slices(20))
    Store(settings.store_root, 1).keep_sides(sides(project))
    project.annotate([*project.data.test[:1], 0, 1, 2])
    run_round(settings, project, 1)
    return settings, project


@pytest.fixture
def settings(trained, tmp_path):
    shutil.copytree(trained[0].data_dir, tmp_path / "data")
    return settings_in(tmp_path / "data")


@pytest.fixture
def project(trained):
    return copy.deepcopy(trained[1])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("ml_backend.rest.annotate.CHUNK", 4)
    monkeypatch.setattr("ml_backend.rest.undo.CHUNK", 4)


@pytest.fixture
def context(settings, project):
    return Context.of(settings, project, 1)


@pytest.fixture
def store(context):
    return context.store


def auto(context):
    server = context.label_studio
    return auto_tasks(server, context.store, 1, list(server.tasks(1)))


def test_as_annotations_every_slice_but_those_for_the_evaluation_is_annotated(context, project):
    ended = annotate_rest(context, "annotations")
    # 20, less 4 labelled by people, less 1 held-out slice that people are asked for.
    assert (ended["state"], ended["done"], ended["total"]) == ("done", 15, 15)
    assert len(project.made) == 15
    (asked,) = {t.id for t in project.tasks(1) if not t.annotations}
    assert asked - 1 in project.data.test
    assert all(len(made) == 1 for made in project.made.values())


def test_what_was_annotated_says_so_and_counts_as_nobodys_label(context, project, store):
    annotate_rest(context, "annotations")
    figures, version = store.figures(MADE), store.current()
    for (made,) in project.made.values():
        assert is_unseen(figures, made)
        texts = [region["meta"]["text"] for region in made.regions]
        assert texts == [[f"Made by Quorum {version}, before any person saw it"]] * len(texts)
    assert any(made.regions for (made,) in project.made.values())
    assert auto(context) == set(project.made) == set(untouched(figures))
    assert {entry[3] for entry in figures["tasks"].values()} == {version}


def test_the_least_certain_are_made_first_and_listed_first(context, project, store):
    annotate_rest(context, "annotations")
    confidence = {int(i): entry[1] for i, entry in store.figures(MADE)["tasks"].items()}
    made = sorted(project.made, key=lambda task_id: project.made[task_id][0].id)
    for start in range(0, len(made), 4):  # within a chunk, by what its own committee says
        part = [confidence[task_id] for task_id in made[start : start + 4]]
        assert part == sorted(part)
    listed, ordering = project.tabs["Auto-annotated to review"]
    assert listed == sorted(confidence, key=lambda i: (confidence[i], i))
    assert ordering == "tasks:completed_at"


def test_with_the_rounds_uncertainties_at_hand_the_whole_run_goes_by_them(context, project, store):
    open_ids = [t.id for t in project.tasks(1) if not t.annotations]
    noted = {"task_ids": open_ids, "values": [float(i % 7) for i in open_ids]}
    store.note(store.current(), "uncertainty", noted)
    seen = []
    annotate_rest(context, "annotations", lambda *_: seen.append(set(project.made)))
    first = seen[0]
    assert min(i % 7 for i in first) >= max(i % 7 for i in set(project.made) - first) - 1e-9


def test_a_person_who_changes_one_takes_it_over(context, project, store):
    annotate_rest(context, "annotations")
    edited, joined, *_ = sorted(project.made)
    project.edit(edited)
    project.submit(joined, PERSON, [])
    assert set(project.made) - auto(context) == {edited, joined}
    figures = store.figures(MADE)
    ours, theirs = project.made[joined]
    assert not is_unseen(figures, project.made[edited][0])
    assert is_unseen(figures, ours) and not is_unseen(figures, theirs)


def test_what_moved_is_read_once(context, project, monkeypatch):
    annotate_rest(context, "annotations")
    project.edit(min(project.made))
    auto(context)
    monkeypatch.setattr(Served, "annotations", lambda *_: pytest.fail("read again"))
    assert len(auto(context)) == len(project.made) - 1


def test_a_mark_tells_them_apart_when_the_figures_are_lost():
    region = {"type": "brushlabels", "value": {}}
    made = Annotation(1, 1, "t", SERVICE, mark([region], "r0001-aaaaaa"))
    assert is_unseen({}, made)
    assert not is_unseen({}, replace(made, edited_by=PERSON))
    assert not is_unseen({}, replace(made, regions=[region]))


def lose(store):
    """What is noted of all that was made is damaged."""
    store.keep_figures(MADE, {})


def test_an_empty_mask_is_known_by_the_account_and_the_time_when_the_figures_are_lost(store):
    note_account(store, SERVICE)
    figures, now = figures_of(store), datetime.now(timezone.utc)
    made = Annotation(1, 1, "t", SERVICE, [], created_at=now.isoformat().replace("+00:00", "Z"))
    assert is_unseen(figures, made)
    assert not is_unseen({}, made)
    earlier = (now - timedelta(days=1)).isoformat()
    for theirs in (
        {"edited_by": SERVICE},  # submitted in the editor by the same user
        {"annotator": PERSON},
        {"created_at": earlier},  # imported before
        {"created_at": ""},
        {"lead_time_s": 3.0},
        {"regions": [{"type": "brushlabels", "value": {}}]},
    ):
        assert not is_unseen(figures, replace(made, **theirs)), theirs


def test_the_figures_lost_no_mask_becomes_a_label_and_the_next_run_finds_them(
    context, project, store
):
    project.empty = {t.id for t in project.tasks(1) if not t.annotations and t.id % 2}
    annotate_rest(context, "annotations")
    edited, *others = sorted(project.made)
    project.edit(edited)
    lose(store)
    assert auto(context) == set(others)
    acts = project.acts
    annotate_rest(context, "annotations")
    assert project.acts == acts
    assert set(Made.of(store).tasks) == set(others) == auto(context)
    assert undo_rest(context)["touched"] == 0
    assert [task_id for task_id, made in project.made.items() if made] == [edited]


def test_the_figures_lost_annotations_are_read_once(context, project, store, monkeypatch):
    annotate_rest(context, "annotations")
    lose(store)
    auto(context)
    edited, read, annotations = min(project.made), [], Served.annotations
    project.edit(edited)

    def reading(self, project_id, task_ids):
        read.extend(task_ids)
        return annotations(self, project_id, task_ids)

    monkeypatch.setattr(Served, "annotations", reading)
    for _ in range(2):
        assert auto(context) == set(project.made) - {edited}
    assert read == [edited]


def test_what_label_studio_made_and_did_not_count_is_known_not_doubled_and_undone(
    context, project, store
):
    project.empty, project.locked_at = {t.id for t in project.tasks(1)}, 2
    with pytest.raises(LabelStudioDown):
        annotate_rest(context, "annotations")
    (lost,) = project.uncounted
    assert annotate_rest(context, "annotations")["state"] == "done"
    assert [len(made) for made in project.made.values()] == [1] * 15
    assert lost in Made.of(store).tasks
    assert is_unseen(store.figures(MADE), project.made[lost][0])
    project.uncounted.clear()  # somebody opens it, and it is counted
    assert lost in auto(context)
    project.uncounted.add(lost)
    assert undo_rest(context)["touched"] == 0
    assert not any(project.made.values()) and not Made.of(store).tasks


def test_one_that_was_deleted_is_made_anew_and_known(context, project, store):
    annotate_rest(context, "annotations")
    deleted = min(project.made)
    project.made[deleted], project.empty = [], {deleted}
    annotate_rest(context, "annotations")
    (made,) = project.made[deleted]
    assert is_unseen(store.figures(MADE), made)
    assert Made.of(store).tasks[deleted].annotation == made.id


def test_two_accounts_one_after_the_other_are_both_taken_back(context, project, store):
    stops = iter([False, False, True, True])
    annotate_rest(context, "annotations", cancelled=lambda: next(stops))
    project.user = SERVICE + 1
    annotate_rest(context, "annotations")
    assert {a.annotator for made in project.made.values() for a in made} == {SERVICE, SERVICE + 1}
    assert undo_rest(context)["touched"] == 0
    assert not any(project.made.values())


def test_an_earlier_release_s_figures_can_be_read(context, project, store):
    annotate_rest(context, "annotations")
    figures = store.figures(MADE)
    figures["tasks"] = {task_id: entry[:4] for task_id, entry in figures["tasks"].items()}
    figures.pop("nothing")
    store.keep_figures(MADE, figures)
    assert {entry.annotator for entry in Made.of(store).tasks.values()} == {SERVICE}
    assert auto(context) == set(project.made)


@pytest.mark.parametrize("as_", ["annotations", "predictions"])
def test_progress_is_told_only_of_what_is_written(context, project, monkeypatch, as_):
    project.fails_at, told = 1, []
    with pytest.raises(LabelStudioDown):
        annotate_rest(context, as_, lambda *now: told.append(now))
    assert told == []
    annotate_rest(context, as_, lambda *now: told.append(now))
    done = [now[1] for now in told]
    assert done and done[0] > 0 and done == sorted(set(done))
    told.clear()
    monkeypatch.setattr(Crew, "score", dies)
    with pytest.raises(LabelStudioDown):
        project.made.clear()
        Made().keep(context.store)
        redo(project)
        annotate_rest(context, as_, lambda *now: told.append(now))
    assert told == []


def dies(*_):
    raise LabelStudioDown("killed")


def redo(project):
    """All predictions are ranks alone again."""
    project.results = {key: [] for key in project.results}


def test_undo_tells_no_progress_of_what_stays(context, project):
    annotate_rest(context, "annotations")
    for task_id in project.made:
        project.edit(task_id)
    told = []
    assert undo_rest(context, lambda *now: told.append(now))["touched"] == 15
    assert told == []


@pytest.mark.parametrize("as_", ["annotations", "predictions"])
@pytest.mark.parametrize("fails_at", [1, 3, 6])
def test_interrupted_at_any_point_it_goes_on_and_does_none_twice(
    context, project, store, as_, fails_at
):
    project.fails_at = fails_at
    with pytest.raises(LabelStudioDown):
        annotate_rest(context, as_)
    assert store.figures("rest")["state"] == "failed"
    assert "in time" in store.figures("rest")["error"]
    # Whoever looks now takes none of it for a person's.
    assert auto(context) == set(project.made)
    began = store.figures("rest")["began_at"]
    ended = annotate_rest(context, as_)
    assert (ended["state"], ended["error"], ended["began_at"]) == ("done", None, began)
    assert all(len(made) == 1 for made in project.made.values())
    assert len(project.made) == (15 if as_ == "annotations" else 0)
    assert auto(context) == set(project.made)
    acts = project.acts
    annotate_rest(context, as_)
    assert project.acts == acts


def test_cancelled_and_paused_between_chunks(context, project, store):
    answers = iter([False, False, True, True])
    ended = annotate_rest(context, "annotations", cancelled=lambda: next(answers))
    assert (ended["state"], len(project.made)) == ("cancelled", 8)
    turns = iter([False, True])
    paused = annotate_rest(context, "annotations", paused=lambda: next(turns))
    assert (paused["state"], paused["done"], len(project.made)) == ("running", 12, 12)
    assert annotate_rest(context, "annotations")["done"] == 15


def test_as_predictions_the_order_stays_and_each_slice_gets_its_mask(context, project, store):
    version = store.current()
    order, scores = store.noted(version, "order")["tasks"], dict(project.scores(version))
    assert not any(project.results[version, i] for i in order[4:])
    bare = [i for i in order if not project.results[version, i]]
    assert annotate_rest(context, "predictions")["total"] == len(bare) < len(order)
    drafted = set(store.figures(MADE)["drafted"])
    assert drafted and drafted == {str(i) for i in order[4:] if project.results[version, i]}
    assert dict(project.scores(version)) == scores
    assert not project.made and not auto(context)
    undone = undo_rest(context)
    assert undone["state"] == "undone"
    assert not any(project.results[version, i] for i in order[4:])
    assert store.figures(MADE)["drafted"] == {}


def test_interrupted_before_a_mask_is_written_it_is_written_afterwards(context, project, store):
    version, redraw = store.current(), Served.redraw
    annotate_rest(context, "predictions")
    wanted = {key for key, regions in project.results.items() if regions}
    undo_rest(context)
    assert {key for key, regions in project.results.items() if regions} < wanted

    def locked(self, project_id, held, regions):
        if self.acts >= 2:
            raise LabelStudioDown("database is locked")
        redraw(self, project_id, held, regions)

    project.acts = 0
    with pytest.MonkeyPatch.context() as patch, pytest.raises(LabelStudioDown):
        patch.setattr(Served, "redraw", locked)
        annotate_rest(context, "predictions")
    assert annotate_rest(context, "predictions")["state"] == "done"
    assert {key for key, regions in project.results.items() if regions} == wanted
    assert all(project.results[version, i] for i in Made.of(store).drafted)


def test_drafts_that_label_studio_lost_are_made_again(context, project, store):
    annotate_rest(context, "predictions")
    version = store.current()
    drawn = {task_id for (of, task_id), made in project.results.items() if of == version and made}
    project.scores(version).clear()
    project.results.clear()
    look(context)  # which pushes the order again, far down ranks alone
    acts = project.acts
    annotate_rest(context, "predictions")
    assert {i for (of, i), made in project.results.items() if of == version and made} == drawn
    assert project.acts > acts
    acts = project.acts
    annotate_rest(context, "predictions")
    assert project.acts == acts


def test_which_slices_have_nothing_on_them_is_noted_of_those_looked_at_alone(settings, project):
    own = replace(settings, hold_drafts_back=0.5)
    context = Context.of(own, project, 1)
    store, version = context.store, context.store.current()
    redo(project)  # as if the round's own drafts had been held back, too
    blank = {t.id for t in project.tasks(1) if t.id % 3 == 0}
    real = Crew.score

    def score(self, *arguments):
        pool = real(self, *arguments)
        for task_id in blank & pool.drafts.keys():
            pool.drafts[task_id] = Draft.of(np.zeros((16, 16), np.uint8))
        return pool

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Crew, "score", score)
        annotate_rest(context, "predictions")
    made = Made.of(store)
    open_ids = {t.id for t in project.tasks(1) if not t.annotations}
    assert set(made.nothing) | set(made.drafted) == {i for i in open_ids if not held_back(own, i)}
    assert set(made.nothing) >= {i for i in open_ids & blank if not held_back(own, i)}
    assert set(made.nothing.values()) == {version}
    undo_rest(context)
    assert Made.of(store).nothing == {}


def test_slices_that_are_to_have_no_draft_get_none(settings, project):
    own = replace(settings, hold_drafts_back=0.5)
    context = Context.of(own, project, 1)
    annotate_rest(context, "predictions")
    drafted = {int(i) for i in context.store.figures(MADE)["drafted"]}
    assert drafted and not any(held_back(own, task_id) for task_id in drafted)


def test_another_version_that_takes_over_does_the_rest(settings, context, project, store):
    first = store.current()

    def train(step, done, total):
        if done == 8 and store.current() == first:
            project.annotate([t.id - 1 for t in project.tasks(1) if not t.annotations][:3])
            run_round(settings, project, 1, force=True)

    ended = annotate_rest(context, "annotations", train)
    second = store.current()
    assert second != first and ended["version"] == second
    versions = [entry[3] for entry in store.figures(MADE)["tasks"].values()]
    assert versions.count(first) == 8 and set(versions) == {first, second}


def test_as_predictions_each_slice_counts_once_whatever_version_drafts(
    settings, context, project, store
):
    turns = iter([False, False, True, True])
    ended = annotate_rest(context, "predictions", cancelled=lambda: next(turns))
    assert (ended["state"], ended["done"]) == ("cancelled", 8)
    project.annotate([t.id - 1 for t in project.tasks(1) if not t.annotations][:3])
    run_round(settings, project, 1, force=True)
    ended = annotate_rest(context, "predictions")
    bare = len([t for t in project.tasks(1) if not t.annotations])
    assert ended["state"] == "done" and ended["done"] == ended["total"] <= bare


def test_a_slice_labelled_during_the_run_gets_no_draft(context, project, store):
    version, labelled = store.current(), []

    def label(step, done, total):
        for task_id in store.noted(version, "order")["tasks"]:
            if not labelled and not project.results[version, task_id]:
                labelled.append(task_id)
                project.submit(task_id, PERSON, [])

    assert annotate_rest(context, "predictions", label)["state"] == "done"
    (late,) = labelled
    assert project.results[version, late] == []
    made = store.figures(MADE)
    assert made["drafted"] and str(late) not in {**made["drafted"], **made["nothing"]}


def test_after_an_undo_that_failed_only_what_is_made_anew_is_counted(context, project, monkeypatch):
    annotate_rest(context, "annotations")
    remove, calls = Served.remove_annotations, itertools.count(1)

    def fail_the_second_time(*about):
        if next(calls) == 2:
            raise LabelStudioDown("did not answer in time")
        remove(*about)

    with monkeypatch.context() as patch:
        patch.setattr(Served, "remove_annotations", fail_the_second_time)
        with pytest.raises(LabelStudioDown):
            undo_rest(context)
    ended = annotate_rest(context, "annotations")
    assert (ended["state"], ended["done"], ended["total"]) == ("done", 4, 4)


def test_undo_takes_back_what_nobody_touched_and_nothing_else(context, project, store):
    annotate_rest(context, "annotations")
    edited, joined, *others = sorted(project.made)
    project.edit(edited)
    project.submit(joined, PERSON, [])
    undone = undo_rest(context)
    assert (undone["state"], undone["touched"]) == ("undone", 1)
    assert [a.edited_by for a in project.made[edited]] == [PERSON]
    assert [a.annotator for a in project.made[joined]] == [PERSON]
    assert not any(project.made[task_id] for task_id in others)
    assert set(store.figures(MADE)["tasks"]) == {str(edited)}
    assert auto(context) == set()
    assert undo_rest(context)["touched"] == 1


def test_several_annotators_a_slice_are_refused_with_the_remedy(context, project, store):
    project.overlap = 2
    with pytest.raises(RestError, match="as predictions"):
        annotate_rest(context, "annotations")
    assert store.figures("rest")["state"] == "failed"
    assert not project.made


def test_before_the_first_committee_it_is_refused(settings, tmp_path):
    context = Context.of(replace(settings, data_dir=tmp_path / "new"), Served(), 1)
    with pytest.raises(RestError, match="no committee yet"):
        annotate_rest(context, "predictions")


def test_the_next_batch_is_shown_as_it_is_served(context, project, store):
    show_next(context)
    order = store.noted(store.current(), "order")["tasks"]
    assert project.tabs["Next batch"] == (order[:3], "tasks:predictions_score")


def test_a_slice_whose_image_is_gone_is_told_and_passed_over(context, project, monkeypatch):
    gone = next(t.id for t in project.tasks(1) if not t.annotations)
    read = gathering.read_image

    def broken(server, task, config):
        if task.id == gone:
            raise ImageError("the image is gone")
        return read(server, task, config)

    monkeypatch.setattr("ml_backend.gathering.read_image", broken)
    ended = annotate_rest(context, "annotations")
    assert ended["state"] == "done" and gone not in project.made
    assert ended["problems"] == [{"task_id": gone, "reason": "the image is gone"}]


@pytest.mark.parametrize("who", [PERSON, SERVICE])
def test_whoever_submits_while_a_chunk_is_made_keeps_that_label(context, project, who):
    make, submitted = Served.annotate_from, []

    def meanwhile(server, project_id, version, task_ids):
        make(server, project_id, version, task_ids)
        if not submitted:  # had the slice open, and submits its draft as it is
            submitted.append(min(task_ids))
            server.submit(min(task_ids), who, [], who)

    project.annotate_from = meanwhile.__get__(project)
    annotate_rest(context, "annotations")
    (joined,) = submitted
    assert set(project.made) - auto(context) == {joined}
    undo_rest(context)
    assert [a.edited_by for a in project.made[joined]] == [who]


def test_the_figures_lost_a_person_s_label_beside_ours_stays_one(context, project, store):
    annotate_rest(context, "annotations")
    joined = next(task_id for task_id, (made,) in project.made.items() if made.regions)
    project.submit(joined, PERSON, [])
    lose(store)
    annotate_rest(context, "annotations")
    assert joined not in auto(context)
