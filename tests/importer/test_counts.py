"""What an import leaves for the project's page: counts and reason codes."""

import json
import shutil
import stat

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from importer import receiving
from importer.cli import main
from importer.counts import counts_of, note
from importer.journal import Journal
from importer.options import recipe_of
from importer.quarantine import Held, held

from .files import CT, bundled

PROJECT = 7


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("QUORUM_DATA_DIR", str(tmp_path / "data"))
    # Nobody listens there: what is counted does not depend on what is sent.
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "")
    return ["--out", tmp_path / "out", "--key", tmp_path / "importer.key"]


@pytest.fixture
def doubtful(tmp_path):
    """Two images that a person must look at: they are said to show a face."""
    folder = tmp_path / "doubtful"
    folder.mkdir()
    for number in range(2):
        dataset = dcmread(CT)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.RecognizableVisualFeatures = "YES"
        dataset.save_as(folder / f"{number}.dcm")
    return folder


def run(command, *arguments):
    return main([command, *map(str, arguments)])


def lines(tmp_path):
    path = tmp_path / "data" / "imports" / f"{PROJECT}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_an_import_into_a_project_leaves_its_counts(tmp_path, places, doubtful, capsys):
    sources = [CT, bundled("rtstruct.dcm"), doubtful]
    run("import", *sources, *places, "--project", PROJECT, "--workers", 1)
    (line,) = lines(tmp_path)
    assert line.pop("at").endswith("+00:00")
    assert line.pop("reasons") == {"recognizable-visual-features": 2}
    assert line == {
        "imported": 1,
        "skipped": 1,
        "unreadable": 0,
        "held": 2,
        "released": 0,
        "refused": 0,
    }


def test_what_is_run_again_is_not_counted_again(tmp_path, places, doubtful, capsys):
    for _ in range(2):
        run("import", CT, doubtful, *places, "--project", PROJECT, "--workers", 1)
    assert [line["held"] for line in lines(tmp_path)] == [2]


def test_decisions_are_counted(tmp_path, places, doubtful, capsys):
    run("import", doubtful, *places, "--project", PROJECT, "--workers", 1)
    first, second = (entry.instance for entry in held(tmp_path / "quarantine"))
    run("release", first, *places, "--project", PROJECT)
    run("release", second, "--refuse", *places, "--project", PROJECT)
    decided = [(line["released"], line["refused"], line["held"]) for line in lines(tmp_path)]
    assert decided == [(0, 0, 2), (1, 0, 0), (0, 1, 0)]


def test_a_command_does_not_count_what_another_did_meanwhile(
    tmp_path, places, doubtful, capsys, monkeypatch
):
    run("import", doubtful, *places, "--project", PROJECT, "--workers", 1)
    first, _ = (entry.instance for entry in held(tmp_path / "quarantine"))
    batch = tmp_path / "inbox" / "batch-1"
    batch.mkdir(parents=True)
    shutil.copy(CT, batch / "a.dcm")
    given = []
    monkeypatch.setattr(receiving, "_run", lambda arguments: given.append(arguments) or 0)
    run("receive", *places, "--project", PROJECT, "--workers", 1)
    (arguments,) = given
    recipe = recipe_of(arguments)
    other = Journal(tmp_path / "out", recipe.fixed())  # as an import holds it

    def another_ends(out):
        other.close()
        run("release", first, *places, "--project", PROJECT)

    monkeypatch.setattr(receiving, "wait_until_free", another_ends)
    receiving.take(batch, arguments, recipe)
    assert [(line["released"], line["held"]) for line in lines(tmp_path)] == [
        (0, 2),
        (1, 0),
        (0, 0),
    ]
    refused = [Held("0" * 20, "text", tmp_path)]  # while an import is at work
    assert counts_of(refused, [])["released"] == counts_of(refused, [])["refused"] == 0


def test_without_a_project_and_in_a_dry_run_nothing_is_left(tmp_path, places, doubtful, capsys):
    run("import", doubtful, *places, "--workers", 1)
    run("import", CT, *places, "--project", PROJECT, "--dry-run")
    assert not (tmp_path / "data").exists()


def test_the_file_is_for_its_user_alone_and_names_nobody(tmp_path, places, doubtful, capsys):
    run("import", CT, doubtful, *places, "--project", PROJECT, "--workers", 1)
    path = tmp_path / "data" / "imports" / f"{PROJECT}.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    dataset = dcmread(CT)
    named = [str(dataset.PatientName), dataset.PatientID, "doubtful", str(tmp_path)]
    named += [entry.instance for entry in held(tmp_path / "quarantine")]
    assert not [value for value in named if value in text]


def test_a_folder_that_cannot_be_written_stops_no_import(tmp_path, places, capsys):
    (tmp_path / "data").write_text("in the way")
    run("import", CT, *places, "--project", PROJECT)
    assert (tmp_path / "out" / "tasks.json").exists()


def test_an_import_that_changed_nothing_leaves_no_line(tmp_path):
    entry = Held("0" * 20, "text", tmp_path)
    note(tmp_path, PROJECT, counts_of([entry], [entry]))
    assert not (tmp_path / "imports").exists()
