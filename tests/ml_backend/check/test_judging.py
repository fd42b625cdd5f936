"""What checks think of what they are told, without any server."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ml_backend.check import (
    NAMES,
    State,
    backend,
    clock,
    host,
    label_studio,
    main,
    storage,
    workers,
)
from ml_backend.check.attached import _wrong_with
from ml_backend.check.deployment import Deployment
from ml_backend.check.redis import _where
from ml_backend.label_studio.attached import is_ours, same_address
from ml_backend.label_studio.probing import expires_at
from ml_backend.label_studio.transport import is_personal
from ml_backend.settings import Settings

OK, FAILS, UNKNOWN = State.OK, State.FAILS, State.UNKNOWN


def test_every_line_has_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(
    ("release", "state"),
    [
        *(("1.23.2", OK), ("1.23.9", OK), ("1.24.0", UNKNOWN), ("1.9.1", UNKNOWN)),
        *(("2.0", FAILS), ("0.9.1", FAILS), ("develop", UNKNOWN)),
    ],
)
def test_a_release_is_compared_with_those_that_were_tested(release, state):
    outcome = label_studio.of_release(release)
    assert outcome.state is state
    assert "1.23.2" in outcome.found + outcome.remedy


@pytest.mark.parametrize(
    ("asked", "told", "state"),
    [
        *(("auto", ["cuda", "cpu"], OK), ("cuda", ["cuda"], OK), ("cuda:1", ["cpu"], FAILS)),
        *(("cpu", ["cuda"], FAILS), ("cpu", ["cpu"], OK), ("auto", [""], UNKNOWN)),
    ],
)
def test_devices_are_what_was_asked_for(asked, told, state):
    assert workers.of_devices(asked, told).state is state


BY_HAND = Settings(network="fcn", width=16, scales=5, side_px=128, steps=300, batch_size=8)


@pytest.mark.parametrize(
    ("told", "settings", "state"),
    [
        *((["cuda", "cpu"], Settings(), FAILS), (["cuda", "cpu"], BY_HAND, OK)),
        *((["cpu", "cpu"], Settings(), OK), (["cuda", ""], Settings(), OK)),
    ],
)
def test_workers_train_the_same_network_whatever_their_devices(told, settings, state):
    outcome = workers.of_devices("auto", told, workers.by_device(settings))
    assert outcome.state is state
    for word in ("QUORUM_DEVICE", "QUORUM_NETWORK", "QUORUM_SIDE_PX", "QUORUM_STEPS"):
        assert (word in outcome.remedy) is (state is FAILS)


def test_what_is_set_by_hand_is_no_more_decided_by_the_device():
    found = workers.by_device(Settings(network="unet", steps=300))
    assert found == ["QUORUM_WIDTH", "QUORUM_SCALES", "QUORUM_SIDE_PX", "QUORUM_TRAIN_BATCH"]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([("a", "x"), ("b", "x")], OK),
        ([("a", "x"), ("b", "y")], FAILS),
        ([("a", "x"), ("b", "")], UNKNOWN),
    ],
)
def test_workers_run_the_code_that_lies_here(told, state):
    outcome = workers.of_code("x", told)
    assert outcome.state is state and ("on b run" in outcome.found) is (state is FAILS)


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([("a", "x"), ("b", "x")], OK),
        ([("a", "x"), ("b", "y"), ("c", "")], FAILS),
        ([("a", "x"), ("b", "")], UNKNOWN),
    ],
)
def test_workers_hold_out_the_same_patients(told, state):
    outcome = workers.of_split_keys("x", told)
    assert outcome.state is state and ("on b have" in outcome.found) is (state is FAILS)
    assert ("QUORUM_SPLIT_KEY" in outcome.remedy) is (state is FAILS)


@pytest.mark.parametrize("given", ["abc", "0", "1.5", "Ⅻ"])
def test_what_is_no_number_of_a_project_is_told_in_words(given, capsys):
    with pytest.raises(SystemExit) as ended:
        main([given])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "is no project: give its number" in said
    assert "_project" not in said


@pytest.mark.parametrize(("seconds", "state"), [(0.4, OK), (-59, OK), (61, FAILS), (-3600, FAILS)])
def test_a_clock_may_differ_by_a_minute(seconds, state):
    outcome = clock.of_difference(seconds, "Redis")
    assert outcome.state is state
    assert ("behind" in outcome.found) is (seconds <= -1)


def test_what_is_wrong_with_a_webhook_is_told_without_its_secret():
    good = {
        "is_active": True,
        "send_payload": True,
        "send_for_all_actions": True,
        "headers": {"x-quorum-secret": "right"},
    }
    assert _wrong_with(good, "right") == []
    bad = {"headers": {"X-Quorum-Secret": "wrong"}, "actions": ["TASKS_CREATED"]}
    told = "; ".join(_wrong_with(bad, "right"))
    assert "switched off" in told and "ANNOTATION_CREATED" in told and "payload" in told
    assert "wrong" not in told and "right" not in told


def test_what_is_ours_is_known_by_its_title_or_its_header():
    assert is_ours({"title": "Quorum committee", "url": "x"})
    assert is_ours({"headers": {"X-QUORUM-SECRET": "s"}, "url": "x"})
    assert not is_ours({"headers": {}, "url": "x", "title": "Quorum committee"})
    assert not is_ours({"title": "Another"})
    assert same_address("http://a/", ["http://a"]) and not same_address("http://a", ["http://b"])


def test_a_personal_token_tells_its_end():
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1000}).encode()).decode().rstrip("=")
    assert is_personal(f"h.{claims}.s") and expires_at(f"h.{claims}.s") == 1000
    assert expires_at("h.%%%.s") is None and not is_personal("a" * 40)


def test_an_address_of_redis_is_shown_without_its_password():
    assert _where("redis://user:hidden@host:6379/0") == "host:6379/0"
    assert _where("unix:///run/redis.sock") == "/run/redis.sock"


def deployment(path, **more):
    return Deployment(Settings(data_dir=path / "data", **more), least_free_bytes=1)


def test_probes_leave_nothing_in_store_and_data_folder(tmp_path):
    subject = deployment(tmp_path)
    assert storage.probe(subject).state is host.data_folder(subject).state is OK
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_object_store_does_not_tell_its_space(tmp_path):
    assert storage.space(deployment(tmp_path, store_url="s3://bucket/x")).state is UNKNOWN
    assert storage.space(deployment(tmp_path, store_url=f"file://{tmp_path}")).state is OK


def test_a_store_behind_fsspec_is_probed(tmp_path):
    assert storage.probe(deployment(tmp_path, store_url="memory://bucket/quorum")).state is OK


CREDENTIALS = dict.fromkeys(
    ("label_studio_api_key", "basic_auth_user", "basic_auth_password", "webhook_secret"), "x"
)


@pytest.mark.parametrize("lacking", ["label_studio_api_key", "webhook_secret"])
def test_credentials_that_are_missing_do_not_come_from_the_environment(tmp_path, lacking):
    subject = deployment(tmp_path, **{**CREDENTIALS, lacking: ""})
    assert host.credentials(subject).state is FAILS
    assert host.secrets_file(subject).state is UNKNOWN


@pytest.mark.parametrize(("mode", "state"), [(0o600, OK), (0o640, FAILS), (0o604, FAILS)])
def test_the_file_of_secrets_is_its_owner_s(tmp_path, mode, state):
    subject = deployment(tmp_path, **CREDENTIALS)
    assert host.secrets_file(subject).state is OK
    subject.settings.data_dir.mkdir()
    (subject.settings.data_dir / "secrets.json").touch()
    (subject.settings.data_dir / "secrets.json").chmod(mode)
    assert host.secrets_file(subject).state is state


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--least-free-gib", amount] for amount in ("nan", "inf", "-1", "much")),
        *(["--webhook-wait", amount] for amount in ("nan", "inf", "-1")),
        *(["--backend-url", url] for url in ("backend:9090", "127.0.0.1", "ftp://h", "http://")),
    ],
)
def test_what_cannot_be_meant_is_refused_on_the_command_line(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["=".join(arguments)])
    said = capsys.readouterr().err
    assert f"argument {arguments[0]}: {arguments[1]!r} is no" in said


def test_an_address_that_no_host_can_have_is_told_as_not_answering():
    deployment = Deployment(Settings(), asked_backend_url=f"http://{'a' * 70}.example")
    outcome = backend.answers(deployment)
    assert outcome.state is FAILS and "nothing answers" in outcome.found


@contextmanager
def backend_behind(lets_calls_through):
    """A server that answers as the backend does, or as a proxy that lets people through alone."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            told = {"status": "UP", "model_class": "CommitteeModel"}
            self._answer(200, "application/json", json.dumps(told).encode())

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            if lets_calls_through:
                self._answer(401, "application/json", b'{"error": "who are you"}')
            else:
                self._answer(404, "text/html", b"<h1>404 Not Found</h1>")

        def _answer(self, status, kind, content):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *about):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("lets_calls_through", [True, False])
def test_a_proxy_that_lets_people_through_alone_is_not_taken_for_the_backend(lets_calls_through):
    settings = Settings(
        basic_auth_user="quorum", basic_auth_password="right", webhook_secret="secret"
    )
    with backend_behind(lets_calls_through) as url:
        deployment = Deployment(settings, asked_backend_url=url)
        first, *others = [check.run(deployment) for check in backend.CHECKS]
    if lets_calls_through:
        assert first.state is OK
    else:
        assert first.state is FAILS and "HTTP 404" in first.found
        assert "--backend-url" in first.remedy
        assert [finding.state for finding in others] == [UNKNOWN] * 3
