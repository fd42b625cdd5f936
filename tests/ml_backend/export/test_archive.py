"""An export is there as a whole, or it is not there."""

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ml_backend.export import archive
from ml_backend.export.archive import downloads, keep_download, whole
from ml_backend.export.formats import ExportError
from ml_backend.settings import Settings

TARGETS = ["taken", "taken.zip"]


def fill(sink, text="new"):
    (sink.folder / "masks").mkdir()
    (sink.folder / "masks" / "1.png").write_bytes(b"\x89PNG" + text.encode())
    measured = sink.add("masks/1.png")
    said = {"quorum": {}, "text": text, "files": [{"path": "masks/1.png"}, {"path": "gone.txt"}]}
    sink.add_text("manifest.json", json.dumps(said))
    return measured


def names(target):
    if target.suffix == ".zip":
        with zipfile.ZipFile(target) as packed:
            assert packed.testzip() is None
            return set(packed.namelist())
    return {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_added_is_there_and_its_checksum_is_right(tmp_path, name):
    with whole(tmp_path / name) as sink:
        measured = fill(sink)
        assert not (tmp_path / name).exists()
    assert names(tmp_path / name) == {"masks/1.png", "manifest.json"}
    assert measured["sha256"] == hashlib.sha256(b"\x89PNGnew").hexdigest()
    assert measured["bytes"] == 7
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("name", TARGETS)
def test_what_fails_half_way_leaves_nothing(tmp_path, name):
    with pytest.raises(RuntimeError), whole(tmp_path / name) as sink:
        fill(sink)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TARGETS)
