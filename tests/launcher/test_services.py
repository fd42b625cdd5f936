"""The embedded Redis, and what the services are started with."""

import socket
import tempfile
from urllib.request import proxy_bypass_environment

import pytest
import redis

from launcher import services, up
from launcher.processes import ServiceError, Supervisor


def test_the_embedded_redis_keeps_its_data_over_a_restart(tmp_path):
    for expected in (None, b"kept"):
        supervisor = Supervisor()
        url = services.start_redis(supervisor, tmp_path)
        try:
            client = redis.Redis.from_url(url)
            assert client.get("key") == expected
            client.set("key", "kept")
        finally:
            supervisor.stop()
            services.remove_socket(url)


def test_the_embedded_redis_listens_on_no_port_and_to_nobody_else(tmp_path):
    from pathlib import Path

    supervisor = Supervisor()
    url = services.start_redis(supervisor, tmp_path)
    try:
        assert redis.Redis.from_url(url).config_get("port")["port"] == "0"
        assert Path(url[7:]).parent.stat().st_mode & 0o777 == 0o700
    finally:
        supervisor.stop()
        services.remove_socket(url)
    assert not Path(url[7:]).parent.exists()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9090"),
        ("0.0.0.0", "http://127.0.0.1:9090"),
        ("::", "http://127.0.0.1:9090"),
        ("::1", "http://[::1]:9090"),
        ("node-3.example", "http://node-3.example:9090"),
    ],
)
def test_what_listens_at_a_host_is_reached_at_its_url(host, url):
    assert services.url_at(host, 9090) == url


def test_what_lies_beside_a_socket_is_left_alone(tmp_path):
    folder = tmp_path / "quorum-redis"
    folder.mkdir()
    for name in ("redis.sock", "appendonly.aof"):
        (folder / name).touch()
    services.remove_socket(f"unix://{folder}/redis.sock")
    assert (folder / "appendonly.aof").exists()


@pytest.fixture
def of_somebody(tmp_path, monkeypatch):
    """What `up` needs, with a Label Studio that knows the token and a Redis of the user's own."""
    from ml_backend.label_studio import LabelStudio

    own = tmp_path / "quorum-own" / "redis.sock"
    own.parent.mkdir()
    own.touch()
    for name, value in {
        "QUORUM_REDIS_URL": f"unix://{own}",
        "QUORUM_DATA_DIR": str(tmp_path / "data"),
        "LABEL_STUDIO_URL": "http://127.0.0.1:1",
        "LABEL_STUDIO_API_KEY": 40 * "a",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(LabelStudio, "whoami", lambda _: "someone")
    monkeypatch.setattr(LabelStudio, "version", lambda _: "1.0")
    return own


def test_a_redis_of_the_users_own_is_left_alone_when_the_backend_ends(of_somebody, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert up.main(["--port", str(taken.getsockname()[1])]) == 1
    assert "in use" in capsys.readouterr().err
    assert of_somebody.exists()


def test_a_data_folder_that_fails_late_is_told_without_a_traceback(of_somebody, tmp_path, capsys):
    """As a disk that is full when everything has been started."""
    (tmp_path / "data" / "running.json").mkdir(parents=True)
    assert up.main([]) == 1
    assert "running.json cannot be used: " in capsys.readouterr().err


def test_no_secret_is_on_a_command_line(tmp_path):
    class Recorder(Supervisor):
        seen: tuple = ()

        def start(self, name, argv, environment, log, restarts=0):
            self.seen += tuple(argv)
            return 0

    recorder = Recorder()
    account = services.Account("me@x.example", "the password", "0123456789" * 4)
    services.start_label_studio(recorder, tmp_path, 1, account)
    assert recorder.seen
    for secret in (account.email, account.password, account.token):
        assert all(secret not in word for word in recorder.seen)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_the_demos_label_studio_calls_the_backend_past_a_proxy(tmp_path, monkeypatch, name):
    """Asked for 127.0.0.1, a proxy answers for itself, or not at all."""

    class Recorder(Supervisor):
        environment: dict

        def start(self, name, argv, environment, log, restarts=0):
            self.environment = dict(environment)
            return 0

    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv(name, "images.example")
    recorder = Recorder()
    services.start_label_studio(recorder, tmp_path, 1, services.Account("a@x.example", "p", "t"))
    with monkeypatch.context() as patch:
        for variable, value in recorder.environment.items():
            patch.setenv(variable, value)
        for host in ("127.0.0.1:9090", "localhost:9090", "images.example"):
            assert proxy_bypass_environment(host), host
        assert not proxy_bypass_environment("elsewhere.example")
        patch.delenv("no_proxy")  # some programs know the other name only
        assert recorder.environment["NO_PROXY"] == recorder.environment["no_proxy"]


def test_a_redis_that_cannot_start_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"not what Redis wrote\r\n*9")
    supervisor = Supervisor()
    try:
        with pytest.raises(ServiceError, match=r"Redis ended unexpectedly.*redis\.log"):
            services.start_redis(supervisor, tmp_path)
    finally:
        supervisor.stop()
    assert list((tmp_path / "t").iterdir()) == []


def test_too_long_a_folder_for_the_socket_is_told_with_the_remedy(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(ServiceError, match="TMPDIR"):
        services.start_redis(Supervisor(), tmp_path)
    assert list(deep.iterdir()) == []


def test_new_secrets_differ_each_time():
    first, second = services.new_secrets(), services.new_secrets()
    assert all(
        first[name] != second[name] and len(first[name]) >= 20
        for name in first
        if name != "QUORUM_BASIC_AUTH_USER"
    )
