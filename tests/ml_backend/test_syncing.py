"""What is to outlast a power cut. None can be had here: these tell what is asked of the system."""

import errno
import os

import pytest

from ml_backend import syncing
from ml_backend.syncing import sync_disk, sync_folder


def refusing(number):
    def refuse(_):
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_folder_is_synced_itself(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle)))
    sync_folder(tmp_path)
    assert os.path.samestat(*synced, tmp_path.stat())


def test_a_file_system_that_cannot_sync_a_folder_will_do_and_a_disk_that_fails_is_told(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)


def test_a_disk_is_synced_by_one_of_its_folders(tmp_path, monkeypatch):
    everywhere = []
    monkeypatch.setattr(os, "sync", lambda: everywhere.append(True))
    sync_disk(tmp_path)
    assert bool(everywhere) == (syncing._syncfs is None)
    monkeypatch.setattr(syncing, "_syncfs", None)  # as on macOS
    sync_disk(tmp_path)
    assert everywhere


def test_a_disk_that_cannot_be_synced_is_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        sync_disk(tmp_path / "gone")

    def full(_):
        syncing.ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(syncing, "_syncfs", full)
    with pytest.raises(OSError, match="No space") as refused:
        sync_disk(tmp_path)
    assert refused.value.errno == errno.ENOSPC
