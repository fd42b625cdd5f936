"""Published versions."""

import json
import threading

import pytest
import torch
from safetensors.torch import save

from ml_backend.store import DamagedError, Store, StoreError
from ml_backend.store.objects import ABANDONED_S

from .conftest import FIRST, METADATA, SECOND, state

FOLDER = f"projects/7/versions/{FIRST}"


@pytest.fixture
def store(root):
    return Store(root, 7)


def key_of(objects, start):
    (key,) = [key for key in objects.keys(FOLDER) if key.startswith(f"{FOLDER}/{start}")]
    return key


def test_a_published_version_is_read_back_exactly(store):
    store.publish(FIRST, [state(1), state(2)], METADATA)
    assert store.metadata(FIRST) == METADATA
    first, second = store.states(FIRST)
    assert torch.equal(first["weight"], state(1)["weight"])
    assert torch.equal(second["count"], state(2)["count"])


def test_a_version_without_a_committee_has_no_states(store):
    store.publish(FIRST, [], METADATA)
    assert store.states(FIRST) == []


def test_members_stay_in_their_order_beyond_nine(store):
    store.publish(FIRST, [state(n) for n in range(12)], METADATA)
    assert [int(member["count"]) for member in store.states(FIRST)] == list(range(12))


def test_a_version_never_changes(store):
    store.publish(FIRST, [state(1)], METADATA)
    store.publish(FIRST, [state(9)], {"labels": ["B"]})
    assert store.metadata(FIRST) == METADATA
    assert torch.equal(store.states(FIRST)[0]["weight"], state(1)["weight"])


def test_versions_are_ordered_by_number_beyond_four_digits(store):
    for version in ("r10000-aaaaaa", "r9999-bbbbbb"):
        store.publish(version, [], METADATA)
    assert store.versions() == ["r9999-bbbbbb", "r10000-aaaaaa"]


def test_without_its_manifest_there_is_no_version(store, objects):
    store.publish(FIRST, [state(1)], METADATA)
    objects.remove(f"{FOLDER}/manifest.json")
    assert store.versions() == []
    with pytest.raises(DamagedError, match=f"{FIRST} is missing"):
        store.metadata(FIRST)
    with pytest.raises(StoreError, match="there is no version"):
        store.point_to(FIRST)
    assert store.name_for("abcdef") == FIRST
    store.publish(FIRST, [state(1)], METADATA)
    assert store.versions() == [FIRST]


@pytest.mark.parametrize("file", ["member-1", "version", "manifest"])
@pytest.mark.parametrize("damage", ["a bit", "cut off", "empty", "gone", "other bytes"])
def test_damage_is_noticed_with_the_version_named_and_the_remedy(store, objects, file, damage):
    store.publish(FIRST, [state(1), state(2)], METADATA)
    key = key_of(objects, file)
    content = objects.get(key)
    middle = len(content) // 2
    damaged = {
        # In a manifest, a bit of a checksum's first digit.
        "a bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut off": content[:-5],
        "empty": b"",
        "gone": None,
        "other bytes": b"\xff" * len(content),
    }[damage]
    if damaged is None:
        objects.remove(key)
    else:
        objects.put(key, damaged)
    if (file, damage) == ("manifest", "gone"):
        assert store.versions() == []
        return
    with pytest.raises(DamagedError, match=rf"{FIRST} has damaged .*roll back to another"):
        store.metadata(FIRST)
        store.states(FIRST)


def test_a_damaged_version_is_whole_again_once_its_round_publishes_it_again(store, objects):
    store.publish(FIRST, [state(1)], METADATA)
    objects.put(key_of(objects, "member-0"), b"x")
    store.publish(FIRST, [state(1)], METADATA)
    assert torch.equal(store.states(FIRST)[0]["weight"], state(1)["weight"])


def test_weights_in_the_names_of_another_version_s_files_are_refused(store, objects):
    """Both files are whole by themselves: only the manifest knows that one is out of place."""
    store.publish(FIRST, [state(1), state(2)], METADATA)
    objects.put(key_of(objects, "member-0"), save(state(2)))
    with pytest.raises(StoreError, match="member-0"):
        store.states(FIRST)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_not_published(store, value):
    diverged = {"weight": torch.tensor([1.0, value])}
    with pytest.raises(StoreError, match="training of member 1 diverged"):
        store.publish(FIRST, [state(1), diverged], METADATA)
    assert store.versions() == []


