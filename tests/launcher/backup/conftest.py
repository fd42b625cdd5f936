"""Small stores, and the two commands with an environment of their own."""

import os
from dataclasses import dataclass

import pytest
import torch

from launcher.backup import COMMANDS
from ml_backend.learning.held_out import Side
from ml_backend.store import Store, project_ids

PROJECTS = (3, 12)
SPLIT_KEY = "the key of the division"


@pytest.fixture
def own_environment(monkeypatch):
    """No setting comes from outside, and none that a command sets for itself stays."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("QUORUM_", "LABEL_STUDIO_"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@dataclass
class Place:
    """A data folder, and the commands at work on it."""

    data: object
    capsys: object

    def run(self, command, *arguments):
        """Exit status and what was said."""
        before = dict(os.environ)
        os.environ["QUORUM_DATA_DIR"] = str(self.data)
        try:
            status = COMMANDS[command]([str(argument) for argument in arguments])
        finally:
            os.environ.clear()
            os.environ.update(before)
        said = self.capsys.readouterr()
        return status, said.out + said.err

    @property
    def root(self):
        return os.environ.get("QUORUM_STORE_URL") or self.data / "store"

    def snapshot(self):
        """Every file below the folder but the locks, by name."""
        return {
            path.relative_to(self.data).as_posix(): path.read_bytes()
            for path in sorted(self.data.rglob("*"))
            if path.is_file() and path.name != "lock" and path.suffix != ".lock"
        }


@pytest.fixture
def place(tmp_path, own_environment, capsys):
    """A data folder with two projects."""
    place = Place(tmp_path / "data", capsys)
    fill(place.data / "store")
    (place.data / "page.key").write_text("ab" * 32)
    (place.data / "imports").mkdir()
    (place.data / "imports" / "3.jsonl").write_text('{"imported": 4}\n')
    os.environ["QUORUM_SPLIT_KEY"] = SPLIT_KEY
    return place


@pytest.fixture
def elsewhere(tmp_path, own_environment, capsys):
    """A data folder that does not exist yet."""
    return Place(tmp_path / "elsewhere", capsys)


@pytest.fixture
def archive(place, tmp_path):
    """A backup of the two projects."""
    status, said = place.run("backup", tmp_path / "backup.tar.gz")
    assert status == 0, said
    return tmp_path / "backup.tar.gz"


def fill(root, projects=PROJECTS):
    """Two versions a project, the older one current, with all that goes with them."""
    for project_id in projects:
        store = Store(root, project_id)
        store.keep_sides({"p1": Side.TRAINING, "p2": Side.HELD_OUT})
        for number in range(2):
            name = f"r{number:04d}-abcde{number}"
            members = [{"w": torch.randn(5000)} for _ in range(2)]
            store.publish(name, members, {"labels": ["lesion"], "n": number})
            store.note(name, "order", {"tasks": [number]})
            store.point_to(name)
        store.point_to("r0000-abcde0")
        store.keep_overrides({"k": project_id})
        store.keep_figures("rest", {"state": "done"})
        store.keep_picture("t1", b"a slice")
        store.work("r0002-abcdef").put("gathered", b"slices")


def told(root):
    """All that a loop goes on from, weights included."""
    return {
        project_id: {
            "versions": store.versions(),
            "current": store.current(),
            "sides": store.sides(),
            "overrides": store.overrides(),
            "rest": store.figures("rest"),
            "notes": [store.noted(name, "order") for name in store.versions()],
            "metadata": [store.metadata(name) for name in store.versions()],
            "weights": [
                state["w"].tolist() for name in store.versions() for state in store.states(name)
            ],
        }
        for project_id in project_ids(root)
        for store in [Store(root, project_id)]
    }
