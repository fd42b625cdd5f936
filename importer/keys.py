"""The hospital's key file: made on first use, readable by its owner alone, never sent anywhere."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

_BYTES = 32


class KeyFileError(RuntimeError):
    """The key file cannot be used; the message says why and the remedy."""


def load_or_make_key(path: Path) -> bytes:
    """The key in a file; a new one if there is no file.

    Raises KeyFileError if others may read it, it is damaged, or it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: two importers starting at once must not make two keys.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _load(path)
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be made: {error.strerror}") from None
    key = secrets.token_bytes(_BYTES)
    with os.fdopen(handle, "w") as stream:
        stream.write(key.hex() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return key


def _load(path: Path) -> bytes:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(f"others may read the key file {path}: run chmod 600 on it")
        key = bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        key = b""
    if len(key) < _BYTES:
        raise KeyFileError(
            f"the key file {path} is damaged: restore it from your backup; a new key would give "
            "every patient a new pseudonym"
        )
    return key


def rotate(path: Path) -> tuple[bytes, bytes]:
    """Replace the key by a new one; the old and the new. The old file is kept as NAME.old.

    Pseudonyms made by the new key differ from those of the old one. Raises KeyFileError.
    """
    old = _load(path)
    kept = path.with_name(f"{path.name}.old")
    if kept.exists():
        raise KeyFileError(f"{kept} is still there from an earlier rotation: move it to your safe")
    os.link(path, kept)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    new = load_or_make_key(fresh)
    os.replace(fresh, path)
    return old, new
