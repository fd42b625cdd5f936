"""All figures of a project, brought up to date with what a look has read."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ml_backend.figures import ledger
from ml_backend.figures import refresh as refreshing
from ml_backend.figures.refresh import refresh
from ml_backend.label_studio import LabelStudioError
from ml_backend.settings import Settings
from ml_backend.store import Store

from .annotated import Server


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, 1)


@pytest.fixture
def look(server, store, tmp_path, monkeypatch):
    """One look's worth of figures; what remains. With `hurried` only as much as must be is read."""
    real = refreshing.refresh_records

    def look(hurried=False, automatic=()):
        def hurry(*arguments):
            return real(*arguments[:-1], 0.0)

        monkeypatch.setattr(refreshing, "refresh_records", hurry if hurried else real)
        return refresh(server, store, server.survey(automatic), Settings(data_dir=tmp_path))

    return look


def slices(store):
    return sum(row["slices"] for row in store.figures("people")["people"])


def test_while_a_backlog_is_read_its_figures_are_not_made_at_each_look(server, store, look):
    for task in range(1, 51):
        server.annotate(task)
    assert look(hurried=True) == 30 and slices(store) == 20
    assert look(hurried=True) == 10 and slices(store) == 20
    assert look(hurried=True) == 0 and slices(store) == 50


def test_a_slice_that_could_not_be_read_for_a_moment_joins_the_figures_by_itself(
    server, store, look
):
    for task in (1, 2, 3):
        server.annotate(task)
    server.errors[2] = LabelStudioError("HTTP 500", 500)
    look()
    assert (slices(store), store.figures("people")["unreadable"]) == (2, 1)
    server.errors.clear()
    look()
    assert (slices(store), store.figures("people")["unreadable"]) == (3, 0)


def test_one_that_is_given_up_is_not_asked_for_at_every_look(server, store, look):
    server.annotate(1)
    server.errors[1] = LabelStudioError("HTTP 500", 500)
    for _ in range(3):
        look()
    made_at = store.figures("people")["at"] = "2026-03-02T08:00:00+00:00"
    store.keep_figures("people", {**store.figures("people"), "at": made_at})
    look()
    assert store.figures("people")["at"] == made_at


def test_what_no_round_could_use_is_told_though_none_was_made(server, store, look):
    version = store.name_for("ab" * 32)
    store.publish(version, [], {"labels": ["disc"]})
    store.point_to(version)
    store.note(version, "round", {"problems": [{"task_id": 1, "reason": "of the round"}]})
    look()
    assert [p["reason"] for p in store.figures("standing")["problems"]] == ["of the round"]
    problems = [{"task_id": 2, "reason": "read since"}]
    store.note(version, "kept", {"seen": {}, "problems": problems})
    look()
    assert [p["reason"] for p in store.figures("standing")["problems"]] == ["read since"]


def test_figures_of_a_backlog_are_made_again_after_a_minute(server, store, look):
    for task in range(1, 51):
        server.annotate(task)
    look(hurried=True)
    store.keep_figures("people", {**store.figures("people"), "at": "2026-03-02T08:00:00+00:00"})
    assert look(hurried=True) == 10 and slices(store) == 40


@pytest.mark.parametrize(("took_s", "given_s"), [(0.0, 2.0), (4.0, 4.0), (300.0, 10.0)])
def test_annotations_are_read_for_as_long_as_the_look_took(
    server, store, tmp_path, monkeypatch, took_s, given_s
):
    server.annotate(1)
    untils = []
    monkeypatch.setattr(refreshing, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    monkeypatch.setattr(
        refreshing, "refresh_records", lambda *arguments: untils.append(arguments[-1]) or 0
    )
    refresh(server, store, server.survey(), Settings(data_dir=tmp_path), took_s)
    assert untils == [1000.0 + given_s]


def test_where_nothing_has_changed_nothing_is_read(server, look):
    server.annotate(1)
    look()
    server.asked.clear()
    look()
    assert server.asked == []


def test_what_an_older_release_recorded_is_read_again(server, store, look, monkeypatch):
    server.annotate(1)
    with monkeypatch.context() as older:
        older.setattr(ledger, "MEANING", 1)
        older.setattr(refreshing, "MEANING", 1)
        look()
    server.asked.clear()
    look()
    look()
    assert server.asked == [1]


def test_names_that_cannot_be_had_for_a_moment_are_there_at_the_next_look(
    server, store, look, monkeypatch
):
    def refuse():
        raise LabelStudioError("HTTP 503", 503)

    def names():
        return [row["name"] for row in store.figures("people")["people"]]

    server.annotate(1)
    with monkeypatch.context() as away:
        away.setattr(server, "people", refuse)
        look()
        look()
        assert names() == ["Annotator 1"]
    monkeypatch.setattr(server, "people", lambda: {1: "Somebody"})
    server.asked.clear()
    look()
    assert names() == ["Somebody"] and server.asked == []
    monkeypatch.setattr(server, "people", refuse)  # asked for no more
    look()
    assert names() == ["Somebody"] and not store.figures("people")["nameless"]


def test_what_quorum_annotates_by_itself_is_nothing_new_of_peoples(server, store, look):
    server.annotate(1)
    look()
    kept = store.figures("people")
    server.annotate(2)
    look(automatic=(2,))
    assert server.asked == [1] and store.figures("people") == kept


def test_the_figures_say_how_many_slices_could_not_be_read(server, store, look):
    for task in (1, 2, 3):
        server.annotate(task)
    server.errors[2] = LabelStudioError("HTTP 500", 500)
    assert look() == 0
    assert store.figures("people")["unreadable"] == 1 and slices(store) == 2
    server.errors.clear()
    server.made[2] = [replace(a, updated_at="2026-03-03T09:00:00Z") for a in server.made[2]]
    look()
    assert store.figures("people")["unreadable"] == 0 and slices(store) == 3
