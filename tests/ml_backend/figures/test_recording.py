"""What is recorded, in a real store; tests/live/test_records.py has a real Label Studio."""

from dataclasses import replace

import pytest

from ml_backend.auto_annotations import mark
from ml_backend.figures.ledger import Ledger
from ml_backend.figures.pace import pace
from ml_backend.figures.reading import shown_to
from ml_backend.figures.recording import UNREADABLE, refresh_records
from ml_backend.figures.records import WITH, WITHOUT
from ml_backend.label_studio import LabelStudioDown, LabelStudioError
from ml_backend.pool import held_back
from ml_backend.settings import Settings
from ml_backend.store import Store

from .annotated import COMMITTEE, OPEN, Server


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path, 1)
    made.publish(OPEN, [], {"labels": ["lesion"], "training": {}})
    made.publish(COMMITTEE, [], {"labels": ["lesion"], "training": {"steps": 8}})
    made.note(COMMITTEE, "order", {"tasks": list(range(1, 100))})
    return made


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path, hold_drafts_back=0.5)


def refresh(server, store, settings, automatic=(), **options):
    found = server.survey(automatic)
    left = refresh_records(server, store, 1, found, settings, **options)
    return left, {record.task: record for record in Ledger.read(store).records()}


def test_a_record_tells_what_was_drawn_and_how_much_of_the_draft_was_changed(
    server, store, settings
):
    task = next(n for n in range(1, 99) if not held_back(settings, n))
    server.draft(task, 4)
    server.annotate(task, size=8, annotator=3)
    left, found = refresh(server, store, settings)
    assert left == 0
    assert found[task].changed == pytest.approx(1 - 32 / 80)
    assert found[task].areas == {"lesion": 0.25}
    assert (found[task].arm, found[task].draft_version) == (WITH, COMMITTEE)
    assert (found[task].annotator, found[task].lead_time_s) == (3, 30.0)


def test_arms_count_once_a_committee_drafts(server, store, settings):
    back = next(n for n in range(1, 99) if held_back(settings, n))
    drafted = next(n for n in range(1, 99) if not held_back(settings, n))
    early = 200
    server.draft(back, 0)
    server.draft(drafted, 0)  # the committee found nothing: a draft all the same
    server.draft(early, 0, version=OPEN)
    for task in (back, drafted, early, 300):
        server.annotate(task, size=0)
    _, found = refresh(server, store, settings)
    assert [found[n].arm for n in (back, drafted, early, 300)] == [WITHOUT, WITH, None, None]
    assert [found[n].changed for n in (back, drafted, early, 300)] == [None, 0.0, None, None]
    assert found[back].draft_version == COMMITTEE


def test_an_arm_stays_as_it_was_when_the_share_is_changed(server, store, settings):
    back = next(n for n in range(1, 99) if held_back(settings, n))
    server.draft(back, 0)
    server.annotate(back)
    refresh(server, store, settings)
    server.made[back] = [replace(a, updated_at="2026-03-03T09:00:00Z") for a in server.made[back]]
    _, found = refresh(server, store, replace(settings, hold_drafts_back=0.0))
    assert found[back].updated_at == "2026-03-03T09:00:00Z"
    assert found[back].arm == WITHOUT


def test_only_what_changed_is_read_again_and_only_its_shard_written(server, store, settings):
    for task in range(1, 41):
        server.annotate(task)
    refresh(server, store, settings)
    server.asked.clear()
    refresh(server, store, settings)
    assert server.asked == []
    server.annotate(7, annotator=2, size=5)
    refresh(server, store, settings)
    assert server.asked == [7]


def test_work_ends_with_its_time_and_tells_how_much_remains(server, store, settings):
    for task in range(1, 51):
        server.annotate(task)
    remaining = []
    while not remaining or remaining[-1]:  # a moment long past: each time only what it must
        remaining.append(refresh(server, store, settings, until=0.0)[0])
    assert remaining == [30, 10, 0]
    assert len(server.asked) == 50


