"""What is kept of one project."""

import json
import subprocess
import sys

import pytest

from ml_backend.learning.held_out import Side
from ml_backend.store import Store, StoreError, project_ids

from .conftest import FIRST, METADATA, SECOND, THIRD


@pytest.fixture
def store(root):
    return Store(root, 7)


def test_the_pointer_moves_forward_and_back(store):
    assert store.current() is None
    for version in (FIRST, SECOND):
        store.publish(version, [], METADATA)
        store.point_to(version)
        assert store.current() == version
    store.point_to(FIRST)
    assert store.current() == FIRST


def test_the_pointer_refuses_a_version_that_is_not_there(store):
    with pytest.raises(StoreError, match="r0009-aaaaaa"):
        store.point_to("r0009-aaaaaa")


def test_another_process_s_pointer_and_versions_are_seen_at_once(root, store):
    assert store.versions() == []
    other = Store(root, 7)
    other.publish(FIRST, [], METADATA)
    other.point_to(FIRST)
    assert (store.versions(), store.current()) == ([FIRST], FIRST)


def test_the_same_labels_get_the_same_name_and_others_the_next_number(store):
    name = store.name_for("abcdef0123")
    assert name == FIRST
    store.publish(name, [], METADATA)
    assert store.name_for("abcdef0123") == FIRST
    assert store.name_for("123456") == SECOND


def test_the_same_six_digits_of_another_fingerprint_get_the_next_number(store):
    store.publish(FIRST, [], {**METADATA, "fingerprint": "abcdef0123"})
    assert store.name_for("abcdef0123") == FIRST
    other = store.name_for("abcdef9999")
    assert other == "r0001-abcdef"
    store.publish(other, [], {**METADATA, "fingerprint": "abcdef9999"})
    assert [store.name_for(made) for made in ("abcdef0123", "abcdef9999")] == [FIRST, other]


def test_the_oldest_versions_go_with_their_notes_but_never_the_current_one(store, objects):
    names = [f"r{n:04d}-aaaaaa" for n in range(5)]
    for name in names:
        store.publish(name, [], METADATA)
        store.note(name, "order", {"tasks": [1]})
    store.point_to(names[0])
    assert store.retain(3) == names[1:3]
    assert store.versions() == [names[0], *names[3:]]
    assert store.current() == names[0]
    assert store.noted(names[1], "order") == {}
    assert store.noted(names[0], "order") == {"tasks": [1]}
    assert not [key for key in objects.keys("projects/7") if names[1] in key]
    assert store.retain(3) == []


def test_retention_can_be_switched_off(store):
    for name in (FIRST, SECOND):
        store.publish(name, [], METADATA)
    assert store.retain(0) == []
    assert store.versions() == [FIRST, SECOND]


def test_a_note_can_be_replaced(store):
    assert store.noted(FIRST, "round") == {}
    for value in (1, 2):
        store.note(FIRST, "round", {"did": value})
    assert store.noted(FIRST, "round") == {"did": 2}


def test_a_damaged_division_is_never_guessed_anew(store, objects):
    assert store.sides() == {}
    store.keep_sides({"anna": Side.TRAINING})
    assert Store.sides(store) == {"anna": Side.TRAINING}
    objects.put("projects/7/division.json", b'{"anna": ')
    with pytest.raises(StoreError, match=r"division\.json is damaged: restore it"):
        store.sides()


def test_a_project_keeps_settings_of_its_own(root, store, objects):
    assert store.overrides() == {}
    store.keep_overrides({"k": 12, "network": "unet"})
    store.keep_overrides({"k": 24})
    assert store.overrides() == {"k": 24}
    assert Store(root, 8).overrides() == {}
    objects.put("projects/7/settings.json", b"[1")
    with pytest.raises(StoreError, match=r"settings\.json is damaged"):
        store.overrides()


def test_the_projects_of_a_store_are_known(root, store):
    assert project_ids(root) == []
    store.keep_overrides({})
    Store(root, 12).work(FIRST).put("x", b"")
    assert project_ids(root) == [7, 12]


def test_versions_with_a_work_area_are_listed_oldest_first(store):
    assert store.works() == []
    for version in (THIRD, FIRST):
        store.work(version).put("gathered", b"1")
    assert store.works() == [FIRST, THIRD]
    store.work(FIRST).clear()
    assert store.works() == [THIRD]
    assert store.versions() == []


@pytest.mark.parametrize(
    "name", ["../../etc", "r0000-abcdef/../..", "current", "", "r0000-abcdef\n"]
)
def test_a_name_cannot_lead_out_of_the_store(store, name):
    for use in (store.metadata, store.states, store.point_to, store.work):
        with pytest.raises(StoreError, match="looks like"):
            use(name)
    with pytest.raises(StoreError, match="looks like"):
        store.publish(name, [], METADATA)
    with pytest.raises(StoreError, match="looks like"):
        store.note(name, "order", {})


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", ".hidden", "a\0b"])
def test_neither_can_the_name_of_a_note_or_an_artefact(store, name):
    with pytest.raises(StoreError, match="letters"):
        store.note(FIRST, name, {})
    with pytest.raises(StoreError, match="letters"):
        store.work(FIRST).put(name, b"")


def test_the_store_of_a_folder_costs_neither_torch_nor_an_object_store_s_client(tmp_path):
    code = (
        "import sys; from ml_backend.store import Store; s = Store(sys.argv[1], 7);"
        f"s.publish({FIRST!r}, [], {{}}); s.point_to({FIRST!r}); s.versions();"
        "print([m for m in ('torch', 'fsspec', 's3fs', 'botocore') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_store_that_an_earlier_release_wrote_is_read_as_it_is(tmp_path):
    folder = tmp_path / "projects/7"
    (folder / "notes").mkdir(parents=True)
    (folder / "versions" / FIRST).mkdir(parents=True)
    (folder / "versions" / FIRST / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "current").write_text(FIRST)
    (folder / "division.json").write_text('{"anna": "training"}')
    (folder / "notes" / f"{FIRST}-order.json").write_text('{"tasks": [3]}')
    store = Store(tmp_path, 7)
    assert store.current() == FIRST
    assert store.noted(FIRST, "order") == {"tasks": [3]}
    assert store.sides() == {"anna": Side.TRAINING}
    store.point_to(FIRST)


def test_nobody_who_stands_on_a_side_is_moved(store):
    """A look and a round may each have met a patient that the other has not."""
    store.keep_sides({"anna": Side.TRAINING})
    store.keep_sides({"bert": Side.HELD_OUT, "anna": Side.HELD_OUT})
    assert store.sides() == {"anna": Side.TRAINING, "bert": Side.HELD_OUT}
