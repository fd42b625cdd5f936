"""A folder's slices go to one project."""

import json

import pytest
from pydicom import dcmread

from importer.cli import main
from importer.destination import Destination, noted

from .files import CT, MR
from .projects_server import projects_server


@pytest.fixture
def server():
    with projects_server(12, 13) as (port, projects):
        yield port, projects


@pytest.fixture
def run(tmp_path, monkeypatch, server):
    """A command with --out below, as if typed in a hospital with one data folder."""
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    monkeypatch.setenv("QUORUM_PATIENCE_S", "0")
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{server[0]}")

    def typed(command, *arguments, project=None):
        more = ["--object-store", (tmp_path / "bucket").as_uri()]
        more += [] if project is None else ["--project", project]
        more += ["--workers", 1] if command == "import" else []
        return main([command, *map(str, (*arguments, *more))])

    return typed


def modalities(projects):
    return {number: [data["modality"] for data in tasks] for number, tasks in projects.items()}


def test_a_second_project_does_not_get_the_first_one_s_patients(run, server, tmp_path, capsys):
    assert run("import", CT, project=12) == 0
    assert run("import", MR, project=13) == 2
    told = capsys.readouterr().err
    out = tmp_path / "data" / "import"
    assert "is for project 12, and all that it holds would be sent: give another --out" in told
    assert run("import", MR, "--out", f"{out}-13", project=13) == 0
    assert f"--out for project 13, such as {out}-13" in told
    # What was refused left nothing in the first one's folder either.
    assert run("import", CT, project=12) == 0
    assert modalities(server[1]) == {12: ["CT"], 13: ["MR"]}


def test_what_was_imported_without_a_project_is_sent_when_one_is_named(run, server, capsys):
    assert run("import", CT) == 0
    assert run("import", MR, project=12) == 0
    assert modalities(server[1]) == {12: ["CT", "MR"], 13: []}
    capsys.readouterr()
    assert run("import", MR) == 0
    assert "is for project 12" in capsys.readouterr().err


def of_an_earlier_release(out):
    """A folder as it was before notes were made."""
    (out / ".import.project.json").unlink()
    journal = (out / ".import.jsonl").read_text().splitlines()
    first = {"recipe": json.loads(journal[0])["recipe"]}
    (out / ".import.jsonl").write_text("\n".join([json.dumps(first), *journal[1:]]) + "\n")


def test_a_folder_of_an_earlier_release_goes_on_to_its_project_alone(run, server, tmp_path, capsys):
    out = tmp_path / "data" / "import"
    assert run("import", CT, project=12) == 0
    of_an_earlier_release(out)
    assert run("import", MR, project=13) == 2
    assert "may be another's: give another --out for project 13" in capsys.readouterr().err
    assert run("import", MR, project=12) == 0
    assert noted(out) == Destination(12, f"http://127.0.0.1:{server[0]}")
    assert modalities(server[1]) == {12: ["CT", "MR"], 13: []}


def test_a_project_that_there_is_not_is_told_before_anything_is_imported(
    run, server, tmp_path, capsys
):
    assert run("import", CT, project=31) == 2
    assert "has no project 31" in capsys.readouterr().err
    assert not (tmp_path / "data" / "import").exists()
    assert run("import", CT, project=13) == 0
    assert modalities(server[1]) == {12: [], 13: ["CT"]}


def test_without_label_studio_slices_are_made_and_sent_later(
    run, server, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    assert run("import", CT, project=12) == 2
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{server[0]}")
    assert run("import", CT, project=12) == 0
    assert modalities(server[1]) == {12: ["CT"], 13: []}


def test_named_while_label_studio_is_away_a_project_is_the_folder_s_all_the_same(
    run, server, tmp_path, capsys
):
    address = f"http://127.0.0.1:{server[0]}"
    out = tmp_path / "data" / "import"
    server[1].refuses = True
    assert run("import", CT, project=12) == 2
    server[1].refuses = False
    assert noted(out) == Destination(12, address) and not noted(out).confirmed
    assert run("import", MR, project=13) == 2
    assert "is for project 12" in capsys.readouterr().err
    assert run("import", CT, project=12) == 0
    assert noted(out).confirmed
    assert modalities(server[1]) == {12: ["CT"], 13: []}


def test_a_number_mistyped_while_label_studio_is_away_binds_nothing(run, server):
    server[1].refuses = True
    assert run("import", CT, project=31) == 2
    server[1].refuses = False
    assert run("import", CT, project=13) == 0
    assert modalities(server[1]) == {12: [], 13: ["CT"]}


def test_the_same_number_at_another_label_studio_is_another_project(
    run, server, monkeypatch, capsys
):
    assert run("import", CT, project=12) == 0
    with projects_server(12) as (port, projects):
        monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{port}")
        assert run("import", MR, project=12) == 2
        assert f"for project 12 of http://127.0.0.1:{server[0]}" in capsys.readouterr().err
        assert projects == {12: []}


def test_the_same_label_studio_at_another_address_is_known_by_its_tasks(run, server, monkeypatch):
    assert run("import", CT, project=12) == 0
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://localhost:{server[0]}")
    assert run("import", MR, project=12) == 0
    assert modalities(server[1]) == {12: ["CT", "MR"], 13: []}


def test_a_release_is_refused_before_the_object_leaves_the_quarantine(run, server, tmp_path):
    face = dcmread(MR)
    face.RecognizableVisualFeatures = "YES"
    face.save_as(tmp_path / "face.dcm")
    theirs = ("--out", tmp_path / "13")
    assert run("import", CT, project=12) == 0
    assert run("import", tmp_path / "face.dcm", *theirs, project=13) == 2  # held
    (held,) = [p.name for p in (tmp_path / "data" / "quarantine").iterdir() if p.is_dir()]
    assert run("release", held, project=13) == 2
    assert run("release", held, *theirs, project=13) == 0
    assert modalities(server[1]) == {12: ["CT"], 13: ["MR"]}


def test_an_account_in_the_address_is_not_noted():
    there = Destination.at("https://user:secret@label-studio.example/ls/", 7)
    assert there == Destination(7, "https://label-studio.example/ls")
