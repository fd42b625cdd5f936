"""The embedded Redis, and what the services are started with."""

import pytest
import redis

from launcher import services
from launcher.processes import Supervisor


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


def test_new_secrets_differ_each_time():
    first, second = services.new_secrets(), services.new_secrets()
    assert all(
        first[name] != second[name] and len(first[name]) >= 20
        for name in first
        if name != "QUORUM_BASIC_AUTH_USER"
    )
