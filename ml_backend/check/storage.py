"""The store of versions: it takes, gives back and removes, and has room."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..store.places import objects_at
from .deployment import Deployment
from .findings import Check, Outcome, fails, ok, unknown
from .host import free_space


def probe(deployment: Deployment) -> Outcome:
    """A small object is written, read and removed. Raises StoreError, with its remedy."""
    objects = objects_at(deployment.settings.store_root)
    # A name of its own: two checks at once do not meet.
    name, content = f"check/probe-{secrets.token_hex(8)}", secrets.token_bytes(64)
    objects.put(name, content)
    try:
        back = objects.get(name)
    finally:
        objects.remove(name)
    if back != content:
        return fails(
            f"{objects.where} does not give back what was written to it",
            "Check the disk or the object store: a cache in between must not answer for it.",
        )
    if objects.get(name) is not None:
        return fails(
            f"{objects.where} does not remove what it is told to",
            "Give the credentials the right to delete; old versions are removed by and by.",
        )
    return ok(f"{objects.where}: written, read and removed a probe")


def space(deployment: Deployment) -> Outcome:
    """The store's disk has room."""
    folder = _folder(str(deployment.settings.store_root))
    if folder is None:
        return unknown("an object store does not tell its free space")
    return free_space(
        folder, deployment.least_free_bytes, "QUORUM_KEEP_VERSIONS says how many versions stay."
    )


def _folder(root: str) -> Path | None:
    if root.startswith(("file://", "local://")):
        return Path(unquote(urlsplit(root).path))
    return None if "://" in root else Path(root)


CHECKS = (Check("store", probe), Check("store: space", space))
