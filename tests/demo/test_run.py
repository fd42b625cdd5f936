"""./quorum demo before anything is started, and what its services are told."""

import os

import pytest
from redis import Redis
from rq import Worker

from demo import run
from launcher.processes import free_port

REAL = {
    "QUORUM_STORE_URL": "s3://bucket/real",
    "QUORUM_PUBLIC_URL": "https://quorum.example",
    "LABEL_STUDIO_PUBLIC_URL": "https://label-studio.example",
    "LABEL_STUDIO_URL": "https://label-studio.example",
    "LABEL_STUDIO_API_KEY": "real",
}


@pytest.fixture
def nothing_starts(monkeypatch):
    """A start is a failure of the test."""

    def starts(*_):
        raise AssertionError("something was started")

    monkeypatch.setattr(run, "start_label_studio", starts)
    monkeypatch.setattr(run, "start_redis", starts)
    monkeypatch.setattr(run, "stop_on_signals", lambda: None)
    for name in [n for n in os.environ if n.startswith(("QUORUM_", "LABEL_STUDIO_"))]:
        monkeypatch.delenv(name)


def demo(tmp_path, *arguments):
    ports = ("--port", str(free_port()), "--backend-port", str(free_port()))
    return run.main(["--data", str(tmp_path / "d"), *ports, *arguments])


def test_the_store_and_the_addresses_of_a_deployment_do_not_reach_the_demo(tmp_path, monkeypatch):
    """A shell may hold them: the demo's project 1 would be written over the real one's."""
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)
    secrets = {"QUORUM_SPLIT_KEY": "demo"}
    url = "http://127.0.0.1:8080"
    environment = run.environment_of(tmp_path, secrets, "unix:///x", url, "the demo's")
    settings = run.Settings.from_environment({**os.environ, **environment})
    assert settings.store_root == tmp_path / "store"
    assert settings.label_studio_url == settings.public_url == url
    assert settings.label_studio_api_key == "the demo's" and not settings.page_url


def test_a_setting_out_of_bounds_is_told_before_anything_starts(
    nothing_starts, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("QUORUM_BATCH", "64")
    assert demo(tmp_path) == 1
    said = capsys.readouterr().err
    assert said.startswith("quorum demo: QUORUM_K must be at least QUORUM_BATCH")


def test_a_report_that_could_not_be_written_is_told_before_anything_starts(
    nothing_starts, tmp_path, capsys
):
    assert demo(tmp_path, "--simulate", "--json", str(tmp_path / "no" / "rounds.json")) == 1
    assert f"no folder {tmp_path / 'no'}" in capsys.readouterr().err


def test_a_key_file_that_others_can_read_is_told_without_a_traceback(
    nothing_starts, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(run, "start_label_studio", lambda *_: "http://127.0.0.1:9")
    monkeypatch.setattr(run, "start_redis", lambda *_: "")
    data = tmp_path / "d"
    (data / "dicom").mkdir(parents=True)
    (data / "importer.key").write_text("00" * 32)
    (data / "importer.key").chmod(0o644)
    assert demo(tmp_path) == 1
    said = capsys.readouterr().err
    assert "quorum demo: " in said and "importer.key" in said


def test_a_port_that_does_not_exist_is_refused_on_the_command_line(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run.main(["--data", str(tmp_path / "d"), "--port", "99999"])
    assert "is no port" in capsys.readouterr().err


def test_the_redis_of_a_deployment_at_work_is_refused(
    nothing_starts, tmp_path, monkeypatch, capsys, redis_url
):
    """Its workers would take the demo's rounds, and the demo's theirs."""
    worker = Worker(["demo-test"], connection=Redis.from_url(redis_url))
    worker.register_birth()
    monkeypatch.setenv("QUORUM_REDIS_URL", redis_url)
    try:
        assert demo(tmp_path) == 1
    finally:
        worker.register_death()
    assert "unset that" in capsys.readouterr().err
