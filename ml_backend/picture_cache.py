"""Pictures of a project's slices, kept on this machine between rounds.

Each round looks at the whole pool again; Label Studio, which has annotators to serve, would hand
out each picture again. Only its own uploads are kept: their addresses are never given twice, while
what lies in other storages may be replaced under the same name. What is kept can be lost at any
time: it is then fetched anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from .settings import Settings

log = logging.getLogger(__name__)

# Label Studio puts eight random hex digits before each upload's name.
_UPLOAD = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-[\w.-]+")
_DIGEST_BYTES = 32  # SHA-256: one of what was asked for, then one of the content
_WRITING = ".writing-"


class PictureCache:
    """Pictures by task below a folder; files are this user's alone (0700, 0600)."""

    def __init__(self, folder: Path, server: str, project_id: int, limit_bytes: int) -> None:
        """`server` is Label Studio's address: another one's task of that number is another."""
        self._server = server
        self._folder = folder / "projects" / str(int(project_id)) / "pictures"
        self._limit = limit_bytes
        self._used: int | None = None

    @classmethod
    def of(cls, settings: Settings, project_id: int) -> PictureCache:
        """A project's pictures in the data folder."""
        return cls(
            settings.data_dir / "cache",
            settings.label_studio_url,
            project_id,
            settings.cache_mib * 2**20,
        )

    def get(self, task_id: int, address: str) -> bytes | None:
        """A picture as it was kept; None if it was not, is damaged, or has another address now."""
        if not self._keeps(task_id, address):
            return None
        try:
            kept = self._path(task_id).read_bytes()
        except OSError:
            return None
        state, digest = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES : 2 * _DIGEST_BYTES]
        content = kept[2 * _DIGEST_BYTES :]
        whole = state == self._state(address) and digest == hashlib.sha256(content).digest()
        return content if whole else None

    def keep(self, task_id: int, address: str, content: bytes) -> None:
        """Keep a picture, if there is room."""
        if not self._keeps(task_id, address):
            return
        record = self._state(address) + hashlib.sha256(content).digest() + content
        if self._size() + len(record) > self._limit:
            return
        try:
            self._write(self._path(task_id), record)
        except OSError as error:
            log.warning("pictures are not kept for the next round: %s", error.strerror)
            self._limit = 0
        else:
            self._used = self._size() + len(record)

    def forget_others(self, task_ids: Collection[int]) -> None:
        """Remove the pictures of all tasks but these."""
        kept = {self._path(task_id).name for task_id in task_ids}
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name not in kept:
                    with suppress(OSError):
                        Path(entry.path).unlink()
        self._used = None

    def _keeps(self, task_id: int, address: str) -> bool:
        server = self._server.rstrip("/")
        # Where Label Studio lies below a path, it may write that before its addresses.
        path = address.removeprefix(server).removeprefix(urlsplit(server).path)
        return bool(self._limit) and task_id > 0 and _UPLOAD.fullmatch(path) is not None

    def _write(self, path: Path, content: bytes) -> None:
        # Not synced, which would take longer than fetching: the digest tells what was cut short.
        _make(path.parent)
        handle, name = tempfile.mkstemp(prefix=_WRITING, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.replace(name, path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    def _size(self) -> int:
        if self._used is None:
            self._used = 0
            with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
                self._used = sum(entry.stat().st_size for entry in entries)
        return self._used

    def _path(self, task_id: int) -> Path:
        return self._folder / f"{int(task_id)}.picture"

    def _state(self, address: str) -> bytes:
        return hashlib.sha256(json.dumps([self._server, address]).encode()).digest()


def _make(folder: Path) -> None:
    """A folder with its parents, each for this user only; parents=True would not see to that."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
