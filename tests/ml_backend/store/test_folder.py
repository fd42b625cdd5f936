"""Objects as files: rights, atomic writes, and what a killed process leaves."""

import errno
import os
import resource
import signal
import stat
import threading

import pytest

from ml_backend.store import Store, StoreError, project_ids
from ml_backend.store.folder import FolderObjects
from ml_backend.store.objects import ABANDONED_S
from ml_backend.store.places import objects_at

from .conftest import FIRST, METADATA, SECOND, state


def temporaries(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".writing-")]


def in_a_child(work):
    """Run something in a forked process; its exit status, or minus the signal."""
    child = os.fork()
    if not child:
        signal.alarm(60)  # ends a child that hangs
        try:
            work()
            os._exit(0)
        except StoreError:
            os._exit(3)
        finally:
            os._exit(4)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def killed_while_publishing(store, monkeypatch):
    """What is left if a worker is killed with a temporary file in its hands."""

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", die)  # of the manifest
        return in_a_child(lambda: store.publish(FIRST, [state(1)], METADATA))


def test_what_the_store_makes_is_for_its_user_only(tmp_path):
    before = os.umask(0)
    try:
        store = Store(tmp_path / "a/store", 7)
        store.publish(FIRST, [state(1)], METADATA)
        store.point_to(FIRST)
        store.work(FIRST).put("x", b"")
    finally:
        os.umask(before)
    made = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
    rights = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in made}
    assert rights == {(True, 0o700), (False, 0o600)}


def test_a_worker_killed_while_publishing_leaves_no_version_and_the_next_one_makes_it(
    tmp_path, monkeypatch
):
    store = Store(tmp_path, 7)
    assert killed_while_publishing(store, monkeypatch) == -signal.SIGKILL
    assert store.versions() == []
    assert len(temporaries(tmp_path)) == 1
    store.publish(FIRST, [state(1)], METADATA)
    assert store.versions() == [FIRST]
    assert len(temporaries(tmp_path)) == 1  # too young: someone may still write to it


def test_old_temporary_files_go_with_a_later_write_wherever_they_are(tmp_path, monkeypatch):
    store = Store(tmp_path, 7)
    killed_while_publishing(store, monkeypatch)
    store.work(SECOND).put("x", b"")
    kept = tmp_path / "projects/7/work" / SECOND / ".writing-young"
    kept.write_bytes(b"")
    earlier_release = tmp_path / "projects/7/versions/.writing-xyz"
    earlier_release.mkdir()
    (earlier_release / "member-0.safetensors").write_bytes(b"x")
    assert store.versions() == []
    past = kept.stat().st_mtime - ABANDONED_S - 5
    for path in [*temporaries(tmp_path), *earlier_release.iterdir()]:
        if path != kept:
            os.utime(path, (past, past))
    store.publish(SECOND, [], METADATA)
    assert temporaries(tmp_path) == [kept]
    assert store.work(SECOND).names() == {"x"}


def test_a_temporary_file_is_never_seen(tmp_path):
    work = Store(tmp_path, 7).work(FIRST)
    work.put("x", b"")
    (tmp_path / "projects/7/work" / FIRST / ".writing-abc").write_bytes(b"half")
    assert work.names() == {"x"}


def test_a_write_that_the_system_cuts_off_leaves_what_was_there(tmp_path):
    """A real refusal in the middle of a file: no file of this process may exceed 100 kB."""
    store = Store(tmp_path, 7)
    store.publish(FIRST, [], METADATA)
    store.work(SECOND).put("x", b"before")

    # Made before the fork: torch's threads do not come along into a child.
    big = [{"weight": state(1)["weight"].repeat(100_000)}]

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(StoreError, match="free some space"):
            store.work(SECOND).put("x", bytes(200_000))
        Store(tmp_path, 7).work(SECOND).put("y", b"small")
        store.publish(SECOND, big, METADATA)

    assert in_a_child(limited) == 3
    assert store.versions() == [FIRST]
    assert store.work(SECOND).get("x") == b"before"
    assert store.work(SECOND).get("y") == b"small"
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "right to read and write"),
        (errno.EROFS, "right to read and write"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_refusal_names_the_place_and_the_remedy(tmp_path, monkeypatch, number, remedy):
    store = Store(tmp_path, 7)
    store.publish(FIRST, [], METADATA)
    store.point_to(FIRST)

    def refuse(_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        for write in (
            lambda: store.publish(SECOND, [state(1)], METADATA),
            lambda: store.point_to(FIRST),
            lambda: store.note(FIRST, "order", {}),
            lambda: store.work(FIRST).put("x", b""),
            lambda: store.keep_overrides({}),
        ):
            with pytest.raises(StoreError, match=remedy) as refused:
                write()
            assert str(tmp_path) in str(refused.value)
    assert (store.versions(), store.current()) == ([FIRST], FIRST)
    assert temporaries(tmp_path) == []


def test_a_file_in_the_place_of_the_folder_is_an_error_for_people(tmp_path):
    (tmp_path / "store").write_text("")
    store = Store(tmp_path / "store", 7)
    with pytest.raises(StoreError, match="check the disk"):
        store.publish(FIRST, [], METADATA)
    with pytest.raises(StoreError, match="check the disk"):
        store.current()
    with pytest.raises(StoreError, match="check the disk"):
        project_ids(tmp_path / "store")


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    objects = FolderObjects(tmp_path)
    assert objects.put_new("a/b", b"1") is True
    assert objects.put_new("a/b", b"2") is False
    assert objects.get("a/b") == b"1"
    assert temporaries(tmp_path) == []


def test_writing_while_another_process_clears_the_same_folder_loses_nothing(tmp_path):
    objects, failures = FolderObjects(tmp_path), []

    def write(own):
        try:
            for number in range(100):
                objects.put(f"work/{own}-{number}", b"x")
                objects.remove(f"work/{own}-{number}")
            objects.put(f"work/{own}-last", b"x")
        except StoreError as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(own,)) for own in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failures
    assert objects.keys("work") == [f"work/{own}-last" for own in range(4)]


def test_a_file_url_is_the_folder_it_names(tmp_path):
    folder = tmp_path / "my store"
    Store(folder.as_uri(), 7).publish(FIRST, [], METADATA)
    assert Store(folder, 7).versions() == [FIRST]
    assert isinstance(objects_at(folder.as_uri()), FolderObjects)
