"""Published versions."""

import threading

import pytest
import torch

from ml_backend.store import Store, StoreError

FIRST, SECOND = "r0000-abcdef", "r0001-123456"
METADATA = {"labels": ["A"], "training": {}}


def state(value):
    return {"weight": torch.full((3,), float(value)), "count": torch.tensor(value)}


def test_a_published_version_is_read_back_exactly(tmp_path):
    store = Store(tmp_path, 7)
    store.publish(FIRST, [state(1), state(2)], METADATA)
    assert store.metadata(FIRST) == METADATA
    first, second = store.states(FIRST)
    assert torch.equal(first["weight"], state(1)["weight"])
    assert torch.equal(second["count"], state(2)["count"])


def test_a_version_never_changes(tmp_path):
    store = Store(tmp_path, 7)
    store.publish(FIRST, [state(1)], METADATA)
    store.publish(FIRST, [state(9)], {"labels": ["B"]})
    assert store.metadata(FIRST) == METADATA
    assert torch.equal(store.states(FIRST)[0]["weight"], state(1)["weight"])


def test_the_pointer_moves_forward_and_back(tmp_path):
    store = Store(tmp_path, 7)
    assert store.current() is None
    for version in (FIRST, SECOND):
        store.publish(version, [], METADATA)
        store.point_to(version)
        assert store.current() == version
    store.point_to(FIRST)
    assert store.current() == FIRST


def test_the_pointer_refuses_a_version_that_is_not_there(tmp_path):
    store = Store(tmp_path, 7)
    with pytest.raises(StoreError, match="r0009-aaaaaa"):
        store.point_to("r0009-aaaaaa")


def test_a_half_written_version_is_not_one(tmp_path):
    store = Store(tmp_path, 7)
    store.publish(FIRST, [], METADATA)
    (tmp_path / "projects/7/versions/.writing-xyz").mkdir()
    assert store.versions() == [FIRST]


def test_the_same_labels_get_the_same_name_and_others_the_next_number(tmp_path):
    store = Store(tmp_path, 7)
    name = store.name_for("abcdef0123")
    assert name == FIRST
    store.publish(name, [], METADATA)
    assert store.name_for("abcdef0123") == FIRST
    assert store.name_for("123456") == SECOND


def test_versions_are_ordered_by_number_beyond_four_digits(tmp_path):
    store = Store(tmp_path, 7)
    for version in ("r10000-aaaaaa", "r9999-bbbbbb"):
        store.publish(version, [], METADATA)
    assert store.versions() == ["r9999-bbbbbb", "r10000-aaaaaa"]


def test_damaged_weights_are_refused_with_the_version_named(tmp_path):
    store = Store(tmp_path, 7)
    store.publish(FIRST, [state(1)], METADATA)
    path = tmp_path / "projects/7/versions" / FIRST / "member-0.safetensors"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(StoreError, match=FIRST):
        store.states(FIRST)


@pytest.mark.parametrize("name", ["../../etc", "r0000-abcdef/../..", "current", ""])
def test_a_name_cannot_lead_out_of_the_store(tmp_path, name):
    with pytest.raises(StoreError, match="looks like"):
        Store(tmp_path, 7).metadata(name)


def test_two_workers_publishing_the_same_version_at_once_leave_one_whole(tmp_path):
    store = Store(tmp_path, 7)
    threads = [
        threading.Thread(target=store.publish, args=(FIRST, [state(1)], METADATA)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(store.states(FIRST)[0]["weight"], state(1)["weight"])
    assert [p.name for p in (tmp_path / "projects/7/versions").iterdir()] == [FIRST]
