"""The importer's commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from importer.cli import main
from importer.keys import load_or_make_key
from importer.vault import in_use, vault_of

from .files import CT, MR, bundled, small_files_only


def run(command, *arguments):
    return main([command, *map(str, arguments)])


@pytest.fixture
def places(tmp_path):
    return ["--out", tmp_path / "out", "--key", tmp_path / "importer.key"]


def test_the_command_says_what_it_did_and_how_it_ended(tmp_path, places, capsys):
    assert run("import", CT, *places) == 0
    assert "1 slices imported" in capsys.readouterr().out
    other = ["--out", tmp_path / "o2", *places[2:]]
    assert run("import", tmp_path / "missing", *other) == 2
    assert "no-such-file" in capsys.readouterr().out
    assert run("import", CT, *places, "--accept", "XX") == 2
    (tmp_path / "out" / ".import.jsonl").write_text("{\n")
    assert run("import", CT, *places) == 2
    assert "move" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["rotate-key", "reveal"])
def test_a_key_that_is_not_there_is_neither_made_nor_rotated(tmp_path, capsys, command):
    assert run(command, "--key", tmp_path / "mistyped.key") == 2
    assert "there is no key file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_reports_and_writes_nothing(tmp_path, places, capsys):
    assert run("import", CT, MR, bundled("rtstruct.dcm"), *places, "--dry-run", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["imported"] == 2 and report["dry_run"]
    assert report["dropped"]["PatientName"] == 2
    assert report["without_pixels"] == {"RT Structure Set Storage": 1}
    assert {path.name for path in tmp_path.iterdir()} == {"importer.key"}


def test_the_vault_gives_the_patient_back_to_the_key_s_holder(tmp_path, places, capsys):
    run("import", CT, *places)
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    capsys.readouterr()
    assert run("reveal", task["data"]["patient"], *places[2:]) == 0
    (entry,) = json.loads(capsys.readouterr().out).values()
    assert entry["patient_id"] == "1CT1" and "CompressedSamples" in entry["name"]
    assert run("reveal", "0" * 20, *places[2:]) == 1
    assert run("reveal", "0" * 20, "--key", tmp_path / "none.key") == 2
    assert not (tmp_path / "none.key").exists()


def test_after_a_rotation_old_pseudonyms_are_still_revealed(tmp_path, places, capsys):
    run("import", CT, *places)
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert run("rotate-key", *places[2:]) == 0
    capsys.readouterr()
    assert run("reveal", task["data"]["patient"], *places[2:]) == 0
    assert "1CT1" in capsys.readouterr().out
    assert run("rotate-key", *places[2:]) == 2  # the old key must be put away first


@pytest.mark.parametrize("arguments", [[], ["nonsense"]])
def test_an_unknown_command_is_told(arguments, capsys):
    assert main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_a_key_is_not_replaced_while_an_import_is_at_work_with_it(tmp_path, places, capsys):
    run("import", CT, *places)
    key = tmp_path / "importer.key"
    before = load_or_make_key(key)
    with in_use(vault_of(key)):  # as each import, release and receiver has it
        assert run("rotate-key", *places[2:]) == 2
        assert "let it end" in capsys.readouterr().err
        assert run("import", MR, *places) == 0  # beside the other
    assert load_or_make_key(key) == before
    assert not (tmp_path / "importer.key.old").exists()
    assert run("rotate-key", *places[2:]) == 0


def test_links_in_a_folder_are_not_followed_and_the_report_says_so(tmp_path, places, capsys):
    """As whole data sets are kept by git-annex: without a word nothing would come in."""
    source = tmp_path / "study"
    source.mkdir()
    (source / "1.dcm").symlink_to(CT)
    (source / "more").symlink_to(Path(CT).parent)
    assert run("import", source, *places) == 2
    assert "2 links in folders were not followed: name what" in capsys.readouterr().out


def test_a_rotation_on_a_full_disk_changes_nothing(tmp_path, places, capsys):
    run("import", CT, *places)
    key = tmp_path / "importer.key"
    before = load_or_make_key(key)
    with small_files_only(100):  # room for a key, not for the vault
        assert run("rotate-key", *places[2:]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert load_or_make_key(key) == before
    assert run("import", MR, *places) == 0
    assert run("rotate-key", *places[2:]) == 0
    assert run("reveal", *places[2:]) == 0
    assert len(json.loads(capsys.readouterr().out.partition("safe.")[2])) == 8


@pytest.mark.parametrize("content", [None, b"\xff\xfe<"])
def test_a_label_config_that_cannot_be_read_is_named(tmp_path, places, content, capsys):
    config = tmp_path / "config.xml"
    if content:
        config.write_bytes(content)
    assert run("import", CT, *places, "--label-config", config) == 2
    said = capsys.readouterr().err
    assert str(config) in said and "codec" not in said


@pytest.mark.parametrize("option", ["--dicom-out", "--quarantine"])
def test_a_folder_that_is_none_is_named(tmp_path, places, option, capsys):
    (tmp_path / "taken").touch()
    assert run("import", CT, *places, option, tmp_path / "taken") == 2
    assert f"{tmp_path / 'taken'} cannot be used" in capsys.readouterr().err


def test_copies_below_the_source_do_not_come_back_as_new_patients(tmp_path, places, capsys):
    source = tmp_path / "study"
    source.mkdir()
    (source / "1").write_bytes(Path(CT).read_bytes())
    copies = ["--dicom-out", source / "deid"]
    for more in (copies, copies, []):  # and once more by somebody who wants no copies
        assert run("import", source, *places, *more) == 0
    assert "1 de-identified copies of earlier imports were left out" in capsys.readouterr().out
    (task,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert task["data"]["modality"] == "CT"


def test_a_path_that_is_no_text_is_shown_as_it_can_be(tmp_path, places):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.dcm").write_bytes(Path(CT).read_bytes())
    latin_1 = folder / os.fsdecode(b"M\xdcLLER.dcm")
    latin_1.write_bytes(b"\0" * 128 + b"DICMgarbage")
    command = [sys.executable, "-m", "importer", "import", folder, *places, "--show-paths"]
    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, env=strict, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "1 slices imported" in done.stdout and r"M\udcdcLLER.dcm" in done.stdout
