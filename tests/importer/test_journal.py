"""The output folder's journal."""

import json
import os
import tracemalloc

import pytest

from importer import journal as journals
from importer.journal import Journal, TasksError, iter_tasks, write_atomically

RECIPE = {"windows": ["header"]}


def data(number, series="s"):
    return {"slice": f"{series}{number}", "series": series, "image": f"images/{number}.png"}


def filled(out, positions, series="s"):
    with Journal(out, RECIPE) as journal:
        for position in positions:
            journal.add(data(position, series), position)


def places(out):
    return [(t["data"]["slice"], t["data"]["slice_position_mm"]) for t in iter_tasks(out)]


def test_tasks_come_in_the_order_of_their_positions_from_the_lowest(tmp_path):
    filled(tmp_path, [30.0, 10.0, 20.5])
    assert places(tmp_path) == [("s10.0", 0.0), ("s20.5", 10.5), ("s30.0", 20.0)]
    assert "30.0" not in json.dumps([t["data"]["slice_position_mm"] for t in iter_tasks(tmp_path)])


def test_slices_that_come_later_move_none_that_are_tasks_already(tmp_path):
    filled(tmp_path, [30.0, 20.0])
    filled(tmp_path, [10.0, 40.0, 20.0])
    assert dict(places(tmp_path)) == {"s10.0": -10.0, "s20.0": 0.0, "s30.0": 10.0, "s40.0": 20.0}


def test_a_crash_loses_at_most_the_line_it_cut_short(tmp_path):
    journal = Journal(tmp_path, RECIPE)
    journal.add(data(1.0), 1.0)
    journal.add(data(2.0), 2.0)
    journal.flush()
    journal._lock.close()  # as the kernel does for a process that dies
    path = tmp_path / ".import.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert not (tmp_path / "tasks.json").exists()
    filled(tmp_path, [2.0, 3.0])
    assert [name for name, _ in places(tmp_path)] == ["s1.0", "s2.0", "s3.0"]


@pytest.fixture
def recorded(monkeypatch):
    """What is synced, by its inode and size then, a disk by its folder, and what is renamed."""
    calls, fsync, replace, sync_disk = [], os.fsync, os.replace, journals.sync_disk

    def syncing(handle):
        there = os.fstat(handle)
        calls.append((there.st_ino, there.st_size))
        fsync(handle)

    def replacing(part, path):
        calls.append(f"rename to {path.name}")
        replace(part, path)

    def syncing_disk(folder):
        calls.append(f"disk of {folder.name}")
        sync_disk(folder)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    monkeypatch.setattr(journals, "sync_disk", syncing_disk)
    return calls


def test_pictures_are_on_the_disk_before_the_journal_that_names_them(tmp_path, recorded):
    path = tmp_path / ".import.jsonl"
    with Journal(tmp_path, RECIPE) as journal:
        journal.add(data(1.0), 1.0)
        assert recorded == []
        journal.flush()
        assert recorded == ["disk of images", (path.stat().st_ino, path.stat().st_size)]
        recorded.clear()
    assert recorded[:2] == ["disk of images", (path.stat().st_ino, path.stat().st_size)]
    assert recorded[3] == "rename to tasks.json"


def test_a_file_has_its_name_once_it_is_on_the_disk(tmp_path, recorded):
    write_atomically(tmp_path / "note", b"12345")
    file, name, folder = recorded
    assert file == ((tmp_path / "note").stat().st_ino, 5)
    assert name == "rename to note"
    assert folder[0] == tmp_path.stat().st_ino


def test_a_folder_is_of_one_recipe(tmp_path):
    filled(tmp_path, [1.0])
    with pytest.raises(TasksError, match="another --out"):
        Journal(tmp_path, {"windows": ["lung"]})


def test_a_folder_into_which_nothing_came_takes_another_recipe(tmp_path):
    """As after a first import that named a wrong path, and a window that was not meant."""
    filled(tmp_path, [])
    with Journal(tmp_path, {"windows": ["lung"]}) as journal:
        journal.add(data(1.0), 1.0)
    with pytest.raises(TasksError, match="another --out"):
        Journal(tmp_path, RECIPE)


def test_pictures_that_no_line_tells_of_are_of_their_recipe(tmp_path):
    filled(tmp_path, [])
    (tmp_path / "images" / "1.png").touch()
    with pytest.raises(TasksError, match="another --out"):
        Journal(tmp_path, {"windows": ["lung"]})


def test_a_damaged_journal_is_told_with_the_remedy(tmp_path):
    filled(tmp_path, [1.0])
    (tmp_path / ".import.jsonl").write_bytes(b"nonsense\n")
    with pytest.raises(TasksError, match="move"):
        Journal(tmp_path, RECIPE)


def test_two_imports_into_one_folder_do_not_mix(tmp_path):
    with Journal(tmp_path, RECIPE), pytest.raises(TasksError, match="running"):
        Journal(tmp_path, RECIPE)


def test_ten_thousand_slices_take_little_memory(tmp_path):
    tracemalloc.start()
    filled(tmp_path, range(10_000))
    assert sum(1 for _ in iter_tasks(tmp_path)) == 10_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / 10_000 < 600  # bytes a slice: its name and place, not its data
    assert [task["data"]["slice"] for task in iter_tasks(tmp_path)][:2] == ["s0", "s1"]


@pytest.mark.parametrize("text", ["{", "[\n{}\n]", "[\n1\n]"])
def test_tasks_of_another_making_are_told(tmp_path, text):
    (tmp_path / "tasks.json").write_text(text)
    with pytest.raises(TasksError):
        list(iter_tasks(tmp_path))


def test_an_empty_import_is_an_empty_list(tmp_path):
    filled(tmp_path, [])
    assert list(iter_tasks(tmp_path)) == []
    assert json.loads((tmp_path / "tasks.json").read_text()) == []
