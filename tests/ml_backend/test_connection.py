"""What is remembered of a project's connection."""

import json

import pytest

from ml_backend.connection import (
    Connection,
    announced_url,
    connection_of,
    connections,
    is_disconnected,
    keep_connected,
    keep_disconnected,
)
from ml_backend.settings import Settings

BEFORE = {"sampling": "Uniform sampling", "model_version": "their-model"}
SERVED = {"sampling": "Uncertainty sampling", "model_version": "r0003-abcdef"}


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path)


def test_a_project_that_was_never_connected_is_not_disconnected(settings):
    assert connection_of(settings, 4) is None and not is_disconnected(settings, 4)
    assert connections(settings) == {}


def test_the_order_of_before_is_that_of_the_first_time(settings):
    keep_connected(settings, 4, BEFORE, "http://backend.example/")
    keep_connected(settings, 4, SERVED, "http://backend.example:2")
    expected = Connection("http://backend.example:2", "Uniform sampling", "their-model")
    assert connections(settings) == {4: expected}


def test_connected_again_the_order_of_before_is_that_of_now(settings):
    keep_connected(settings, 4, BEFORE, "http://backend.example")
    keep_disconnected(settings, 4)
    assert is_disconnected(settings, 4)
    now = {"sampling": "Sequential sampling", "model_version": ""}
    keep_connected(settings, 4, now, "http://backend.example")
    assert connection_of(settings, 4) == Connection("http://backend.example")


def test_what_an_earlier_release_connected_has_no_order_of_before(settings):
    keep_connected(settings, 4, SERVED, "http://backend.example")
    assert connection_of(settings, 4) == Connection("http://backend.example")


def test_a_damaged_record_counts_as_none(settings):
    keep_connected(settings, 4, BEFORE, "http://backend.example")
    (path,) = settings.data_dir.rglob("connection.json")
    for content in ("{", '{"else": 1}', "[1]"):
        path.write_text(content)
        assert connection_of(settings, 4) is None


def test_the_address_that_up_tells_is_found_and_the_demo_s_label_studio_is_not(settings):
    assert announced_url(settings) == ""
    notice = settings.data_dir / "running.json"
    notice.write_text(json.dumps({"address": "http://127.0.0.1:9191/"}))
    assert announced_url(settings) == "http://127.0.0.1:9191"
    notice.write_text(json.dumps({"address": settings.label_studio_url}))
    assert announced_url(settings) == ""
    notice.write_text("[]")
    assert announced_url(settings) == ""
