"""The secrets in a data folder: made once, completed once, never half there."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from launcher import CLONE
from launcher.kept_secrets import load_secrets
from launcher.services import new_secrets


def test_secrets_are_kept_and_the_environment_s_come_first(tmp_path, monkeypatch):
    first = load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert load_secrets(tmp_path) == first
    monkeypatch.setenv("QUORUM_WEBHOOK_SECRET", "mine")
    assert load_secrets(tmp_path)["QUORUM_WEBHOOK_SECRET"] == "mine"


def test_commands_that_make_the_secrets_at_once_have_the_same(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for n in range(50):
            made = list(pool.map(load_secrets, [tmp_path / str(n)] * 8))
            assert all(each == made[0] for each in made)
            assert json.loads((tmp_path / str(n) / "secrets.json").read_text()) == made[0]


def test_commands_that_complete_the_secrets_at_once_have_the_same(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for n in range(50):
            (tmp_path / str(n)).mkdir()
            (tmp_path / str(n) / "secrets.json").write_text('{"QUORUM_SPLIT_KEY": "kept"}')
            made = list(pool.map(load_secrets, [tmp_path / str(n)] * 8))
            assert all(each == made[0] for each in made)
            assert made[0]["QUORUM_SPLIT_KEY"] == "kept"


def test_an_empty_set_of_secrets_is_completed(tmp_path):
    (tmp_path / "secrets.json").write_text("{}")
    assert load_secrets(tmp_path) and load_secrets(tmp_path) == load_secrets(tmp_path)


def test_secrets_that_a_backup_has_alone_are_completed_once(tmp_path):
    """Of a host whose other secrets were in its environment."""
    (tmp_path / "secrets.json").write_text('{"QUORUM_SPLIT_KEY": "kept"}')
    first = load_secrets(tmp_path)
    assert first["QUORUM_SPLIT_KEY"] == "kept"
    assert set(first) == set(new_secrets()) and all(first.values())
    assert load_secrets(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_secrets_that_could_not_be_written_whole_are_not_there(tmp_path):
    """As on a full disk: the next start makes them."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from launcher.processes import ServiceError\n"
        "from launcher.kept_secrets import load_secrets\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try: load_secrets(Path(sys.argv[1]))\n"
        "except ServiceError as error: print(error)"
    )
    command = [sys.executable, "-B", "-c", code, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, cwd=CLONE, check=True)
    assert "secrets.json cannot be used" in told.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.lock"]
    assert load_secrets(tmp_path)
