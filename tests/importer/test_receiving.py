"""``./quorum receive`` beside other commands."""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from importer import journal, receiving
from importer.journal import Journal
from importer.keys import load_or_make_key
from importer.options import add_making_options, add_sending_options, recipe_of
from importer.receiving import take
from importer.recipe import Recipe

from .files import CT
from .projects_server import projects_server

LIMIT_S = 60


@pytest.fixture
def receiver(tmp_path):
    """Starts the receiver with a batch that an earlier run has left."""
    inbox, out, key = (tmp_path / name for name in ("inbox", "out", "key"))
    (inbox / "batch-1").mkdir(parents=True)
    shutil.copy(CT, inbox / "batch-1" / f"{'a' * 32}.dcm")
    load_or_make_key(key)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "importer", "receive", "--port", port, "--workers", 1]
    command += ["--inbox", inbox, "--out", out, "--key", key]
    started = []

    def start(*more, **environment):
        process = subprocess.Popen(
            [str(part) for part in (*command, *more)],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start, out, inbox / "batch-1", port
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_receiver_waits_for_another_import_and_goes_on_receiving(receiver):
    start, out, batch, port = receiver
    with Journal(out, Recipe(b"k" * 32, out / "images").fixed()):  # as an import holds it
        process = start()
        told = process.stderr.readline()
        assert "another import" in told and "receiving goes on meanwhile" in told
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S).close()
        assert batch.exists()
    until = time.monotonic() + LIMIT_S
    while batch.exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    (task,) = json.loads((out / "tasks.json").read_text())
    assert task["data"]["modality"] == "CT"
    assert process.poll() is None


def test_a_batch_does_not_come_among_another_project_s_slices(receiver):
    start, out, batch, port = receiver
    with projects_server(12, 13) as (label_studio, projects):
        address = f"http://127.0.0.1:{label_studio}"
        with Journal(out, Recipe(b"k" * 32, out / "images").fixed()):
            process = start(
                "--project", 12, LABEL_STUDIO_URL=address, LABEL_STUDIO_API_KEY="0" * 40
            )
            assert "another import" in process.stderr.readline()
            note = {"project": 13, "label_studio": address}  # that import's
            (out / ".import.project.json").write_text(json.dumps(note))
        assert "is for project 13" in process.stderr.readline()
        assert "is kept, and comes again at the next start" in process.stderr.readline()
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S).close()
        assert batch.exists() and projects == {12: [], 13: []}
    assert json.loads((out / "tasks.json").read_text()) == []


def test_what_came_of_a_batch_is_on_the_disk_before_the_batch_goes(tmp_path, monkeypatch):
    """No power cut can be had here: what is synced, by its inode, and what is deleted."""
    calls, fsync, rmtree, sync_disk = [], os.fsync, shutil.rmtree, journal.sync_disk

    def deleting(folder, **options):
        calls.append(f"delete {Path(folder).name}")
        rmtree(folder, **options)

    def syncing(handle):
        calls.append(os.fstat(handle).st_ino)
        fsync(handle)

    def syncing_disk(folder):
        calls.append(f"disk with {len(list(folder.glob('*.png')))} pictures")
        sync_disk(folder)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(journal, "sync_disk", syncing_disk)
    monkeypatch.setattr(receiving.shutil, "rmtree", deleting)
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    (inbox / "batch-1").mkdir(parents=True)
    shutil.copy(CT, inbox / "batch-1" / f"{'a' * 32}.dcm")
    (inbox / "batch-1" / f"{'b' * 32}.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"damaged")
    parser = argparse.ArgumentParser()
    add_making_options(parser)
    add_sending_options(parser)
    arguments = parser.parse_args(["--out", str(out), "--key", str(tmp_path / "key")])
    arguments.workers = 1
    take(inbox / "batch-1", arguments, recipe_of(arguments))
    pictures = calls.index("disk with 1 pictures")
    noted = calls.index((out / ".import.jsonl").stat().st_ino, pictures)
    (failed,) = (inbox / "failed").iterdir()
    assert failed.name[0] == "b"
    kept = calls.index((inbox / "failed").stat().st_ino)
    assert pictures < noted < kept < calls.index("delete batch-1")
