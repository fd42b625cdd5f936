"""Names in the store: what is allowed as one, so that none leads out of it."""

from __future__ import annotations

import re

from ..errors import QuorumError

VERSION = re.compile(r"r([0-9]{4,9})-([0-9a-f]{6})")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class StoreError(QuorumError, RuntimeError):
    """Something is missing, damaged or cannot be written; the message names it and the remedy."""


class DamagedError(StoreError):
    """A version's files were reached, and are not what was published: asking again is no use."""


def checked_version(version: str) -> str:
    """The name of a version as it is. Raises StoreError for another name.

    It comes from requests too: it must never lead out of the store.
    """
    if not VERSION.fullmatch(version):
        raise StoreError("a version's name looks like r0007-3f9c2a")
    return version


def is_version(name: str) -> bool:
    """Whether this could be a version's name."""
    return VERSION.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """The name of a note or an artefact as it is. Raises StoreError for a path."""
    if not _NAME.fullmatch(name):
        raise StoreError("a name in the store has letters, digits, '_', '-' and '.' only")
    return name


def number_of(version: str) -> int:
    """The round's number in a version's name. Raises StoreError for another name."""
    return int(checked_version(version)[1:].partition("-")[0])