def test_what_quorum_alone_has_annotated_is_not_even_asked_for(server, store, settings):
    for task in (1, 2, 3):
        server.annotate(task)
    assert set(refresh(server, store, settings, automatic=(1, 3))[1]) == {2}
    assert server.asked == [2]


def test_what_was_deleted_is_forgotten(server, store, settings):
    for task in (1, 2, 3):
        server.annotate(task)
        server.annotate(task, annotator=2)
    refresh(server, store, settings)
    del server.made[1]
    server.made[2] = []
    server.made[3].pop()
    refresh(server, store, settings)
    assert [(r.task, r.annotator) for r in Ledger.read(store).records()] == [(3, 1)]


def by_quorum(server, store, task, **fields):
    """An annotation that "annotate the rest" made."""
    number = server.annotate(task, 8, annotator=9, lead_time_s=None, edited_by=None, **fields)
    kept = store.figures("rest-made")
    made = {**kept.get("annotations", {}), str(number): server.made[task][0].updated_at}
    tasks = {**kept.get("tasks", {}), str(task): [number, 0.5, "as made", COMMITTEE]}
    store.keep_figures("rest-made", {"annotations": made, "tasks": tasks})


def review(server, task, who=4, at="2026-03-09T10:00:00Z"):
    server.made[task] = [
        replace(a, updated_at=at, edited_by=who, lead_time_s=30.0) for a in server.made[task]
    ]


def test_what_quorum_made_is_no_ones_work_until_somebody_changes_it(server, store, settings):
    by_quorum(server, store, 1)
    server.annotate(2)
    _, found = refresh(server, store, settings)
    assert set(found) == {2}
    review(server, 1)
    _, found = refresh(server, store, settings)
    assert set(found) == {1, 2}


def test_a_review_is_dated_when_it_was_done_and_says_nothing_of_drafts(server, store, settings):
    back = next(n for n in range(1, 99) if held_back(settings, n))
    drafted = next(n for n in range(1, 99) if not held_back(settings, n))
    for task in (back, drafted):
        server.draft(task, 0)  # the rank that stays once the mask has become an annotation
        by_quorum(server, store, task)
        review(server, task)
    _, found = refresh(server, store, settings)
    for task in (back, drafted):
        record = found[task]
        assert record.reviewed and record.annotator == 4
        assert record.created_at == record.updated_at == "2026-03-09T10:00:00Z"
        assert (record.arm, record.draft_version, record.changed) == (None, None, None)
        assert record.areas == {"lesion": 0.25} and record.lead_time_s == 30.0


def test_a_review_stays_one_when_what_was_made_is_forgotten(server, store, settings):
    by_quorum(server, store, 1)
    review(server, 1)
    refresh(server, store, settings)
    store.keep_figures("rest-made", {})
    review(server, 1, at="2026-03-10T10:00:00Z")
    assert refresh(server, store, settings)[1][1].reviewed
    server.annotate(2, edited_by=None)  # never recorded: its regions say it
    marked = [replace(a, regions=mark(a.regions, COMMITTEE)) for a in server.made[2]]
    server.made[2] = marked
    assert 2 not in refresh(server, store, settings)[1]
    review(server, 2)
    assert refresh(server, store, settings)[1][2].reviewed


def test_who_draws_beside_a_mask_of_quorums_is_in_no_arm(server, store, settings):
    back = next(n for n in range(1, 99) if held_back(settings, n))
    server.draft(back, 0)
    by_quorum(server, store, back)
    server.annotate(back, annotator=2)
    record = refresh(server, store, settings)[1][back]
    assert (record.annotator, record.reviewed, record.arm) == (2, False, None)


