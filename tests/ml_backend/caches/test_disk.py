"""What is kept on a machine: never more than allowed, whoever writes, and the useful part of it."""

import fcntl
import multiprocessing
import os
import stat
import time

import pytest

from ml_backend.caches.disk import DiskCache

DAY_S = 24 * 3600


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def kept(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "used"]
    return sorted(path.relative_to(folder).as_posix() for path in files)


def size_of(folder):
    return sum((folder / name).stat().st_size for name in kept(folder))


def aged(folder, name, days=2.0):
    then = time.time() - days * DAY_S
    os.utime(folder / name, (then, then))


def write(folder, number, limit, wrong, all_there):
    cache = DiskCache(folder, limit)
    all_there.wait(60)
    for n in range(60):
        cache.put(f"projects/{number}/labels/{n % 40}", bytes(100 + 10 * (n % 7)))
        with (folder / "used").open() as count:
            fcntl.flock(count, fcntl.LOCK_EX)  # else some may be gone once others are looked at
            if size_of(folder) > limit:
                wrong.put(size_of(folder))


def test_processes_that_write_at_the_same_time_never_exceed_the_limit_together(folder):
    context = multiprocessing.get_context("spawn")
    wrong, all_there, limit = context.SimpleQueue(), context.Barrier(3), 8000
    writers = [
        context.Process(target=write, args=(folder, number, limit, wrong, all_there))
        for number in range(1, 4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 3
    assert wrong.empty()
    assert 0.8 * limit < size_of(folder) <= limit


def test_the_least_recently_used_of_all_projects_goes_first(folder):
    cache = DiskCache(folder, 1000)
    names = [f"projects/{project}/labels/{n}" for project in (1, 2) for n in (1, 2, 3, 4, 5)]
    for name in names:
        cache.put(name, bytes(100))
    for days, name in enumerate(names, start=2):  # the later ones are older
        aged(folder, name, days)
    assert cache.get(names[-1]) == bytes(100)  # the oldest is used again
    cache.put("projects/3/labels/1", bytes(100))
    # One for the newcomer, one for those that come after it.
    assert kept(folder) == sorted([*names[:-3], names[-1], "projects/3/labels/1"])


def test_what_was_used_today_is_not_evicted_for_a_newcomer(folder):
    cache = DiskCache(folder, 300)
    for name in ("1/1", "1/2", "2/1"):
        cache.put(name, bytes(100))
    cache.put("3/1", bytes(100))
    assert kept(folder) == ["1/1", "1/2", "2/1"]


def test_of_a_pool_that_does_not_fit_the_same_part_is_found_each_time(folder):
    cache = DiskCache(folder, 500)

    def found():
        hits = []
        for n in range(20):
            if cache.get(f"1/{n}") is None:
                cache.put(f"1/{n}", bytes(100))
            else:
                hits.append(n)
        return hits

    assert [found() for _ in range(3)] == [[], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_a_full_folder_is_not_looked_through_at_each_write(folder):
    cache = DiskCache(folder, 300)
    for n in range(4):
        cache.put(f"1/{n}", bytes(100))
    aged(folder, "1/0")
    cache.put("2/1", bytes(100))  # it has just been looked through
    assert kept(folder) == ["1/0", "1/1", "1/2"]
    (folder / "used").unlink()
    cache.put("2/1", bytes(100))
    assert kept(folder) == ["1/1", "1/2", "2/1"]


def test_one_that_has_no_room_any_more_leaves_nothing_outdated_behind(folder):
    cache = DiskCache(folder, 300)
    cache.put("1/1", bytes(100))
    cache.put("1/2", bytes(200))
    cache.put("1/1", b"1" * 100)
    assert cache.get("1/1") == b"1" * 100
    cache.put("1/1", bytes(101))
    assert cache.get("1/1") is None and cache.get("1/2") == bytes(200)


def test_a_share_leaves_the_rest_to_others(folder):
    shared, whole = DiskCache(folder, 400, share=0.5), DiskCache(folder, 400)
    for n in range(4):
        shared.put(f"1/{n}", bytes(100))
    assert kept(folder) == ["1/0", "1/1"]
    for n in range(4):
        whole.put(f"2/{n}", bytes(100))
    assert kept(folder) == ["1/0", "1/1", "2/0", "2/1"]


@pytest.mark.parametrize("record", [None, b"", b"\xff" * 16, b"{}"])
def test_without_a_count_it_is_counted_anew(folder, record):
    DiskCache(folder, 1000).put("1/1", bytes(250))
    if record is None:
        (folder / "used").unlink()
    else:
        (folder / "used").write_bytes(record)
    cache = DiskCache(folder, 300)
    cache.put("1/2", bytes(100))
    cache.put("1/3", bytes(50))
    assert kept(folder) == ["1/1", "1/3"]


def die_while_writing(folder):
    cache = DiskCache(folder, 300)
    cache._write = lambda path, content: (path.write_bytes(content), os._exit(9))
    cache.put("1/2", bytes(200))


def test_what_a_killed_process_has_written_is_counted(folder):
    DiskCache(folder, 300).put("1/1", bytes(50))
    process = multiprocessing.get_context("spawn").Process(target=die_while_writing, args=(folder,))
    process.start()
    process.join(60)
    assert process.exitcode == 9 and kept(folder) == ["1/1", "1/2"]
    DiskCache(folder, 300).put("1/3", bytes(100))
    assert kept(folder) == ["1/1", "1/2"]


def test_trimming_counts_what_others_wrote_and_evicts_the_oldest(folder):
    cache = DiskCache(folder, 1000)
    for n in range(5):
        cache.put(f"1/{n}", bytes(100))
        aged(folder, f"1/{n}", days=n / 100)  # all of today
    (folder / "1" / "9").write_bytes(bytes(100))
    DiskCache(folder, 300).trim()
    assert kept(folder) == ["1/0", "1/1", "1/9"]
    DiskCache(folder, 0).trim()
    assert kept(folder) == []


def test_a_folder_can_be_removed_and_its_room_is_free_again(folder):
    cache = DiskCache(folder, 200)
    cache.put("projects/1/labels/1", bytes(200))
    assert cache.folders("projects") == ["1"]
    cache.remove("projects/1")
    cache.remove("projects/7")
    assert cache.folders("projects") == []
    cache.put("projects/2/labels/1", bytes(200))
    assert kept(folder) == ["projects/2/labels/1"]


def test_all_but_some_can_be_removed_and_their_room_is_free_again(folder):
    cache = DiskCache(folder, 300)
    for n in (1, 2, 3):
        cache.put(f"1/{n}", bytes(100))
    cache.put("1/4", bytes(100))  # in vain: all was looked through for room just now
    cache.keep_only("1", {"2"})
    cache.keep_only("5", {"2"})
    cache.put("2/1", bytes(200))
    assert kept(folder) == ["1/2", "2/1"]


def test_all_files_and_folders_are_this_users_alone(folder):
    DiskCache(folder, 300).put("1/2/3", bytes(100))
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_place_that_cannot_be_used_is_told_once_and_harms_nothing(tmp_path, caplog):
    (tmp_path / "cache").write_text("not a folder")
    cache = DiskCache(tmp_path / "cache", 300)
    for n in (1, 2):
        cache.put(f"1/{n}", bytes(100))
    assert cache.get("1/1") is None and not cache.keeps
    (record,) = caplog.records
    assert str(tmp_path / "cache") in record.message
