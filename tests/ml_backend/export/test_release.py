"""An export names the Quorum that made it."""

import re
import subprocess

import pytest

from launcher import CLONE
from ml_backend.export.release import commit, release


def test_the_release_is_pyproject_s():
    # Python 3.10 has no reader of TOML.
    found = re.search(r'(?m)^version = "([^"]+)"$', (CLONE / "pyproject.toml").read_text())
    assert release() == found[1]


@pytest.fixture
def clone(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@x.example", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    return tmp_path, git


def test_the_commit_is_git_s_loose_packed_detached_and_in_a_worktree(clone):
    folder, git = clone
    expected = git("rev-parse", "HEAD")
    assert commit(folder) == expected
    git("pack-refs", "--all")
    assert commit(folder) == expected
    git("worktree", "add", "-q", "beside", "-b", "other")
    assert commit(folder / "beside") == expected
    git("checkout", "-q", "--detach")
    assert commit(folder) == expected


def test_outside_of_a_clone_there_is_none(tmp_path):
    assert commit(tmp_path) is None and release(tmp_path) is None
