"""docs/reference says what the code says; if not, ``python -m launcher.reference`` mends it."""

import os
import subprocess
import sys

import pytest

from launcher import CLONE, reference
from launcher.reference.__main__ import main


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_page_on_the_disk_is_what_the_code_says(name):
    on_disk = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert on_disk == reference.PAGES[name](), f"docs/reference/{name}: run {reference.COMMAND}"


def test_check_names_the_page_that_differs_and_the_command_that_mends_it(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(reference, "PAGES", {"a.md": lambda: "now\n", "b.md": lambda: "same\n"})
    (tmp_path / "a.md").write_text("then\n")
    (tmp_path / "b.md").write_text("same\n")
    monkeypatch.setattr("launcher.reference.__main__.stale", lambda: reference.stale(tmp_path))
    assert main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "a.md" in told
    assert "b.md" not in told
    assert "python -m launcher.reference" in told
    assert (tmp_path / "a.md").read_text() == "then\n"
    assert reference.write(tmp_path) == [tmp_path / "a.md"]
    assert main(["--check"]) == 0


def test_no_page_depends_on_the_machine(tmp_path):
    """Another home, another width, another data folder and settings: the same pages."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "COLUMNS": "200",
        "QUORUM_DATA_DIR": str(tmp_path / "elsewhere"),
        "QUORUM_K": "96",
        "LC_ALL": "C",
    }
    done = subprocess.run(
        [sys.executable, "-m", "launcher.reference", "--check"],
        cwd=CLONE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "elsewhere").exists()
