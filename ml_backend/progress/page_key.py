"""The page's own secret: signs session cookies and read-only links, and never leaves the host."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_NAME = "page.key"
_BYTES = 32
_made_up: dict[Path, bytes] = {}  # by where they would be kept; gone with this process


def load_or_make(data_dir: Path) -> bytes:
    """The key in DATA_DIR/page.key; a new one if there is none that only its owner can read.

    A new key costs no more than signing in again. Where none can be kept (a folder that cannot be
    written), one is made up for this process, and the log says so.
    """
    path = data_dir / _NAME
    with suppress(OSError, ValueError):
        return _load(path)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return _make(path)
    except OSError as error:
        if path not in _made_up:
            log.warning(
                "%s cannot be made (%s): read-only links end, and everybody signs in again, when "
                "the backend starts again",
                path,
                error.strerror,
            )
        return _made_up.setdefault(path, secrets.token_bytes(_BYTES))


def derived(key: bytes, purpose: str, *parts: str) -> bytes:
    """A key for one purpose: what was signed for another does not fit, nor with other parts."""
    message = "\0".join((purpose, *(hashlib.sha256(part.encode()).hexdigest() for part in parts)))
    return hmac.digest(key, message.encode(), "sha256")


def _load(path: Path) -> bytes:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("others may read %s: it is replaced, and everybody signs in again", path)
        path.unlink()
        raise ValueError
    key = bytes.fromhex(path.read_text("ascii").strip())
    if len(key) != _BYTES:
        raise ValueError
    return key


def _make(path: Path) -> bytes:
    """Write a new key beside its place, then link it there: nobody ever reads half of one."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    key = secrets.token_bytes(_BYTES)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(key.hex() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            try:
                return _load(path)  # another process was quicker
            except ValueError:
                os.replace(fresh, path)  # a damaged one
    finally:
        fresh.unlink(missing_ok=True)
    return key
