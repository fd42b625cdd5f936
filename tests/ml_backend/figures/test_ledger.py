"""The ledger's pieces, in a real store."""

import pytest

from ml_backend.figures.ledger import ROWS, Ledger
from ml_backend.figures.records import Record
from ml_backend.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, 1)


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


def test_records_of_another_meaning_stand_until_they_are_read_again(store):
    filled(ROWS + 3).save(store)
    store.keep_figures("records-0001", {**store.figures("records-0001"), "meaning": 1})
    ledger = Ledger.read(store)
    assert ledger.records() == many(ROWS + 3)
    due = [task for task, changed in ledger.seen().items() if changed != "1"]
    assert due == [ROWS + 1, ROWS + 2, ROWS + 3]


def test_a_task_that_two_processes_recorded_counts_once(store):
    filled(3).save(store)
    store.keep_figures("records-0001", store.figures("records-0000"))
    ledger = Ledger.read(store)
    assert ledger.records() == many(3)
    assert ledger.save(store) == ["records-0001"]
    assert store.figures("records-0001")["rows"] == []


def test_what_many_records_have_in_common_is_held_once(store):
    ledger = Ledger()
    for task in (1, 2):
        moment = f"2026-03-02T08:00:0{task}Z"
        made = Record(task, task, 1, moment, moment, 30.0, "with", "r0001-aaaaaa")
        ledger.replace(task, "1", [made])
    ledger.save(store)
    first, second = Ledger.read(store).records()
    assert first.created_at is first.updated_at
    assert first.draft_version is second.draft_version and first.arm is second.arm
