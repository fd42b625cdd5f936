"""The version that a round makes, named after what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..gathering import fingerprint
from ..store import Store


def version_of(store: Store, made_of: Sequence[Any]) -> tuple[str, str]:
    """The version that is made of this, as it is named already or next, and its fingerprint.

    Versions never change, and Label Studio keeps what was pushed of one. So one that is damaged
    gives way to another of the same labels, and so does one whose round has ended and that is not
    the current one, as after a rollback: under its name the old order would be served on.
    """
    parts = list(made_of)
    version = store.name_for(fingerprint(parts))
    while version in store.versions() and not _can_be_gone_on_with(store, version):
        parts += ["instead of", version]
        version = store.name_for(fingerprint(parts))
    return version, fingerprint(parts)


def _can_be_gone_on_with(store: Store, version: str) -> bool:
    ended = store.noted(version, "round") and not store.work(version).names()
    if version != store.current() and ended:
        return False
    return store.is_whole(version)
