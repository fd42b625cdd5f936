"""What the store asks of the place where its bytes lie."""

from __future__ import annotations

import json
from typing import Any, Protocol

# What nobody has written to for so long was left by a process that was killed. A clock that is more
# than 15 minutes out cannot even sign a request to an object store.
ABANDONED_S = 3600.0


class Objects(Protocol):
    """Bytes under keys such as ``projects/7/current``.

    Every method raises StoreError, with the remedy, if the place cannot be reached or refuses.
    Nothing is remembered between calls: other processes write here too.
    """

    @property
    def where(self) -> str:
        """The place, for messages."""

    def get(self, key: str) -> bytes | None:
        """What lies under a key, None if nothing does."""

    def put(self, key: str, content: bytes) -> None:
        """Write all of it or nothing; the last one wins."""

    def put_new(self, key: str, content: bytes) -> bool:
        """Write it unless something is there already; whether it was written."""

    def keys(self, prefix: str) -> list[str]:
        """Every key below a prefix (a folder's name, without its slash), sorted."""

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below a prefix."""

    def remove(self, key: str) -> None:
        """Remove what lies under a key, if anything does."""

    def age_s(self, key: str) -> float | None:
        """Seconds since it was written, None if that is not known."""

    def sweep(self, prefix: str) -> None:
        """Remove what killed processes left half written below a prefix, ABANDONED_S ago."""


def loaded_json(content: bytes | None) -> Any:
    """The value that JSON holds, None if there is none or it is damaged."""
    try:
        return json.loads(content or b"")
    except (ValueError, RecursionError):  # the latter for what is nested without end
        return None
