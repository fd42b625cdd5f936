"""Figures and pictures of a project."""

import pytest

from ml_backend.store import Store, StoreError


@pytest.fixture
def store(root):
    return Store(root, 7)


def test_figures_are_kept_by_name_and_replaced_whole(root, store):
    assert store.figures("standing") == {}
    store.keep_figures("standing", {"labelled": 3, "pool": 5})
    store.keep_figures("standing", {"labelled": 4})
    store.keep_figures("records-0001", {"rows": []})
    assert Store(root, 7).figures("standing") == {"labelled": 4}
    assert store.figure_names() == ["records-0001", "standing"]
    assert Store(root, 8).figure_names() == []


def test_damaged_figures_count_as_none_for_they_are_made_again(store, objects):
    for content in (b'{"labelled": ', b"[1]", b"\xff"):
        objects.put("projects/7/figures/standing.json", content)
        assert store.figures("standing") == {}


def test_figures_hold_no_number_that_json_has_not(store):
    with pytest.raises(ValueError, match="JSON"):
        store.keep_figures("people", {"dice": float("nan")})


def test_pictures_come_and_go(store):
    assert store.picture("task-7") is None
    store.keep_picture("task-7", b"\x89PNG")
    assert (store.picture("task-7"), store.picture_names()) == (b"\x89PNG", ["task-7"])
    store.remove_picture("task-7")
    store.remove_picture("task-7")
    assert store.picture_names() == []


@pytest.mark.parametrize("name", ["../current", "a/b", "", ".."])
def test_no_name_leads_out_of_the_store(store, name):
    for reach in (store.figures, store.picture, store.remove_picture):
        with pytest.raises(StoreError):
            reach(name)
