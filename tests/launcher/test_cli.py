"""./quorum as a user meets it."""

import json
import os
import subprocess
import sys

import pytest

from launcher import CLONE, setup, up
from launcher.data_lock import DataLock
from launcher.kept_secrets import load_secrets
from launcher.setup import Environment, SetupError
from launcher.up import with_running_settings


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


@pytest.mark.parametrize("command", ["demo", "up", "connect", "import", "export", "bench", "test"])
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


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH came with Python 3.11")
def test_what_lies_in_the_current_folder_is_never_run(tmp_path):
    """A disc with DICOM on it may hold anything, also under the name of a module."""
    for name in ("copy", "redis", "launcher"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run from the current folder')")
    shown = quorum("import", "--help", cwd=tmp_path, PYTHONSAFEPATH="")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("usage: quorum import")


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


@pytest.mark.parametrize("text", ["-1", "two", "99999"])
def test_up_with_no_number_of_workers_is_refused(text, capsys):
    with pytest.raises(SystemExit) as refused:
        up.main([f"--workers={text}"])
    assert refused.value.code == 2 and "is no number of workers" in capsys.readouterr().err


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


@pytest.fixture
def made_environment(tmp_path, monkeypatch):
    """One that was made, as venv leaves it, with a Python of 3.11."""
    monkeypatch.setattr(setup, "CLONE", tmp_path)
    python = tmp_path / "usr" / "python3.11"
    environment = Environment("env", (("six",),), needs_gib=1e9)
    (environment.folder / "bin").mkdir(parents=True)
    python.parent.mkdir()
    python.touch()
    environment.python.symlink_to(python)
    (environment.folder / "pyvenv.cfg").write_text("home = /usr\nversion = 3.11.2\n")
    (environment.folder / ".quorum-stamp").write_text(environment.stamp())
    return environment


def test_an_environment_stays_ready_whichever_python_calls_it(made_environment, monkeypatch):
    """A rebuilt python3, or another one first on PATH; nothing is installed, no disk needed."""
    monkeypatch.setattr(sys, "version", "3.13.0 | packaged by somebody else")
    assert made_environment.is_ready()
    setup.ensure(made_environment)


@pytest.mark.parametrize("now", ["python3.12", "python3"])
def test_an_environment_whose_python_was_upgraded_or_has_gone_is_made_again(
    made_environment, tmp_path, now
):
    python = tmp_path / "usr" / "python3.11"
    if now == "python3.12":
        python.rename(tmp_path / "usr" / now)
        python.symlink_to(now)
    else:
        python.unlink()
    assert not made_environment.is_ready()


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


@pytest.fixture
def announced(tmp_path, own_environment, monkeypatch):
    """What runs with a folder, and has told so; nothing is set but another data folder."""

    def announce(data):
        lock = DataLock(data)
        known = {"QUORUM_REDIS_URL": "unix:///x", "QUORUM_DATA_DIR": str(data)}
        lock.announce("http://127.0.0.1:1", known)
        return lock

    for name in [name for name in os.environ if name.startswith("QUORUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(up, "CLONE", tmp_path / "clone")
    return announce


def test_a_notice_of_one_that_was_killed_is_not_believed(announced, tmp_path, capsys):
    """Its process number may be another program's by now: here it is this one's."""
    data = tmp_path / "data"
    lock = announced(data)
    notice = (data / "running.json").read_text()
    lock.release()
    (data / "running.json").write_text(notice)
    assert with_running_settings("tests.launcher.told", []) == 1
    DataLock(data)
    assert not (data / "running.json").exists()
    assert "./quorum up" in capsys.readouterr().err


def test_the_demo_in_the_clone_is_found_whatever_data_folder_is_set(announced, tmp_path, capsys):
    lock = announced(tmp_path / "clone" / ".quorum" / "demo")
    assert with_running_settings("tests.launcher.told", []) == 0
    assert json.loads(capsys.readouterr().out)["QUORUM_REDIS_URL"] == "unix:///x"
    lock.release()


def test_a_deployment_that_is_stopped_is_not_taken_for_the_demo(announced, tmp_path, capsys):
    lock = announced(tmp_path / "clone" / ".quorum" / "demo")
    load_secrets(tmp_path / "data")
    assert with_running_settings("tests.launcher.told", [], backend=False) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["QUORUM_DATA_DIR"] == str(tmp_path / "data") and not told["QUORUM_REDIS_URL"]
    lock.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_told_whose_the_data_folder_is(tmp_path):
    """The folder of a service is its user's alone."""
    (tmp_path / "data").mkdir(mode=0o700)
    load_secrets(tmp_path / "data")
    code = (
        "import os, sys; from launcher.up import with_running_settings\n"
        "os.chmod(sys.argv[1], 0); os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "raise SystemExit(with_running_settings('tests.launcher.told', [], backend=False))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        env={**os.environ, "QUORUM_DATA_DIR": str(tmp_path / "data")},
        cwd=CLONE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "the user who runs Quorum" in told.stderr and "Traceback" not in told.stderr


def test_the_password_goes_to_a_terminal_and_into_no_journal(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("QUORUM_BASIC_AUTH_PASSWORD", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert up.shown_password("s3cret") == f"as in {tmp_path / 'secrets.json'}"
    monkeypatch.setenv("QUORUM_BASIC_AUTH_PASSWORD", "s3cret")
    assert up.shown_password("s3cret") == "as in QUORUM_BASIC_AUTH_PASSWORD"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert up.shown_password("s3cret") == "s3cret"