def published_again(store, version):
    store.publish(version, [state(2)], METADATA)


@pytest.mark.parametrize(
    ("file", "ask"),
    [
        ("manifest", Store.metadata),
        ("version", Store.metadata),
        ("member-0", Store.states),
        ("member-0", published_again),
    ],
)
def test_what_cannot_be_read_for_a_moment_is_neither_damaged_nor_replaced(tmp_path, file, ask):
    store = Store(tmp_path, 7)
    store.publish(FIRST, [state(1)], METADATA)
    (path,) = (tmp_path / FOLDER).glob(f"{file}*")
    away = path.rename(tmp_path / "away")
    path.mkdir()
    with pytest.raises(StoreError, match="could not be read") as told:
        ask(store, FIRST)
    assert not isinstance(told.value, DamagedError)
    path.rmdir()
    away.rename(path)
    assert torch.equal(store.states(FIRST)[0]["weight"], state(1)["weight"])


@pytest.mark.parametrize("same", [True, False])
def test_two_workers_publishing_the_same_version_at_once_leave_one_whole(root, objects, same):
    """Even if their machines do not train to the same bit."""
    numbers = [0 if same else n for n in range(8)]
    workers = [
        threading.Thread(
            target=Store(root, 7).publish, args=(FIRST, [state(n), state(n)], {"by": n})
        )
        for n in numbers
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store = Store(root, 7)
    by = store.metadata(FIRST)["by"]
    assert [int(member["count"]) for member in store.states(FIRST)] == [by, by]
    assert store.versions() == [FIRST]
    assert not [key for key in objects.keys("projects/7") if "writing" in key]


def test_a_version_of_an_earlier_release_without_a_manifest_is_still_loaded(store, objects):
    objects.put(f"{FOLDER}/metadata.json", json.dumps(METADATA).encode())
    for index in range(2):
        objects.put(f"{FOLDER}/member-{index}.safetensors", save(state(index)))
    assert store.versions() == [FIRST]
    assert store.metadata(FIRST) == METADATA
    assert [int(member["count"]) for member in store.states(FIRST)] == [0, 1]
    store.publish(FIRST, [state(9)], METADATA)
    assert [int(member["count"]) for member in store.states(FIRST)] == [0, 1]
    objects.put(f"{FOLDER}/member-1.safetensors", save(state(1))[:20])
    with pytest.raises(StoreError, match=f"{FIRST} has damaged weights"):
        store.states(FIRST)


def test_what_a_killed_publish_left_goes_with_a_later_one_but_only_when_it_is_old(
    store, objects, monkeypatch
):
    objects.put(f"{FOLDER}/member-0-abc.safetensors", b"x")
    store.publish(SECOND, [], METADATA)
    assert objects.keys(FOLDER)  # its worker may still be at it
    monkeypatch.setattr(type(objects), "age_s", lambda self, key: ABANDONED_S + 1)
    store.publish("r0002-bbbbbb", [], METADATA)
    assert not objects.keys(FOLDER)
    assert store.versions() == [SECOND, "r0002-bbbbbb"]


@pytest.mark.parametrize("puts", range(4))
def test_a_publish_that_is_refused_at_any_of_its_writes_leaves_no_version(
    store, objects, monkeypatch, puts
):
    left, real = [puts], {name: getattr(type(objects), name) for name in ("put", "put_new")}

    def refusing(name):
        def write(self, key, content):
            if not left[0]:
                raise StoreError("the disk is full: free some space")
            left[0] -= 1
            return real[name](self, key, content)

        return write

    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(type(objects), name, refusing(name))
        with pytest.raises(StoreError, match="full"):
            store.publish(FIRST, [state(1), state(2)], METADATA)
    assert store.versions() == []
    store.publish(FIRST, [state(1), state(2)], METADATA)
    assert len(store.states(FIRST)) == 2
