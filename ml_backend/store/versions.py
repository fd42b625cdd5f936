"""Published committees: files that never change, and a manifest that makes them a version.

``versions/r0007-3f9c2a/`` holds ``version-HASH.json`` (the metadata), ``member-0-HASH.safetensors``
… and, written last, ``manifest.json`` with each file's size and SHA-256: without it there is no
version. Names carry their content's hash, so two workers that publish the same version at the same
time never mix their files: whichever manifest stays, its files are there.

An earlier release wrote ``metadata.json`` and ``member-0.safetensors`` … into a folder and renamed
it into place. Such a version still loads: no release writes a ``metadata.json`` otherwise, so where
there is one, the version is whole; it has no checksums to verify.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .names import VERSION, DamagedError, StoreError, checked_version, number_of
from .objects import ABANDONED_S, Objects, loaded_json

if TYPE_CHECKING:
    from torch import Tensor

_MANIFEST = "manifest.json"
_METADATA = "version.json"
_OLD_METADATA = "metadata.json"
_MEMBER = re.compile(r"member-([0-9]+)\.safetensors")


def _are_numbers(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity.

    By numpy where it knows the type: torch's threads, once begun, are lacking in a process that is
    forked, which would wait for them without end.
    """
    try:
        values = tensor.numpy()
    except TypeError:  # bfloat16 and the like
        return bool(tensor.isfinite().all())
    return bool(np.isfinite(values).all())


