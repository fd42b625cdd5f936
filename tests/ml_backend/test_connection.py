"""What is remembered of a project's connection."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from launcher import CLONE
from launcher.data_lock import DataLock
from launcher.processes import free_port
from ml_backend.connect import main as connect
from ml_backend.connection import (
    Connection,
    announced_url,
    connection_of,
    connections,
    is_disconnected,
    keep_connected,
    keep_disconnected,
    usual_url,
)
from ml_backend.disconnect import main as disconnect
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


def test_taken_off_but_never_set_back_the_order_of_before_stays(settings):
    keep_connected(settings, 4, BEFORE, "http://backend.example")
    keep_disconnected(settings, 4)  # Label Studio was away: it follows our version still
    keep_connected(settings, 4, SERVED, "http://backend.example")
    expected = Connection("http://backend.example", "Uniform sampling", "their-model")
    assert connection_of(settings, 4) == expected


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


def test_the_demo_tells_its_backend_beside_its_label_studio(settings):
    assert usual_url(settings) == "http://127.0.0.1:9090"
    lock = DataLock(settings.data_dir)
    lock.announce(settings.label_studio_url, {}, "http://127.0.0.1:9191")
    assert usual_url(settings) == announced_url(settings) == "http://127.0.0.1:9191"
    lock.announce(settings.label_studio_url, {})
    assert announced_url(settings) == ""
    lock.release()


@pytest.fixture
def environment(settings, redis_url, monkeypatch):
    """The commands' settings: a Label Studio that is away."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    for name, value in {
        "QUORUM_DATA_DIR": str(settings.data_dir),
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_PATIENCE_S": "0",
        "LABEL_STUDIO_URL": nowhere,
        "LABEL_STUDIO_API_KEY": "t" * 40,
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


class TakesNoBackend(BaseHTTPRequestHandler):
    """A Label Studio that refuses whatever backend it is told of."""

    def do_GET(self):
        project = {"label_config": (CLONE / "label_config.xml").read_text()}
        self.answer(200, project if "projects" in self.path else [])

    def do_POST(self):
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(400, {"detail": "health check failed"})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def test_connect_goes_where_up_listens_unless_told_otherwise(settings, environment, capsys):
    server = HTTPServer(("127.0.0.1", 0), TakesNoBackend)
    server.told = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{server.server_port}")
    lock = DataLock(settings.data_dir)
    lock.announce("http://127.0.0.1:9191", {})
    try:
        for given in ([], ["--backend-url", "http://other.example"]):
            assert connect(["4", *given]) == 1
    finally:
        lock.release()
        server.shutdown()
        server.server_close()
    tried = ["http://127.0.0.1:9191", "http://other.example"]
    assert [body["url"] for body in server.told] == tried
    said = capsys.readouterr().err
    assert all(f"could not use the backend at {url}" in said for url in tried)


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [(["4"], True), (["5"], False), (["4", "--only", "http://old.example"], False)],
)
def test_rounds_are_said_to_end_only_if_they_do(settings, environment, capsys, arguments, ends):
    keep_connected(settings, 4, BEFORE, "http://backend.example")
    assert disconnect(arguments) == 1
    said = capsys.readouterr().err
    assert "cannot be reached" in said and ("No round begins" in said) is ends
    assert is_disconnected(settings, 4) is ends
