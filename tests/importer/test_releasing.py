"""What is held is released or refused."""

import os

import pytest
from pydicom import dcmread

from importer import journal, quarantine
from importer.cli import main

from .files import CT
from .projects_server import projects_server


@pytest.fixture
def held(tmp_path, monkeypatch, capsys):
    """An object in quarantine, which is said to show a face, by its name."""
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    monkeypatch.setenv("QUORUM_PATIENCE_S", "0")
    dataset = dcmread(CT)
    dataset.RecognizableVisualFeatures = "YES"
    dataset.save_as(tmp_path / "face.dcm")
    assert main(["import", str(tmp_path / "face.dcm"), "--workers", "1"]) == 2
    (folder,) = [p for p in (tmp_path / "data" / "quarantine").iterdir() if p.is_dir()]
    capsys.readouterr()
    return folder.name


def bucket(tmp_path):
    return ["--object-store", (tmp_path / "bucket").as_uri(), "--project", "12"]


@pytest.mark.parametrize("again", ["by its name", "all"])
def test_a_release_that_could_not_be_sent_goes_on_by_the_same_command(
    held, again, tmp_path, monkeypatch, capsys
):
    typed = ["release", "all" if again == "all" else held, *bucket(tmp_path)]
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    assert main(typed) == 2
    assert "the same command goes on" in capsys.readouterr().err
    with projects_server(12) as (port, projects):
        monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{port}")
        assert main(typed) == 0
        assert len(projects[12]) == 1
        assert main(typed) == 0  # and does no harm
        assert len(projects[12]) == 1


def test_what_is_released_is_on_the_disk_before_the_held_object_is_deleted(
    held, tmp_path, monkeypatch
):
    calls, fsync, remove, sync_disk = [], os.fsync, quarantine.remove, journal.sync_disk

    def syncing(handle):
        calls.append(os.fstat(handle).st_ino)
        fsync(handle)

    def syncing_disk(folder):
        calls.append(f"disk with {len(list(folder.glob('*.png')))} pictures")
        sync_disk(folder)

    def removing(folder, instances):
        calls.append(f"remove {len(instances)}")
        remove(folder, instances)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(journal, "sync_disk", syncing_disk)
    monkeypatch.setattr(quarantine, "remove", removing)
    assert main(["release", held]) == 0
    pictures = calls.index("disk with 1 pictures")
    lines = (tmp_path / "data" / "import" / ".import.jsonl").stat().st_ino
    assert pictures < calls.index(lines, pictures) < calls.index("remove 1")


@pytest.mark.parametrize("otherwise", [["--as", "original"], ["--black-out", "0,0,9,9"]])
def test_another_decision_about_what_was_released_is_no_silent_success(
    held, otherwise, tmp_path, capsys
):
    assert main(["release", held]) == 0
    pictures = sorted((tmp_path / "data" / "import" / "images").iterdir())
    before = [picture.read_bytes() for picture in pictures]
    assert main(["release", held, *otherwise]) == 2
    assert f"{held} was released already, otherwise than asked now" in capsys.readouterr().err
    assert [picture.read_bytes() for picture in pictures] == before


@pytest.mark.parametrize("refuse", [[], ["--refuse"]])
def test_a_mistyped_name_is_told_and_nothing_is_done(held, refuse, tmp_path, capsys):
    wrong = "0123456789abcdef0123"
    assert main(["release", held, wrong, *refuse]) == 2
    assert f"{wrong} is not held" in capsys.readouterr().err
    assert (tmp_path / "data" / "quarantine" / held / "object.dcm").exists()


def test_what_is_refused_is_deleted(held, tmp_path, capsys):
    assert main(["release", held, "--refuse"]) == 0
    assert main(["release"]) == 0
    assert capsys.readouterr().out.endswith("0 held\n")
    assert main(["release", held, "--refuse"]) == 2