class Versions:
    """The versions below one prefix."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix

    def names(self) -> list[str]:
        """Of the whole versions, oldest first. Raises StoreError."""
        whole = {
            name
            for name, files in self._files().items()
            if _MANIFEST in files or _OLD_METADATA in files
        }
        return sorted(whole, key=lambda name: (number_of(name), name))

    def has(self, version: str) -> bool:
        """Whether a version was published whole. Raises StoreError."""
        folder = self._folder(version)
        keys = set(self._objects.keys(folder))
        return bool(keys & {f"{folder}/{_MANIFEST}", f"{folder}/{_OLD_METADATA}"})

    def publish(
        self, version: str, states: Sequence[Mapping[str, Tensor]], metadata: Mapping[str, Any]
    ) -> None:
        """Write a version. Raises StoreError; then there is no version, or one published before.

        A version that is there and whole is left as it is; a damaged one is made again. Weights
        that are no numbers are refused: what they would draft means nothing.
        """
        folder, replace = self._folder(version), self.has(version)
        if replace and self.is_whole(version):
            return
        files = {}
        for name, content in _contents(states, metadata):
            digest = hashlib.sha256(content).hexdigest()
            self._objects.put(f"{folder}/{_hashed(name, digest)}", content)
            files[name] = {"sha256": digest, "bytes": len(content)}
        manifest = json.dumps({"files": files}, indent=1).encode()
        if replace:
            self._objects.put(f"{folder}/{_MANIFEST}", manifest)
        else:
            self._objects.put_new(f"{folder}/{_MANIFEST}", manifest)

    def metadata(self, version: str) -> dict[str, Any]:
        """A version's metadata.

        Raises DamagedError if it is missing or damaged, StoreError if it cannot be reached.
        """
        manifest = self._manifest(version)
        if manifest is None:
            content = self._objects.get(f"{self._folder(version)}/{_OLD_METADATA}")
        else:
            content = self._checked(version, _METADATA, manifest)
        if content is None:
            raise DamagedError(
                f"version {version} is missing in {self._objects.where}: roll back to another"
            )
        loaded = loaded_json(content)
        if not isinstance(loaded, dict):
            raise _damaged(version, "metadata")
        return loaded

    def states(self, version: str) -> list[dict[str, Tensor]]:
        """A version's weights, one state a member.

        Raises DamagedError if a file is damaged, StoreError if one cannot be reached.
        """
        folder, manifest = self._folder(version), self._manifest(version)
        names = (
            [key.rpartition("/")[2] for key in self._objects.keys(folder)]
            if manifest is None
            else list(manifest)
        )
        count = sum(1 for name in names if _MEMBER.fullmatch(name))
        if not count:
            return []
        from safetensors import SafetensorError
        from safetensors.torch import load

        states = []
        for name in (f"member-{index}.safetensors" for index in range(count)):
            if manifest is None:
                content = self._objects.get(f"{folder}/{name}")
            else:
                content = self._checked(version, name, manifest)
            try:
                state = load(content or b"")
                numbers = all(_are_numbers(tensor) for tensor in state.values())
            # Not only its own error: the format has types that this torch has not, or half knows.
            except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
                raise _damaged(version, f"weights ({name})") from None
            if not numbers:
                raise _damaged(version, f"weights ({name}, some are no numbers)")
            states.append(state)
        return states

    def remove(self, version: str) -> None:
        """Remove a version: what makes it one first, so that no half of it is ever seen."""
        folder = self._folder(version)
        first = [f"{folder}/{name}" for name in (_MANIFEST, _OLD_METADATA)]
        for key in first:
            self._objects.remove(key)
        for key in self._objects.keys(folder):
            self._objects.remove(key)

    def remove_abandoned(self) -> None:
        """Remove the files of versions that never got their manifest, ABANDONED_S after the last.

        Raises StoreError.
        """
        for name, files in self._files().items():
            if _MANIFEST in files or _OLD_METADATA in files:
                continue
            keys = [f"{self._folder(name)}/{file}" for file in files]
            ages = [self._objects.age_s(key) for key in keys]
            if all(age is not None and age > ABANDONED_S for age in ages):
                for key in keys:
                    self._objects.remove(key)

    def _files(self) -> dict[str, set[str]]:
        """File names by version, whole or not."""
        found: dict[str, set[str]] = {}
        for key in self._objects.keys(self._prefix):
            version, _, name = key[len(self._prefix) + 1 :].partition("/")
            if VERSION.fullmatch(version):
                found.setdefault(version, set()).add(name)
        return found

    def _manifest(self, version: str) -> dict[str, str] | None:
        """SHA-256 by file name, None where there is no manifest."""
        content = self._objects.get(f"{self._folder(version)}/{_MANIFEST}")
        if content is None:
            return None
        try:
            files = loaded_json(content)["files"]
            return {str(name): str(file["sha256"]) for name, file in files.items()}
        except (KeyError, TypeError, AttributeError):
            raise _damaged(version, "manifest") from None

    def _checked(self, version: str, name: str, manifest: Mapping[str, str]) -> bytes:
        digest = manifest.get(name, "")
        content = self._objects.get(f"{self._folder(version)}/{_hashed(name, digest)}")
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            what = "metadata" if name == _METADATA else f"weights ({name})"
            raise _damaged(version, what)
        return content

    def is_whole(self, version: str) -> bool:
        """Whether metadata and weights are what was published. Raises StoreError."""
        try:
            self.metadata(version)
            self.states(version)
        except DamagedError:
            return False
        return True

    def _folder(self, version: str) -> str:
        return f"{self._prefix}/{checked_version(version)}"


def _contents(
    states: Sequence[Mapping[str, Tensor]], metadata: Mapping[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """A version's files, one after the other: weights can be large."""
    yield _METADATA, json.dumps(dict(metadata), indent=1).encode()
    if states:
        from safetensors.torch import save

        for index, state in enumerate(states):
            if not all(_are_numbers(tensor) for tensor in state.values()):
                raise StoreError(
                    f"the training of member {index} diverged, its weights are no numbers: label "
                    "more slices, or choose another network or a larger training batch"
                )
            yield f"member-{index}.safetensors", save(dict(state))


def _hashed(name: str, digest: str) -> str:
    stem, _, suffix = name.partition(".")
    return f"{stem}-{re.sub('[^0-9a-f]', '', digest)[:12]}.{suffix}"


def _damaged(version: str, what: str) -> DamagedError:
    return DamagedError(f"version {version} has damaged {what}: roll back to another")
