"""./quorum as a user meets it."""

import json
import os
import subprocess

import pytest

from launcher import CLONE, setup
from launcher.data_lock import DataLock
from launcher.setup import Environment, SetupError
from launcher.up import load_secrets, with_running_settings


def quorum(*arguments, cwd=CLONE, **environment):
    return subprocess.run(
        [str(CLONE / "quorum"), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_help_lists_every_command():
    shown = quorum("--help")
    assert shown.returncode == 0
    for command in ("demo", "up", "connect", "import", "export", "test"):
        assert f"  {command}" in shown.stdout


def test_an_unknown_command_is_refused():
    refused = quorum("dmeo")
    assert refused.returncode == 2
    assert "'dmeo'" in refused.stderr and "--help" in refused.stderr


@pytest.mark.parametrize("command", ["demo", "up", "connect", "import", "export"])
def test_every_command_explains_itself(command):
    shown = quorum(command, "--help")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"usage: quorum {command}")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_needs_no_running_backend(tmp_path, flag):
    shown = quorum("connect", flag, QUORUM_DATA_DIR=str(tmp_path), QUORUM_REDIS_URL="")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("usage: quorum connect")


def test_import_works_without_label_studio_and_from_another_folder(tmp_path):
    import pydicom.data

    file = pydicom.data.get_testdata_file("CT_small.dcm")
    (tmp_path / "scan").write_bytes(open(file, "rb").read())  # noqa: PTH123, SIM115
    done = quorum("import", "scan", "--out", "out", "--key", "key", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "tasks.json").exists()
    assert len(list((tmp_path / "out" / "images").glob("*.png"))) == 1


def test_up_says_what_it_needs_and_what_it_cannot_reach(tmp_path):
    missing = quorum("up", LABEL_STUDIO_URL="", LABEL_STUDIO_API_KEY="")
    assert missing.returncode == 1 and "LABEL_STUDIO_URL is not set" in missing.stderr
    dead = quorum(
        "up",
        LABEL_STUDIO_URL="http://127.0.0.1:9",
        LABEL_STUDIO_API_KEY="x" * 40,
        QUORUM_DATA_DIR=str(tmp_path),
    )
    assert dead.returncode == 1 and "cannot be reached" in dead.stderr
    assert "Traceback" not in dead.stderr


def test_connect_without_a_running_backend_says_so(tmp_path):
    refused = quorum("connect", "1", QUORUM_DATA_DIR=str(tmp_path), QUORUM_REDIS_URL="")
    assert refused.returncode == 1
    assert "./quorum up" in refused.stderr


def test_a_port_in_use_is_named(tmp_path):
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        refused = quorum("demo", "--data", str(tmp_path / "d"), "--port", str(port))
    assert refused.returncode == 1
    assert f"port {port} is in use" in refused.stderr and "--port" in refused.stderr


def test_a_simulation_does_not_clear_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = quorum("demo", "--simulate", "--data", str(tmp_path))
    assert refused.returncode == 1
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_environment_is_made_again_when_its_requirements_change(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "CLONE", tmp_path)
    (tmp_path / "requirements.txt").write_text("six==1.16.0\n")
    environment = Environment("env", (("-r", "requirements.txt"),), needs_gib=0.1)
    assert not environment.is_ready()
    setup.ensure(environment)
    assert environment.is_ready()
    assert subprocess.run([environment.python, "-c", "import six"], check=False).returncode == 0
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    assert not environment.is_ready()


def test_a_package_that_cannot_be_installed_is_told_with_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "CLONE", tmp_path)
    environment = Environment("env", (("no such package!",),), needs_gib=0.1)
    with pytest.raises(SetupError, match=r"setting up env failed.*log"):
        setup.ensure(environment)
    assert not environment.is_ready()


def test_too_little_disk_is_told_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "CLONE", tmp_path)
    environment = Environment("env", (("six",),), needs_gib=1e9)
    with pytest.raises(SetupError, match="make room"):
        setup.ensure(environment)
    assert not environment.folder.exists()


def test_secrets_are_kept_and_the_environment_s_come_first(tmp_path, monkeypatch):
    first = load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert load_secrets(tmp_path) == first
    monkeypatch.setenv("QUORUM_WEBHOOK_SECRET", "mine")
    assert load_secrets(tmp_path)["QUORUM_WEBHOOK_SECRET"] == "mine"


@pytest.fixture
def own_environment():
    """What a command sets for itself ends with the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("where", ["", "demo"])
def test_a_second_command_works_with_the_settings_of_what_runs(
    tmp_path, own_environment, monkeypatch, capsys, where
):
    """Another split key, say, would export other slices as held out."""
    data = tmp_path / where
    lock = DataLock(data)
    known = {"QUORUM_REDIS_URL": "unix:///x", "QUORUM_SPLIT_KEY": "demo", "QUORUM_K": "96"}
    lock.announce("http://127.0.0.1:1", {**known, "QUORUM_DATA_DIR": str(data)})
    for name in [name for name in os.environ if name.startswith("QUORUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("QUORUM_K", "64")
    assert with_running_settings("tests.launcher.told", []) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {**known, "QUORUM_K": "64", "QUORUM_DATA_DIR": str(data)}
    lock.release()
    del os.environ["QUORUM_REDIS_URL"]
    assert with_running_settings("tests.launcher.told", []) == 1
    assert "./quorum up" in capsys.readouterr().err