def test_a_rank_without_a_draft_is_no_draft(server, store, settings):
    settings = replace(settings, hold_drafts_back=0.0, drafts_ahead=10)
    for task in (10, 11, 200):
        server.draft(task, 0)
        server.annotate(task)
    server.draft(12, 4)  # one that got its mask all the same
    server.annotate(12)
    _, found = refresh(server, store, settings)
    assert {n: (r.arm, r.changed) for n, r in found.items()} == {
        10: (WITH, 1.0),
        11: (None, None),
        200: (None, None),
        12: (WITH, 0.0),
    }


def test_where_the_rest_was_drafted_and_nothing_found_there_was_a_draft(server, store, settings):
    settings = replace(settings, hold_drafts_back=0.0, drafts_ahead=10)
    store.keep_figures("rest-made", {"nothing": {"20": COMMITTEE, "21": OPEN}})
    for task in (20, 21):
        server.draft(task, 0)
        server.annotate(task)
    _, found = refresh(server, store, settings)
    assert [found[n].arm for n in (20, 21)] == [WITH, None]


def test_a_draft_that_is_gone_is_not_taken_for_an_empty_one(server, store, settings):
    settings = replace(settings, hold_drafts_back=0.0)
    server.draft(1, 4)
    server.annotate(1)
    refresh(server, store, settings)
    server.predicted.clear()
    server.made[1] = [replace(a, updated_at="2026-03-03T09:00:00Z") for a in server.made[1]]
    record = refresh(server, store, settings)[1][1]
    assert (record.arm, record.changed) == (WITH, None)


# -- what cannot be read ----------------------------------------------------------------------

REFUSES = LabelStudioError("HTTP 500", 500)


@pytest.mark.parametrize("error", [REFUSES, RecursionError(), ValueError("?"), OverflowError()])
def test_one_task_that_cannot_be_read_costs_no_other_its_record(server, store, settings, error):
    for task in range(1, 31):
        server.annotate(task)
    server.errors[7] = error
    left, found = refresh(server, store, settings)
    assert left == 0 and set(found) == set(range(1, 31)) - {7}
    assert store.figures(UNREADABLE) == {"tasks": {"7": 1}}


def test_it_is_tried_a_few_times_and_then_only_when_it_changes(server, store, settings):
    for task in (1, 2, 3):
        server.annotate(task)
    server.errors[2] = REFUSES
    for _ in range(6):
        refresh(server, store, settings)
    assert store.figures(UNREADABLE) == {"tasks": {"2": 3}}
    server.asked.clear()
    refresh(server, store, settings)
    assert server.asked == []
    del server.errors[2]
    server.made[2] = [replace(a, updated_at="2026-03-03T09:00:00Z") for a in server.made[2]]
    assert 2 in refresh(server, store, settings)[1]
    assert store.figures(UNREADABLE) == {"tasks": {}}


def test_one_that_could_not_be_read_for_a_moment_is_recorded_at_the_next_look(
    server, store, settings
):
    server.annotate(1)
    server.errors[1] = REFUSES
    refresh(server, store, settings)
    server.errors.clear()
    assert set(refresh(server, store, settings)[1]) == {1}
    assert store.figures(UNREADABLE) == {"tasks": {}}


@pytest.mark.parametrize(
    "error", [LabelStudioDown("no answer"), LabelStudioError("401", 401), LabelStudioError("html")]
)
def test_what_is_wrong_with_the_server_is_no_tasks_fault(server, store, settings, error):
    server.annotate(1)
    server.errors[1] = error
    with pytest.raises(LabelStudioError):
        refresh(server, store, settings)
    assert store.figures(UNREADABLE) == {}


def test_two_on_one_slice_are_compared_and_a_ground_truth_decides(server, store, settings):
    server.annotate(1, size=4, annotator=1)
    server.annotate(1, size=8, annotator=2)
    refresh(server, store, settings)
    both = [r.dice for r in Ledger.read(store).of_task(1)]
    assert both == [pytest.approx(32 / 80, abs=1e-5)] * 2
    server.annotate(1, size=8, annotator=9, ground_truth=True)
    refresh(server, store, settings)
    compared = {r.annotator: r.dice for r in Ledger.read(store).of_task(1)}
    assert compared[2] == 1.0 and compared[9] is None


