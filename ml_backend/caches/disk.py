"""A bounded disk cache: files below one folder, evicted when they have not been used for long.

All processes of a machine share the folder and its bound. What is in it is counted once and then
kept up, in a file that whoever writes or removes locks; a reader locks nothing. A write looks at
all files only if the folder is full, and then once a minute at most.

A round reads each slice once, in the same order as the round before. Where they do not all fit,
evicting the least recently used alone would evict each one just before it is read again, so that
none would ever be found. Hence what was used within a day stays, and a newcomer without room is not
kept. What is kept can be lost at any time; no error leaves this module, the log tells of it.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import shutil
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..settings import Settings

log = logging.getLogger(__name__)

_USED = "used"
_RECORD = struct.Struct("<qd")  # what _Used holds
_WRITING = ".writing"
_RECENT_S = 24 * 3600.0
_BETWEEN_SCANS_S = 60.0
_FREED = 0.1  # of the limit at once, for the next writes


@dataclass
class _Used:
    """What the files take, and when all of them were last looked at to find room."""

    size_bytes: int
    scanned_at: float = 0.0  # Unix time


class DiskCache:
    """Files by key, such as ``projects/1/labels/2``; they are this user's alone (0700, 0600).

    The contents of all files together never exceed the limit, but for what was written by others or
    lost count of by a power cut: trim() sees to that. Blocks of the file system come on top.
    """

    def __init__(self, folder: Path, limit_bytes: int, share: float = 1.0) -> None:
        """With a `share` below 1 nothing is written that would fill more of the limit than that."""
        self._folder = folder
        self._limit = limit_bytes
        self._writable = int(share * limit_bytes)

    @classmethod
    def of(cls, settings: Settings) -> DiskCache:
        """This machine's, in the data folder."""
        return cls(settings.data_dir / "cache", settings.cache_mib * 2**20)

    @property
    def keeps(self) -> bool:
        """Whether anything may be written: not with a limit of 0, nor after it has failed."""
        return self._writable > 0

    def get(self, key: str) -> bytes | None:
        """A file's content, None if there is none; it has been used then."""
        if not self._limit:
            return None
        path = self._folder / key
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):  # removed meanwhile
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Replace a file at once and whole, if there is room; else there is none any more."""
        if not self.keeps:
            return
        path = self._folder / key
        try:
            with self._locked() as used:
                used.size_bytes -= _remove(path)
                if self._has_room(used, len(content)):
                    self._write(path, content)
                    used.size_bytes += len(content)
        except OSError as error:
            self._tell("written", error)
            self._writable = 0  # the next thousand would fail as well

    def keep_only(self, prefix: str, names: Collection[str]) -> None:
        """Remove all files in a folder but those of these names."""
        try:
            below = self._folder / prefix
            gone = [below / name for name in _names(below) if name not in names]
            if gone:
                with self._locked() as used:
                    used.size_bytes -= sum(map(_remove, gone))
        except OSError as error:
            self._tell("tidied", error)

    def folders(self, prefix: str) -> list[str]:
        """Names of what is in a folder."""
        try:
            return sorted(_names(self._folder / prefix))
        except OSError as error:
            self._tell("read", error)
            return []

    def remove(self, prefix: str) -> None:
        """Remove a folder with all that is in it."""
        below = self._folder / prefix
        try:
            if below.is_dir():
                with self._locked() as used:
                    shutil.rmtree(below)
                    used.size_bytes = self._evict(math.inf)
        except OSError as error:
            self._tell("tidied", error)

    def trim(self) -> None:
        """Count all files anew, and evict the least recently used of those beyond the limit."""
        try:
            if self._folder.is_dir():
                with self._locked() as used:
                    used.size_bytes = self._evict(self._limit)
        except OSError as error:
            self._tell("tidied", error)

    @contextmanager
    def _locked(self) -> Iterator[_Used]:
        """What is used, to be changed while no other process changes anything."""
        _make(self._folder)
        handle = os.open(self._folder / _USED, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            used = _read(os.pread(handle, _RECORD.size, 0))
            # Whoever is killed from here on, or fails, leaves it to be counted anew. Written over:
            # ext4 syncs a file that was emptied and written, which takes milliseconds.
            os.pwrite(handle, _RECORD.pack(-1, 0.0), 0)
            if used is None:
                used = _Used(self._evict(math.inf))
            yield used
            os.pwrite(handle, _RECORD.pack(used.size_bytes, used.scanned_at), 0)
        finally:
            os.close(handle)

    def _has_room(self, used: _Used, size_bytes: int) -> bool:
        if used.size_bytes + size_bytes <= self._writable:
            return True
        now = time.time()
        if size_bytes > self._writable or abs(now - used.scanned_at) < _BETWEEN_SCANS_S:
            return False
        aim = (1 - _FREED) * self._writable - size_bytes
        used.size_bytes = self._evict(aim, now - _RECENT_S)
        if used.size_bytes > aim:  # the next write would hardly find more
            used.scanned_at = now
        return used.size_bytes + size_bytes <= self._writable

    def _evict(self, down_to_bytes: float, unused_since: float = math.inf) -> int:
        """Evict the least recently used until no more is left than that; how much there is."""
        found = sorted(_files(self._folder))
        left = sum(size_bytes for _, size_bytes, path in found)
        for used_at, size_bytes, path in found:
            if left <= down_to_bytes or used_at > unused_since:
                break
            Path(path).unlink(missing_ok=True)
            left -= size_bytes
        return left

    def _write(self, path: Path, content: bytes) -> None:
        # Not synced, which would take longer than reading anew: each content tells if it is whole.
        _make(path.parent)
        temporary = self._folder / _WRITING  # one is enough under the lock
        try:
            with open(temporary, "wb", opener=_private) as file:
                file.write(content)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _tell(self, done: str, error: OSError) -> None:
        log.warning(
            "the cache in %s could not be %s (%s): check its disk and its rights; rounds go on "
            "without",
            self._folder,
            done,
            error.strerror or "unknown",
        )


def _read(record: bytes) -> _Used | None:
    """None if it is to be counted anew."""
    if len(record) != _RECORD.size:
        return None
    size_bytes, scanned_at = _RECORD.unpack(record)
    return _Used(size_bytes, scanned_at) if size_bytes >= 0 else None


def _files(folder: Path | str, top: bool = True) -> Iterator[tuple[float, int, str]]:
    """When each file below a folder was used, Unix time; its bytes; its path."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, top=False)
            elif not (top and entry.name == _USED):
                about = entry.stat(follow_symlinks=False)
                yield about.st_mtime, about.st_size, entry.path


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _remove(path: Path) -> int:
    """Remove a file if it is there; how many bytes it had."""
    try:
        size_bytes = path.lstat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return size_bytes


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make(folder: Path) -> None:
    """A folder with its parents, each for this user only; parents=True would not see to that."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