def test_a_killed_export_leaves_nothing_that_looks_whole(tmp_path, name):
    code = (
        "import pathlib, sys, time\n"
        "from ml_backend.export.archive import whole\n"
        "with whole(pathlib.Path(sys.argv[1])) as sink:\n"
        "    (sink.folder / '1.png').write_bytes(b'1')\n"
        "    sink.add('1.png')\n"
        "    print('half', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / name)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / name).exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".")
    # Not taken from one that may still be running, but removed once nobody has touched it.
    with whole(tmp_path / name) as sink:
        fill(sink)
    assert left.exists()
    past = time.time() - 7200
    for path in (*left.iterdir(), left):
        os.utime(path, (past, past))
    with whole(tmp_path / name) as sink:
        fill(sink)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", TARGETS)
def test_an_earlier_export_is_replaced_as_a_whole(tmp_path, name):
    for text in ("old", "new"):
        with whole(tmp_path / name) as sink:
            fill(sink, text)
            if text == "old":
                sink.add_text("gone.txt", "gone")
    assert names(tmp_path / name) == {"masks/1.png", "manifest.json"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.fixture
def recorded(monkeypatch):
    """What is synced, by its inode, a disk by the files in its folder; what comes and goes."""
    calls, fsync, sync_disk = [], os.fsync, archive.sync_disk
    rename, replace, rmtree = Path.rename, Path.replace, shutil.rmtree

    def syncing(handle):
        calls.append(os.fstat(handle).st_ino)
        fsync(handle)

    def syncing_disk(folder):
        calls.append(names(folder))
        sync_disk(folder)

    def deleting(folder, **options):
        if folder.exists():
            calls.append(f"delete {json.loads((folder / 'manifest.json').read_text())['text']}")
        rmtree(folder, **options)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(archive, "sync_disk", syncing_disk)
    monkeypatch.setattr(archive.shutil, "rmtree", deleting)
    for kind, move in (("rename", rename), ("replace", replace)):
        monkeypatch.setattr(
            Path,
            kind,
            lambda path, target, move=move: (calls.append(target.name), move(path, target))[1],
        )
    return calls


def test_a_folder_is_on_the_disk_before_an_earlier_one_is_deleted(tmp_path, recorded):
    taken, exported = tmp_path / "taken", {"masks/1.png", "manifest.json"}
    for text in ("old", "new"):
        with whole(taken) as sink:
            fill(sink, text)
    above = tmp_path.stat().st_ino
    assert recorded[:3] == [exported, "taken", above]
    written, put_aside, *after = recorded[3:]
    assert written == exported
    assert put_aside.startswith(".taken.replaced-")
    assert after == ["taken", above, "delete old"]


def test_a_zip_and_its_name_are_on_the_disk_when_it_is_done(tmp_path, recorded, monkeypatch):
    monkeypatch.setattr(archive.shutil, "rmtree", lambda *_, **__: None)
    taken = tmp_path / "taken.zip"
    with whole(taken) as sink:
        fill(sink)
    assert recorded == [taken.stat().st_ino, "taken.zip", tmp_path.stat().st_ino]


def test_an_earlier_export_stays_if_the_new_one_fails(tmp_path):
    with whole(tmp_path / "taken") as sink:
        fill(sink, "old")
    with pytest.raises(RuntimeError), whole(tmp_path / "taken") as sink:
        raise RuntimeError
    assert json.loads((tmp_path / "taken" / "manifest.json").read_text())["text"] == "old"


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.zip").mkdir()
    for name in ("mine", "file", "folder.zip"):
        with pytest.raises(ExportError, match="choose"), whole(tmp_path / name):
            raise AssertionError("nothing may be written")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_what_somebody_put_beside_an_earlier_export_is_never_replaced(tmp_path):
    for name in TARGETS:
        with whole(tmp_path / name) as sink:
            fill(sink)
    (tmp_path / "taken" / "runs").mkdir()
    mine = tmp_path / "taken" / "runs" / "model.pt"
    mine.write_text("mine")
    with zipfile.ZipFile(tmp_path / "taken.zip", "a") as packed:
        packed.writestr("mine.txt", "mine")
    (tmp_path / "thesis.zip").write_bytes(b"mine")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as packed:
        packed.writestr("manifest.json", '{"quorum": 1, "files": [{"path": "gone.txt"}]}')
        packed.writestr("mine.txt", "mine")
    for name in (*TARGETS, "thesis.zip", "archive.zip"):
        with pytest.raises(ExportError, match="choose"), whole(tmp_path / name):
            raise AssertionError("nothing may be written")
    assert mine.read_text() == "mine" and (tmp_path / "thesis.zip").read_bytes() == b"mine"
    mine.unlink()
    (tmp_path / "taken" / ".DS_Store").write_text("a file browser's")
    with whole(tmp_path / "taken") as sink:
        fill(sink, "new")
    assert names(tmp_path / "taken") == {"masks/1.png", "manifest.json"}


@pytest.mark.parametrize("name", TARGETS)
def test_what_somebody_put_there_during_the_export_stays(tmp_path, name):
    with pytest.raises(ExportError, match="choose"), whole(tmp_path / name) as sink:
        fill(sink)
        mine = tmp_path / name if name.endswith(".zip") else tmp_path / name / "mine.txt"
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")
    assert mine.read_text() == "mine"


def test_a_link_to_a_folder_stays_a_link_and_the_folder_takes_the_export(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for _ in range(2):
        with whole(tmp_path / "link") as sink:
            fill(sink)
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "disk") == {"masks/1.png", "manifest.json"}
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((ExportError, OSError)), whole(tmp_path / "loop"):
        raise AssertionError("nothing may be written")


def test_the_folder_that_one_is_in_is_refused_for_what_it_is(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (Path(), Path("../here"), tmp_path / "here"):
        with pytest.raises(ExportError, match="is the folder that you are in"), whole(name):
            raise AssertionError("nothing may be written")
    with whole(Path("below")) as sink:
        fill(sink)
    assert names(tmp_path / "here" / "below") == {"masks/1.png", "manifest.json"}


@pytest.mark.parametrize("path", ["../out", "/etc/x", "a/../../b"])
def test_no_format_writes_outside_of_its_folder(tmp_path, path):
    with pytest.raises(ExportError, match="outside"), whole(tmp_path / "taken") as sink:
        sink.add(path)


def test_three_downloads_of_a_project_are_kept(tmp_path):
    settings = Settings(data_dir=tmp_path)
    made = []
    for number in range(5):
        path = keep_download(settings, 7, "png" if number % 2 else "dicom-seg")
        with whole(path) as sink:
            fill(sink)
        made.append(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert downloads(settings, 7) == made[:1:-1]
    assert downloads(settings, 8) == []
    assert stat.S_IMODE(made[0].parent.stat().st_mode) == 0o700
