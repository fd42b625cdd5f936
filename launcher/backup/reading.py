"""What goes into a backup, read while the loop goes on.

A project's versions are read before the pointer to one of them, and what the pointer names is made
sure of, with the notes on it; then the other notes; and after all of them the held-out division,
which is kept before anything is trained by it. So whatever is restored fits together, whenever the
copy was made.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from importer.keys import KeyFileError, load_or_make_key
from importer.vault import Vault, VaultError, vault_of
from ml_backend.store import is_version
from ml_backend.store.objects import Objects

from .archive import BACKEND, BackupError, allowed

Warn = Callable[[str], None]
Files = Iterator[tuple[str, bytes]]

SECRETS = (
    "QUORUM_BASIC_AUTH_USER",
    "QUORUM_BASIC_AUTH_PASSWORD",
    "QUORUM_WEBHOOK_SECRET",
    "QUORUM_SPLIT_KEY",
)
_ENDS = ("manifest.json", "metadata.json")  # with one of them a version is whole
_ATTEMPTS = 20


def data_files(data: Path, environment: Mapping[str, str]) -> Files:
    """Of a data folder: the secrets as they are in force, the page's key, imports' counts.

    Raises OSError.
    """
    secrets = {name: environment[name] for name in SECRETS if environment.get(name)}
    if secrets:
        yield "secrets.json", json.dumps(secrets).encode()
    for path in (data / "page.key", *sorted((data / "imports").glob("*.jsonl"))):
        name = path.relative_to(data).as_posix()
        if allowed(BACKEND, name) and path.is_file():
            yield name, path.read_bytes()


def store_files(objects: Objects, project_id: int, warn: Warn) -> Files:
    """Of one project's part of a store. Raises StoreError."""
    return _Project(objects, project_id, warn).files()


class _Project:
    """One project's part of a store while it is copied."""

    def __init__(self, objects: Objects, project_id: int, warn: Warn) -> None:
        self._objects, self._warn = objects, warn
        self._prefix = f"projects/{project_id}"
        self._copied: set[str] = set()
        self._whole: set[str] = set()

    def files(self) -> Files:
        """All that is to be kept."""
        for name in self._objects.folders(f"{self._prefix}/versions"):
            if is_version(name):
                yield from self._version(name)
        yield from self._pointer()
        for key in self._objects.keys(self._prefix):
            part, _, name = key[len(self._prefix) + 1 :].partition("/")
            if part in ("versions", "current", "work", "pictures"):
                continue
            # A note on a version that came or went meanwhile would never be tidied away.
            if part == "notes" and "-".join(name.split("-")[:2]) not in self._whole:
                continue
            yield from self._copy(key)

    def _version(self, version: str) -> Files:
        """A version, what makes it one last; nothing that makes it one if it is not whole."""
        folder = f"{self._prefix}/versions/{version}"
        read = {end: self._objects.get(f"{folder}/{end}") for end in _ENDS}
        ends = {end: content for end, content in read.items() if content is not None}
        if not ends:
            return
        found: dict[str, str] = {}
        for key in self._objects.keys(folder):
            name = key.rpartition("/")[2]
            if name not in _ENDS:
                for copied, content in self._copy(key):
                    found[name] = hashlib.sha256(content).hexdigest()
                    yield copied, content
        if not _agrees(ends.get("manifest.json"), found):
            if not self._is_there(version):
                return  # it was removed meanwhile, as old versions are
            self._warn(
                f"{version} of {self._prefix} is damaged in {self._objects.where}: it is copied as "
                "it is; roll back to another if it is the current one"
            )
        for end, content in ends.items():
            yield from self._named(f"{folder}/{end}", content)
        self._whole.add(version)

    def _pointer(self) -> Files:
        """The pointer, after the version that it names and the notes on that."""
        key = f"{self._prefix}/current"
        for _ in range(_ATTEMPTS):
            content = self._objects.get(key)
            if content is None:
                return
            version = content.decode("ascii", "replace").strip()
            if is_version(version) and version not in self._whole:
                yield from self._version(version)
            if version in self._whole:
                yield from self._notes(version)
                # Notes are removed after their version: while it is there, so were all of them.
                if self._is_there(version):
                    yield from self._named(key, content)
                    return
        self._warn(f"{self._prefix} follows a version that is missing: roll back to another")
        yield from self._copy(key)

    def _notes(self, version: str) -> Files:
        """The notes on a version."""
        prefix = f"{self._prefix}/notes"
        for key in self._objects.keys(prefix):
            if key.startswith(f"{prefix}/{version}-"):
                yield from self._copy(key)

    def _is_there(self, version: str) -> bool:
        folder = f"{self._prefix}/versions/{version}"
        return any(self._objects.get(f"{folder}/{end}") is not None for end in _ENDS)

    def _copy(self, key: str) -> Files:
        content = self._objects.get(key)
        if content is not None:
            yield from self._named(key, content)

    def _named(self, key: str, content: bytes) -> Files:
        name = f"store/{key}"
        if not allowed(BACKEND, name):
            self._warn(f"{key} is left out: it is no file of Quorum's")
        elif name not in self._copied:
            self._copied.add(name)
            yield name, content


def _agrees(manifest: bytes | None, found: Mapping[str, str]) -> bool:
    """Whether all files that a version's manifest names are there and right."""
    if manifest is None:  # of an earlier release: it has no checksums
        return True
    try:
        wanted = {str(file["sha256"]) for file in json.loads(manifest)["files"].values()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return wanted <= set(found.values())


def hospital_files(key_file: Path) -> Files:
    """The key and the vault, which fit each other. Raises BackupError, OSError."""
    if not key_file.exists():  # never make one here
        raise BackupError(f"there is no key file {key_file}: name it with --key")
    vault_file = vault_of(key_file)
    trouble = f"{key_file} is being replaced: try again"
    for _ in range(_ATTEMPTS):
        try:
            load_or_make_key(key_file)
            key, vault = key_file.read_bytes(), _bytes_of(vault_file)
            Vault(vault_file, bytes.fromhex(key.decode("ascii").strip())).load()
        except (KeyFileError, VaultError) as error:
            trouble = str(error)
        else:
            # While the key is replaced the vault is written anew; imports only append to it.
            if key_file.read_bytes() == key and _bytes_of(vault_file).startswith(vault):
                break
        time.sleep(0.1)
    else:
        raise BackupError(trouble)
    yield "importer.key", key
    old = key_file.with_name(f"{key_file.name}.old")
    if old.exists():
        yield "importer.key.old", old.read_bytes()
    if vault:
        # A line that is being appended is left to the next backup.
        yield "importer.vault", vault[: vault.rfind(b"\n") + 1]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
