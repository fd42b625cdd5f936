"""Objects as files: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..syncing import sync_folder
from .names import StoreError
from .objects import ABANDONED_S

_WRITING = ".writing-"
_ATTEMPTS = 50  # each loses to another process that removes the folder in the same instant


class FolderObjects:
    """Objects below a local folder, readable by this user only (0700, 0600)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._root)

    def get(self, key: str) -> bytes | None:
        """A file's content, None if there is none. Raises StoreError."""
        with self._reaching(key, "read"):
            try:
                return self._inside(self._root / key).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, key: str, content: bytes) -> None:
        """Replace a file at once and whole. Raises StoreError."""
        with self._reaching(key, "written"), self._written(key, content) as temporary:
            os.replace(temporary, self._root / key)
            sync_folder(temporary.parent)

    def put_new(self, key: str, content: bytes) -> bool:
        """Make a file unless it is there. Raises StoreError."""
        with self._reaching(key, "written"), self._written(key, content) as temporary:
            target = self._root / key
            try:
                os.link(temporary, target)  # fails if it exists, which a rename does not
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                    raise
                if target.exists():  # a file system without hard links
                    return False
                os.replace(temporary, target)
            sync_folder(temporary.parent)
        return True

    def keys(self, prefix: str) -> list[str]:
        """Every file below a folder, as keys. Raises StoreError."""
        with self._reaching(prefix, "read"):
            return sorted(
                path.relative_to(self._root).as_posix()
                for path in _files(self._root / prefix)
                if not path.name.startswith(_WRITING)
            )

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders in a folder. Raises StoreError."""
        with self._reaching(prefix, "read"):
            try:
                inside = list((self._root / prefix).iterdir())
            except FileNotFoundError:
                return []
            return sorted(path.name for path in inside if path.is_dir())

    def remove(self, key: str) -> None:
        """Remove a file, and its folder if that was the last in it. Raises StoreError."""
        path = self._root / key
        with self._reaching(key, "removed"):
            self._inside(path.parent)
            path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or another process was first
            path.parent.rmdir()

    def age_s(self, key: str) -> float | None:
        """Seconds since a file was written. Raises StoreError."""
        with self._reaching(key, "read"):
            try:
                return time.time() - self._inside(self._root / key).stat().st_mtime
            except FileNotFoundError:
                return None

    def sweep(self, prefix: str) -> None:
        """Remove old temporary files, and folders that nothing is left in. Raises StoreError."""
        with self._reaching(prefix, "read"):
            for name, _, _ in os.walk(self._root / prefix, topdown=False):
                _remove_abandoned(Path(name))
                with suppress(OSError):  # something is in it
                    Path(name).rmdir()

    @contextmanager
    def _written(self, key: str, content: bytes) -> Iterator[Path]:
        """The content in a synced temporary file beside its place, gone afterwards."""
        folder = self._inside((self._root / key).parent)
        handle, name = _temporary(folder)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        with suppress(OSError):  # housekeeping: what was to be written, is
            _remove_abandoned(folder)

    def _inside(self, path: Path) -> Path:
        """A path as it is. Raises StoreError if links on it lead out of the folder."""
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise StoreError(f"{path} is a link that leads out of the store: remove it")
        return path

    @contextmanager
    def _reaching(self, key: str, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self._root / key} could not be {done} ({error.strerror or 'unknown'}): "
                f"{_remedy(error, self._root)}"
            ) from None


def _temporary(folder: Path) -> tuple[int, str]:
    """A new file, and the folder if need be; another process may remove an empty one meanwhile."""
    for _ in range(_ATTEMPTS):
        _make(folder)
        with suppress(FileNotFoundError):
            return tempfile.mkstemp(prefix=_WRITING, dir=folder)
    return tempfile.mkstemp(prefix=_WRITING, dir=folder)


def _make(folder: Path) -> None:
    """A folder with its parents, each for this user only; parents=True would not see to that."""
    if folder.is_dir():
        return
    _make(folder.parent)
    # Not exist_ok=True, which looks afterwards and fails if it was removed meanwhile.
    with suppress(FileNotFoundError, FileExistsError):
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)


def _files(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for name, below, files in os.walk(folder, onerror=refuse):
        # The folders in which an earlier release wrote a version.
        below[:] = [other for other in below if not other.startswith(_WRITING)]
        yield from (Path(name) / file for file in files)


def _remove_abandoned(folder: Path) -> None:
    inside = folder.name.startswith(_WRITING)
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                continue
            path = Path(entry.path)
            if (inside or entry.name.startswith(_WRITING)) and _age_s(path) > ABANDONED_S:
                path.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remedy(error: OSError, root: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"free some space on the disk of {root}, then it is done again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"give the user who runs Quorum the right to read and write {root}"
    return f"check the disk of {root}"
