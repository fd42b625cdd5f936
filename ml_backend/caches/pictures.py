"""Pictures of a project's slices, kept on this machine between rounds.

Each round looks at the whole pool again; Label Studio, which has annotators to serve, would hand
out each picture again. Only its own uploads are kept: their addresses are never given twice, while
what lies in other storages may be replaced under the same name. What is kept can be lost at any
time: it is then fetched anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from ..settings import Settings
from .disk import DiskCache

# Label Studio puts eight random hex digits before each upload's name.
_UPLOAD = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-[\w.-]+")
_DIGEST_BYTES = 32  # SHA-256: one of what was asked for, then one of the content
# A pool may have more pictures than fit: labels, which cost more to read anew, find room.
_SHARE = 0.75


class PictureCache:
    """Pictures of one project by task, in this machine's cache."""

    def __init__(self, folder: Path, server: str, project_id: int, limit_bytes: int) -> None:
        """`folder` and `limit_bytes` are the machine's, whatever else is kept there.

        `server` is Label Studio's address: another one's task of that number is another.
        """
        self._server = server
        self._cache = DiskCache(folder, limit_bytes, _SHARE)
        self._prefix = f"projects/{int(project_id)}/pictures"

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
        kept = self._cache.get(self._key(task_id)) or b""
        state, digest = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES : 2 * _DIGEST_BYTES]
        content = kept[2 * _DIGEST_BYTES :]
        whole = state == self._state(address) and digest == hashlib.sha256(content).digest()
        return content if whole else None

    def keep(self, task_id: int, address: str, content: bytes) -> None:
        """Keep a picture, if there is room."""
        if self._keeps(task_id, address):
            record = self._state(address) + hashlib.sha256(content).digest() + content
            self._cache.put(self._key(task_id), record)

    def forget_others(self, task_ids: Collection[int]) -> None:
        """Remove the pictures of all tasks but these."""
        self._cache.keep_only(self._prefix, {_name(task_id) for task_id in task_ids})

    def _keeps(self, task_id: int, address: str) -> bool:
        server = self._server.rstrip("/")
        # Where Label Studio lies below a path, it may write that before its addresses.
        path = address.removeprefix(server).removeprefix(urlsplit(server).path)
        return task_id > 0 and _UPLOAD.fullmatch(path) is not None

    def _key(self, task_id: int) -> str:
        return f"{self._prefix}/{_name(task_id)}"

    def _state(self, address: str) -> bytes:
        return hashlib.sha256(json.dumps([self._server, address]).encode()).digest()


def _name(task_id: int) -> str:
    return f"{int(task_id)}.picture"
