"""Scratch of the round that makes a version: what one step leaves for the next."""

from __future__ import annotations

import hashlib

from .names import checked_name
from .objects import Objects

_DIGEST_BYTES = 32  # SHA-256, in front of the content: both are written in one atomic put


class Work:
    """The artefacts below one prefix, each checked when it is read."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix

    def put(self, name: str, content: bytes) -> None:
        """Keep an artefact; the last one of a name wins. Raises StoreError."""
        self._objects.put(self._key(name), hashlib.sha256(content).digest() + content)

    def get(self, name: str) -> bytes | None:
        """An artefact, None if it is not there. Raises StoreError.

        A damaged one is removed and counts as not there: its step makes it again.
        """
        stored = self._objects.get(self._key(name))
        if stored is None:
            return None
        content = stored[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != stored[:_DIGEST_BYTES]:
            self._objects.remove(self._key(name))
            return None
        return content

    def names(self) -> set[str]:
        """Of the artefacts that are there, in one listing. Raises StoreError."""
        return {key[len(self._prefix) + 1 :] for key in self._objects.keys(self._prefix)}

    def clear(self) -> None:
        """Remove every artefact. Raises StoreError."""
        for key in self._objects.keys(self._prefix):
            self._objects.remove(key)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{checked_name(name)}"
