"""The store in an object store: OpenStack Swift's S3 API, over HTTP, with faults."""

import os
import signal
import subprocess
import sys
import threading

import fsspec
import pytest
import torch
from safetensors.torch import save

from ml_backend.store import Store, StoreError, project_ids

from .object_server import Swift

FIRST, SECOND = "r0000-abcdef", "r0001-123456"
METADATA = {"labels": ["lesion"], "training": {"steps": 8}}
ROOT = "s3://artefacts/quorum"
MEMBER_BYTES = 4_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Swift with a bucket, and its address and keys where s3fs looks for them."""
    swift = Swift(tmp_path_factory.mktemp("swift"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in swift.environment.items():
            patch.setenv(name, value)
        try:
            fsspec.filesystem("s3", skip_instance_cache=True).mkdir("artefacts")
            yield swift
        finally:
            swift.stop()


_projects = iter(range(1, 1000))


@pytest.fixture
def project_id(server):
    server.start()
    return next(_projects)


@pytest.fixture
def store(project_id):
    return Store(ROOT, project_id)


def member(value):
    return {"weight": torch.full((MEMBER_BYTES // 4,), float(value)), "value": torch.tensor(value)}


def values(store, version):
    return [int(state["value"]) for state in store.states(version)]


class Interrupted(list):
    """Members of a committee; before one of them is written, something happens."""

    def __init__(self, members, index, happens):
        super().__init__(members)
        self._index, self._happens = index, happens

    def __iter__(self):
        for index, one in enumerate(super().__iter__()):
            if index == self._index:
                self._happens()
            yield one
        if self._index >= len(self):  # before the manifest
            self._happens()


def in_a_child(work):
    """Run something in a forked process, as the queue does for a job; its exit status."""
    child = os.fork()
    if not child:
        signal.alarm(120)  # ends a child that hangs
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_committee_is_published_pointed_to_rolled_back_and_retained(store, project_id):
    names = [f"r{n:04d}-aaaaaa" for n in range(4)]
    for number, name in enumerate(names):
        store.publish(name, [member(number), member(number + 10)], {**METADATA, "n": number})
        store.note(name, "order", {"tasks": [number]})
        store.point_to(name)
    other = Store(ROOT, project_id)  # another process: it opens connections of its own
    assert other.versions() == names
    assert (other.current(), other.metadata(names[2])["n"]) == (names[3], 2)
    assert values(other, names[3]) == [3, 13]
    other.point_to(names[0])
    assert store.current() == names[0]
    assert store.retain(2) == names[1:3]
    assert other.versions() == [names[0], names[3]]
    assert (other.noted(names[1], "order"), other.noted(names[3], "order")) == ({}, {"tasks": [3]})
    assert project_id in project_ids(ROOT)


def test_a_round_s_scratch_of_20_mb_comes_back_exactly(store):
    work, content = store.work(FIRST), os.urandom(20_000_000)
    work.put("training", content)
    work.put("member-0", b"weights")
    assert work.get("training") == content
    assert (work.names(), store.works()) == ({"training", "member-0"}, [FIRST])
    work.clear()
    assert (work.names(), store.works(), work.get("training")) == (set(), [], None)


def test_an_object_that_s3_takes_in_parts_comes_back_exactly(store):
    content = os.urandom(1_100_000) * 100
    store.work(FIRST).put("training", content)
    assert store.work(FIRST).get("training") == content
    store.work(FIRST).clear()


@pytest.mark.parametrize("written", range(3), ids=["nothing", "a member", "all but the manifest"])
def test_a_server_killed_while_a_version_is_published_leaves_no_half_of_it(server, store, written):
    store.publish(FIRST, [member(1)], METADATA)
    store.point_to(FIRST)
    with pytest.raises(StoreError, match="check that the server runs"):
        store.publish(SECOND, Interrupted([member(1), member(2)], written, server.kill), METADATA)
    with pytest.raises(StoreError, match="check that the server runs"):
        store.current()
    server.start()
    assert (store.versions(), store.current()) == ([FIRST], FIRST)
    with pytest.raises(StoreError, match="there is no version"):
        store.point_to(SECOND)
    store.publish(SECOND, [member(1), member(2)], METADATA)
    assert values(store, SECOND) == [1, 2]


def test_a_server_killed_in_the_middle_of_an_upload_leaves_what_was_there(server, store):
    store.work(FIRST).put("training", b"before")
    killer = threading.Timer(0.2, server.kill)
    killer.start()
    with pytest.raises(StoreError, match="check that the server runs"):
        for _ in range(100):
            store.work(FIRST).put("shard-0", bytes(20_000_000))
    killer.join()
    server.start()
    assert store.work(FIRST).get("training") == b"before"
    assert store.work(FIRST).get("shard-0") in (None, bytes(20_000_000))
    store.work(FIRST).put("shard-0", b"again")
    assert store.work(FIRST).get("shard-0") == b"again"


def test_a_worker_killed_while_it_publishes_leaves_no_half_version(store):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    members = Interrupted([member(1), member(2)], 1, die)
    assert in_a_child(lambda: store.publish(FIRST, members, METADATA)) == -signal.SIGKILL
    assert store.versions() == []
    store.publish(FIRST, [member(1), member(2)], METADATA)
    assert values(store, FIRST) == [1, 2]


@pytest.mark.parametrize("cut_off", [False, True], ids=["a flipped bit", "cut off"])
def test_weights_damaged_on_the_server_s_disk_are_refused(server, store, project_id, cut_off):
    odd = project_id  # a size that no other object has
    state = {"weight": torch.ones(50_000 + odd)}
    store.publish(FIRST, [member(1)], METADATA)
    store.publish(SECOND, [state], METADATA)
    (path,) = server.files_of(len(save(state)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with path.open("r+b") as file:  # in place: Swift keeps what it knows in the file's attributes
        file.write(content)
        file.truncate(len(content) // 2 if cut_off else len(content))
    for _ in range(2):  # Swift sets it aside once it has noticed
        with pytest.raises(StoreError, match=f"{SECOND} has damaged weights.*roll back"):
            Store(ROOT, project_id).states(SECOND)
    assert values(store, FIRST) == [1]


def test_a_store_made_before_a_fork_works_in_the_job_s_process_and_after_it(store):
    store.publish(FIRST, [member(1)], METADATA)
    store.point_to(FIRST)

    def job(number):
        work = store.work(FIRST)
        work.put(f"shard-{number}", bytes([number]) * 1_000_000)
        return (
            values(store, FIRST) == [1]
            and store.current() == FIRST
            and work.get(f"shard-{number}") == bytes([number]) * 1_000_000
        )

    for number in range(3):
        assert in_a_child(lambda number=number: job(number)) == 0
        assert store.work(FIRST).get(f"shard-{number}") == bytes([number]) * 1_000_000
        assert store.current() == FIRST


@pytest.mark.parametrize("same", [True, False], ids=["same bits", "other bits"])
def test_workers_that_publish_the_same_version_at_once_leave_one_whole(store, same):
    # Made before the fork: torch's threads do not come along into a child.
    committees = [[member(0 if same else n) for _ in range(2)] for n in range(4)]
    children = []
    for number, committee in enumerate(committees):
        child = os.fork()
        if not child:
            try:
                store.publish(FIRST, committee, {"by": 0 if same else number})
                os._exit(0)
            finally:
                os._exit(4)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    by = store.metadata(FIRST)["by"]
    assert values(store, FIRST) == [by, by]
    assert store.versions() == [FIRST]


def test_a_fresh_process_finds_everything_through_the_environment(store, project_id):
    store.publish(FIRST, [member(5)], METADATA)
    store.point_to(FIRST)
    code = (
        "import sys; from ml_backend.store import Store; s = Store(sys.argv[1], int(sys.argv[2]));"
        "v = s.current(); print(v, s.metadata(v)['labels'], int(s.states(v)[0]['value']))"
    )
    command = [sys.executable, "-c", code, ROOT, str(project_id)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{FIRST} ['lesion'] 5"


def test_wrong_keys_and_a_bucket_that_is_not_there_are_errors_for_people(store, monkeypatch):
    store.keep_overrides({"k": 3})
    lost = Store("s3://nowhere/quorum", 1)
    for use in (lost.current, lost.versions, lost.sides, lambda: lost.keep_overrides({})):
        with pytest.raises(StoreError, match="make the bucket"):
            use()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    refused = Store(ROOT, 1)
    for use in (refused.current, refused.versions, lambda: refused.keep_overrides({})):
        with pytest.raises(StoreError, match="check the credentials"):
            use()
