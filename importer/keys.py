"""The hospital's key file: made on first use, readable by its owner alone, never sent anywhere."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
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
        if not path.exists():
            _make(path)
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be made: {error.strerror}") from None
    return _load(path)


def _make(path: Path) -> None:
    """A new key, whole or not at all; the file of another importer that was first stays.

    Raises OSError.
    """
    text = secrets.token_bytes(_BYTES).hex() + "\n"
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        _write(handle, text)
        try:
            os.link(name, path)  # a rename would replace another's
        except FileExistsError:
            return
        except OSError:  # a disk without hard links
            _make_at_once(path, text)
    finally:
        Path(name).unlink(missing_ok=True)


def _make_at_once(path: Path, text: str) -> None:
    """Write a key under its own name: whoever looks meanwhile finds it damaged. Raises OSError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        _write(handle, text)
    except OSError:
        path.unlink(missing_ok=True)  # nothing was made with it
        raise


def _write(handle: int, text: str) -> None:
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


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


def begin_rotation(path: Path) -> tuple[bytes, bytes]:
    """The key and the one to come, which lies beside it until end_rotation(): nothing has changed.

    Pseudonyms made by the new key differ from those of the old one. Raises KeyFileError.
    """
    old = _load(path)
    kept, fresh = _beside(path)
    if kept.exists():
        raise KeyFileError(f"{kept} is still there from an earlier rotation: move it to your safe")
    fresh.unlink(missing_ok=True)
    return old, load_or_make_key(fresh)


def end_rotation(path: Path) -> None:
    """Put the new key in the place of the old one, which is kept as NAME.old. Raises OSError."""
    kept, fresh = _beside(path)
    try:
        os.link(path, kept)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        _make_at_once(kept, path.read_text("ascii"))
    os.replace(fresh, path)


def _beside(path: Path) -> tuple[Path, Path]:
    """Where the old key is kept, and where the new one waits."""
    return path.with_name(f"{path.name}.old"), path.with_name(f".{path.name}.new")
