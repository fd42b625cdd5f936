"""Objects behind an fsspec URL; the real server is in tests/live/test_object_store.py."""

import os
import signal

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ml_backend.store import Store, StoreError
from ml_backend.store.remote import RemoteObjects

from .conftest import FIRST, METADATA


@pytest.fixture
def url(tmp_path):
    return f"memory://{tmp_path.name}/store"


def raising(error):
    def raise_it(*_, **__):
        raise error

    return raise_it


def test_a_key_is_written_once_only_if_that_is_asked(url):
    objects = RemoteObjects(url)
    assert objects.put_new("a/b", b"1") is True
    assert objects.put_new("a/b", b"2") is False
    assert objects.get("a/b") == b"1"
    objects.put("a/b", b"3")
    assert objects.get("a/b") == b"3"


def test_a_file_system_that_cannot_write_only_once_is_asked_first(url, monkeypatch):
    whole = MemoryFileSystem.pipe_file

    def pipe_file(self, path, value, mode="overwrite", **options):
        if mode == "create":
            raise NotImplementedError
        return whole(self, path, value, **options)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    objects = RemoteObjects(url)
    assert objects.put_new("a/b", b"1") is True
    assert objects.put_new("a/b", b"2") is False
    assert objects.get("a/b") == b"1"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ConnectionRefusedError(111, "refused"), "check that the server runs"),
        (TimeoutError(), "check that the server runs"),
        (PermissionError("Forbidden"), "check the credentials"),
        (ImportError("Install s3fs to access S3"), "pip install s3fs"),
        (RuntimeError("secret-token-in-a-url"), "check that the server runs"),
    ],
)
def test_whatever_a_file_system_raises_is_an_error_for_people(url, monkeypatch, error, remedy):
    store = Store(url, 7)
    for method in ("pipe_file", "cat_file", "find", "rm_file"):
        monkeypatch.setattr(MemoryFileSystem, method, raising(error))
    for use in (
        store.current,
        store.versions,
        lambda: store.publish(FIRST, [], METADATA),
        lambda: store.keep_overrides({}),
        lambda: store.work(FIRST).put("x", b""),
        lambda: store.work(FIRST).get("x"),
    ):
        with pytest.raises(StoreError, match=remedy) as raised:
            use()
        assert url in str(raised.value)
        assert "secret" not in str(raised.value)


def test_the_queue_s_time_limit_is_not_taken_for_a_fault_of_the_store(url, monkeypatch):
    from rq.timeouts import JobTimeoutException

    monkeypatch.setattr(MemoryFileSystem, "cat_file", raising(JobTimeoutException("too long")))
    with pytest.raises(JobTimeoutException):
        Store(url, 7).current()


def test_an_unknown_kind_of_address_is_an_error_that_names_the_setting():
    with pytest.raises(StoreError, match="QUORUM_STORE_URL"):
        Store("nonsense://bucket", 7).versions()


def test_a_password_in_the_address_is_not_shown():
    assert RemoteObjects("ftp://anna:pass@server/store").where == "ftp://server/store"


def test_no_listing_is_remembered_and_no_instance_shared(url):
    ours, _ = RemoteObjects(url)._open()
    assert not ours.dircache.use_listings_cache
    assert ours is not fsspec.filesystem("memory")


def test_a_forked_process_opens_connections_of_its_own(url):
    objects = RemoteObjects(url)
    parents, _ = objects._open()
    child = os.fork()
    if not child:
        signal.alarm(60)  # ends a child that hangs
        own, _ = objects._open()
        os._exit(0 if own is not parents and objects._inherited == [parents] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert objects._open()[0] is parents
