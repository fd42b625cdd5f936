"""What is to outlast a power cut: a name, or many files at once.

A rename may reach the disk before what the file holds, and a synced file before its name.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

# Linux's alone: syncfs(2).
_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: what was made, renamed or removed there. Raises OSError."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):  # some file systems cannot
            raise


def sync_disk(folder: Path) -> None:
    """Make all last that was written to the disk of a folder, by whichever process.

    Thousands of files take the time of a few, for which fsync(2) would wait one by one. A system
    without syncfs(2), such as macOS, syncs all its disks, and may only have begun to when this
    returns. Raises OSError.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        number = _syncfs_of(handle)
    finally:
        os.close(handle)
    if number == errno.ENOSYS:
        os.sync()
    elif number:
        raise OSError(number, os.strerror(number), str(folder))


def _syncfs_of(handle: int) -> int:
    """syncfs(2) of an open folder: 0, or why not as an errno."""
    if _syncfs is None:
        return errno.ENOSYS
    return ctypes.get_errno() if _syncfs(handle) else 0
