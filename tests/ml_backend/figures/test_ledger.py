"""The ledger of records, in a real store; tests/live/test_records.py has a real Label Studio."""

from dataclasses import replace

import numpy as np
import pytest

from ml_backend.figures.ledger import ROWS, Ledger, refresh_records
from ml_backend.figures.reading import shown_to
from ml_backend.figures.records import WITH, WITHOUT, Record
from ml_backend.label_studio import Annotation, Task
from ml_backend.label_studio.drafts import StoredPrediction
from ml_backend.masks import BrushConfig, to_regions
from ml_backend.pool import held_back
from ml_backend.settings import Settings
from ml_backend.store import Store
from ml_backend.survey import Survey

CONFIG = BrushConfig("mask", "image", "image", ("lesion",))
OPEN, COMMITTEE = "r0000-000000", "r0001-aaaaaa"


def square(size):
    drawn = np.zeros((16, 16), dtype=np.uint8)
    drawn[:size, :size] = 1
    return drawn


class Server:
    """Annotations and predictions by task."""

    def __init__(self):
        self.made, self.predicted, self.asked = {}, {}, []

    def annotate(self, task_id, size=4, annotator=1, at="2026-03-02T09:00:00Z", **fields):
        number = 100 * task_id + len(self.made.get(task_id, []))
        regions = to_regions(square(size), CONFIG)
        given = {"lead_time_s": 30.0, "created_at": at, **fields}
        self.made.setdefault(task_id, []).append(
            Annotation(number, task_id, at, annotator, regions, **given)
        )
        return number

    def draft(self, task_id, size, version=COMMITTEE, at="2026-03-02T08:00:00Z"):
        own = self.predicted.setdefault(task_id, [])
        regions = to_regions(square(size), CONFIG) if size else []
        own.append(StoredPrediction(1000 * task_id + len(own), version, at, regions))
        return own[-1].id

    def annotations(self, project_id, task_ids):
        self.asked += task_ids
        return [a for task_id in task_ids for a in self.made.get(task_id, [])]

    def stored_predictions(self, task_id):
        return self.predicted.get(task_id, [])

    def survey(self):
        tasks = [
            Task(n, {}, True, len(own), 0, repr([(a.id, a.updated_at) for a in own]) if own else "")
            for n, own in sorted(self.made.items())
        ]
        return Survey(1, CONFIG, tasks, None, np.zeros(len(tasks), bool), "slice")


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path, 1)
    made.publish(OPEN, [], {"labels": ["lesion"], "training": {}})
    made.publish(COMMITTEE, [], {"labels": ["lesion"], "training": {"steps": 8}})
    return made


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path, hold_drafts_back=0.5)


def refresh(server, store, settings, **options):
    left = refresh_records(server, store, 1, server.survey(), settings, **options)
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


def test_work_is_bounded_and_told_how_much_remains(server, store, settings):
    for task in range(1, 121):
        server.annotate(task)
    remaining = []
    while not remaining or remaining[-1]:
        remaining.append(refresh(server, store, settings, at_most=50)[0])
    assert remaining == [70, 20, 0]
    assert len(server.asked) == 120


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


def test_what_quorum_made_is_no_ones_work_until_somebody_changes_it(server, store, settings):
    number = server.annotate(1)
    server.annotate(2)
    made = {str(number): "2026-03-02T09:00:00Z"}
    store.keep_figures("rest-made", {"annotations": made})
    _, found = refresh(server, store, settings)
    assert set(found) == {2}
    server.made[1] = [replace(a, updated_at="2026-03-02T10:00:00Z") for a in server.made[1]]
    _, found = refresh(server, store, settings)
    assert set(found) == {1, 2}


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


# -- pieces -----------------------------------------------------------------------------------


def many(count):
    moment = "2026-03-02T08:00:00Z"
    return [Record(n, n, n % 20, moment, moment, 30.0) for n in range(1, count + 1)]


def filled(count):
    ledger = Ledger()
    for record in many(count):
        ledger.replace(record.task, "1", [record])
    return ledger


def test_records_are_kept_in_pieces_and_one_label_writes_one(store):
    ledger = filled(2 * ROWS + 10)
    assert ledger.save(store) == ["records-0000", "records-0001", "records-0002"]
    again = Ledger.read(store)
    assert again.records() == many(2 * ROWS + 10)
    assert again.save(store) == []
    again.remove(ROWS + 5)
    assert again.save(store) == ["records-0001"]
    again.replace(9_999, "1", many(1))
    assert again.save(store) == ["records-0001"]  # where there is room


def test_a_damaged_piece_is_read_anew_and_no_other(store, tmp_path):
    filled(2 * ROWS).save(store)
    (path,) = tmp_path.rglob("records-0000.json")
    path.write_bytes(b"{")
    assert min(Ledger.read(store).seen()) == ROWS + 1
    store.keep_figures("records-0001", {"fields": ["of", "another", "release"], "rows": [[1]]})
    assert Ledger.read(store).seen() == {}


def test_a_task_that_two_processes_recorded_counts_once(store):
    filled(3).save(store)
    store.keep_figures("records-0001", store.figures("records-0000"))
    ledger = Ledger.read(store)
    assert ledger.records() == many(3)
    assert ledger.save(store) == ["records-0001"]
    assert store.figures("records-0001")["rows"] == []
