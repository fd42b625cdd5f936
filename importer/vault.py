"""The way back from pseudonyms to patients: an encrypted file beside the hospital's key.

Each line is a Fernet token (AES-128-CBC with HMAC-SHA256, encrypted then authenticated) of a batch
of entries; its key is derived from the hospital's by HKDF (RFC 5869), so that whoever holds the
vault alone learns nothing. Lines are appended as an import goes; one that a crash cut short is
passed over. Imports lock it together; a rotation, which replaces the key and the file, alone.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Entry = Mapping[str, Any]
_BATCH = 500


class VaultError(RuntimeError):
    """The vault cannot be read; the message says why and the remedy."""


def vault_of(key_file: Path) -> Path:
    """Where the vault of a key file lies: beside it."""
    return key_file.with_name(f"{key_file.stem}.vault")


@contextlib.contextmanager
def in_use(vault: Path) -> Iterator[None]:
    """From before the key is read until the last entry is kept; waits for a rotation to end."""
    with _locked(vault, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def alone(vault: Path) -> Iterator[None]:
    """While the key is replaced. Raises VaultError if an import is at work with it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(vault, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise VaultError(
                "./quorum import, release or receive is running with this key, and would go on "
                "under the old one: let it end, or stop it (Ctrl-C; started again, it goes on), "
                "then rotate the key"
            ) from None
        yield


@contextlib.contextmanager
def _locked(vault: Path, how: int) -> Iterator[None]:
    vault.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(vault.with_name(f"{vault.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


class Vault:
    """A vault file under a hospital's key; made when the first entries are kept."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._fernet = Fernet(_derived(key))
        self._waiting: dict[str, Entry] = {}
        self._kept: set[str] = set()

    def keep(self, pseudonym: str, entry: Entry) -> None:
        """Remember whom or what a pseudonym stands for; written a batch at a time."""
        if pseudonym in self._kept or pseudonym in self._waiting:
            return
        self._waiting[pseudonym] = entry
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Bring what was kept to the disk. Raises OSError."""
        if not self._waiting:
            return
        packed = zlib.compress(json.dumps(self._waiting, default=str).encode())
        self._append([self._fernet.encrypt(packed)])
        self._kept.update(self._waiting)
        self._waiting.clear()

    def _append(self, lines: list[bytes]) -> None:
        if not lines:
            return
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # of the imports that share it, one at a time
            size = os.fstat(handle).st_size
            torn = b"\n" if size and os.pread(handle, 1, size - 1) != b"\n" else b""
            left = memoryview(torn + b"".join(line + b"\n" for line in lines))
            try:
                while left:
                    left = left[os.write(handle, left) :]
                os.fsync(handle)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, size)  # a full disk takes the half of a line
                raise
        finally:
            os.close(handle)

    def load(self) -> None:
        """Know what is kept already, so that it is not written again. Raises VaultError."""
        self._kept.update(pseudonym for pseudonym, _ in self.entries())

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """All pseudonyms and what they stand for.

        Raises VaultError if the key is another than the one it was written with.
        """
        lines = self._lines()
        readable = 0
        for line in lines:
            batch = self._opened(line)
            if batch is not None:
                readable += 1
                yield from batch.items()
        # The last line has no end if it was cut short: it says nothing of the key.
        if not readable and any(line.endswith(b"\n") for line in lines):
            if self._finish_rotation():
                yield from self.entries()
                return
            raise VaultError(
                f"{self._path} was not written with this key: give the key file that lies beside "
                "it in your backup"
            )

    def _finish_rotation(self) -> bool:
        """Put the file in its place that a rotation wrote whose key is this one, if there is one.

        It was killed after the key was replaced, and before the vault was: all is written then.
        """
        if not any(self._opened(line) for line in _lines_in(self._rewritten)):
            return False
        os.replace(self._rewritten, self._path)
        return True

    @property
    def _rewritten(self) -> Path:
        return self._path.with_name(f".{self._path.name}.part")

    def _lines(self) -> list[bytes]:
        return _lines_in(self._path)

    def _opened(self, line: bytes) -> dict[str, Entry] | None:
        """A line's entries, None if it is torn or of another key."""
        try:
            packed = self._fernet.decrypt(line.rstrip())
            batch: dict[str, Entry] = json.loads(zlib.decompress(packed))
        except (InvalidToken, ValueError, zlib.error):
            return None
        return batch

    def reveal(self, pseudonyms: Collection[str]) -> dict[str, Entry]:
        """What some pseudonyms stand for; unknown ones are left out. Raises VaultError."""
        wanted = set(pseudonyms)
        return {pseudonym: entry for pseudonym, entry in self.entries() if pseudonym in wanted}

    def rewrite(self, key: bytes, before: Callable[[], None] = lambda: None) -> int:
        """Encrypt the vault anew under another key, replacing the file at once.

        `before` is called when all is written, just before that: a full disk is met before it.
        Lines that this key does not open are kept as they are: how many. Raises OSError.
        """
        other = Vault(self._rewritten, key)
        other._path.unlink(missing_ok=True)
        closed = []
        for line in self._lines():
            batch = self._opened(line)
            if batch is None:
                closed.append(line.rstrip())
            for pseudonym, entry in (batch or {}).items():
                other.keep(pseudonym, entry)
        other.flush()
        other._append(closed)
        before()
        with contextlib.suppress(FileNotFoundError):  # nothing was kept, or a reader was first
            os.replace(other._path, self._path)
        self._fernet = other._fernet
        return len(closed)


def _lines_in(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []


def _derived(key: bytes) -> bytes:
    derived = HKDF(SHA256(), 32, salt=None, info=b"quorum importer vault").derive(key)
    return base64.urlsafe_b64encode(derived)
