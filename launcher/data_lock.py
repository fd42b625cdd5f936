"""The lock on a data folder, and the notice of who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from .processes import ServiceError

RESTORING = "restoring.json"  # a restore into the data folder has begun, and did not end


def half_restored(folder: Path) -> str:
    """What to say of a data folder in which a restore began and did not end; else nothing."""
    marker = folder / RESTORING
    if not marker.exists():
        return ""
    return (
        f"a restore into {folder} was interrupted: give the same ./quorum restore again (or, if "
        f"all is in its place, remove {marker})"
    )


class DataLock:
    """Keeps two commands from using the same data folder at once, and any from half a restore."""

    def __init__(self, folder: Path, *, restoring: bool = False) -> None:
        """Raises ServiceError if another command holds the folder, or it cannot be written.

        So it does if a restore was interrupted there, unless it is one that asks.
        """
        self._notice = folder / "running.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ServiceError(f"{folder} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise ServiceError(f"it is running already{self._where()}") from None
        if not restoring and (trouble := half_restored(folder)):
            os.close(self._handle)
            raise ServiceError(trouble)
        self._notice.unlink(missing_ok=True)  # of one that was killed

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether a command holds the folder; a notice alone can be one's that was killed.

        Raises OSError if that cannot be seen.
        """
        try:
            handle = os.open(folder / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def _where(self) -> str:
        try:
            notice = json.loads(self._notice.read_text())
            return f" at {notice['address']} (process {notice['pid']})"
        except (OSError, ValueError, KeyError):
            return ""

    def announce(self, address: str, environment: Mapping[str, str], backend: str = "") -> None:
        """Tell a second command where the first one is, and the settings that it runs with.

        `backend` is the backend's address where it is another one. Secrets are among the settings:
        the file is its owner's alone, and gone when the first one ends.
        """
        notice = {
            "address": address,
            "backend": backend or address,
            "pid": os.getpid(),
            "environment": dict(environment),
        }
        handle = os.open(self._notice, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            json.dump(notice, stream)

    def release(self) -> None:
        """Free the folder."""
        self._notice.unlink(missing_ok=True)
        os.close(self._handle)