def test_an_annotation_that_cannot_be_read_keeps_its_time(server, store, settings):
    server.annotate(1)
    broken = [{**server.made[1][0].regions[0], "value": {"brushlabels": ["lesion"], "rle": [1]}}]
    server.made[1] = [replace(server.made[1][0], regions=broken)]
    _, found = refresh(server, store, settings)
    assert found[1].areas is None and found[1].lead_time_s == 30.0


def imported(server, tasks):
    """Slices drawn in another Label Studio, of the moment of the import, with their times."""
    for task in tasks:
        server.annotate(task, lead_time_s=150.0, edited_by=None)


def test_what_was_imported_was_drawn_in_no_time_of_ours(server, store, settings):
    imported(server, [1])
    server.annotate(2)
    _, found = refresh(server, store, settings)
    assert (found[1].lead_time_s, found[2].lead_time_s) == (None, 30.0)


def test_who_corrects_what_was_imported_has_not_drawn_it(server, store, settings):
    imported(server, [1])
    refresh(server, store, settings)
    review(server, 1)  # the editor adds his seconds to those that came with it
    record = refresh(server, store, settings)[1][1]
    assert record.updated_at == "2026-03-09T10:00:00Z" and record.lead_time_s is None


def test_an_import_is_no_pace(server, store, settings):
    imported(server, range(1, 31))
    refresh(server, store, settings)
    assert pace(Ledger.read(store).records())["labels_per_hour"]["mean"] is None


def test_records_that_an_older_release_made_are_read_again_once(server, store, settings):
    back = next(n for n in range(1, 99) if held_back(settings, n))
    server.draft(back, 0)
    server.annotate(back)
    imported(server, [200])
    refresh(server, store, settings)
    older = store.figures("records-0000")
    at = older["fields"].index("lead_time_s")
    for row in older["rows"]:
        row[at] = 150.0
    del older["meaning"]
    store.keep_figures("records-0000", older)
    server.asked.clear()
    _, found = refresh(server, store, replace(settings, hold_drafts_back=0.0))
    assert sorted(server.asked) == sorted([back, 200])
    assert (found[200].lead_time_s, found[back].lead_time_s) == (None, 30.0)
    assert found[back].arm == WITHOUT  # as it was known to be
    server.asked.clear()
    refresh(server, store, settings)
    assert server.asked == []


def test_annotators_keep_their_numbers(server, store, settings):
    server.annotate(1, annotator=20)
    refresh(server, store, settings)
    server.annotate(2, annotator=3)
    refresh(server, store, settings)
    assert store.figures("annotators") == {"numbers": {"20": 1, "3": 2}}


# -- which draft ------------------------------------------------------------------------------


def test_the_prediction_that_the_editor_names_is_the_draft(server):
    first = server.draft(1, 3)
    server.draft(1, 9, version="r0002-bbbbbb", at="2026-03-02T08:59:50Z")
    server.annotate(1, parent_prediction=first)
    assert shown_to(server.made[1][0], server.predicted[1]).id == first


def test_else_it_is_the_newest_that_was_there_when_the_slice_was_opened(server):
    opened_with = server.draft(1, 3)
    server.draft(1, 4, version="elsewhere", at="2026-03-02T08:30:00Z")  # not ours
    server.draft(1, 9, version="r0002-bbbbbb", at="2026-03-02T08:59:50Z")  # 10 s before submitting
    server.annotate(1)
    assert shown_to(server.made[1][0], server.predicted[1]).id == opened_with


def test_a_tab_older_than_every_prediction_began_with_none_newer_than_its_submission(server):
    later = server.draft(1, 3, at="2026-03-02T09:00:01Z")
    server.annotate(1)
    assert shown_to(server.made[1][0], server.predicted[1]) is None
    before = server.draft(1, 3, at="2026-03-02T08:59:59Z")
    assert shown_to(server.made[1][0], server.predicted[1]).id == before != later
