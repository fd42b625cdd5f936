"""Published committees: immutable folders and one atomic pointer a project.

``ROOT/projects/ID/versions/r0007-3f9c2a/{metadata.json, member-0.safetensors, …}`` and
``ROOT/projects/ID/current``, a file that holds a version's name. Weights are safetensors and
metadata is JSON: nothing is unpickled. A version is written to a temporary folder, then renamed;
the pointer is replaced atomically; rollback is moving the pointer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .learning.held_out import Side

if TYPE_CHECKING:
    from torch import Tensor

_VERSION = re.compile(r"r(\d{4,})-([0-9a-f]{6})")


class StoreError(RuntimeError):
    """A version is missing or damaged; the message names it and the remedy."""


class Store:
    """The versions of one project under a root folder."""

    def __init__(self, root: Path, project_id: int) -> None:
        self._folder = root / "projects" / str(int(project_id))

    def versions(self) -> list[str]:
        """Names of the published versions, oldest first."""
        folder = self._folder / "versions"
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        return sorted((n for n in names if _VERSION.fullmatch(n)), key=lambda n: (number_of(n), n))

    def name_for(self, fingerprint: str) -> str:
        """The version that a fingerprint (hex) has, or the next free number's if it has none.

        A round that is run again after a crash thus finds what it has already made.
        """
        names = self.versions()
        for name in names:
            if name.endswith(f"-{fingerprint[:6]}"):
                return name
        last = number_of(names[-1]) if names else -1
        return f"r{last + 1:04d}-{fingerprint[:6]}"

    def publish(
        self, version: str, states: Sequence[Mapping[str, Tensor]], metadata: Mapping[str, Any]
    ) -> None:
        """Write a version: one state (name → tensor) a member, and its metadata.

        A version that is there already is left as it is: versions never change.
        Raises StoreError if the disk refuses.
        """
        target = self._path(version)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
        try:
            if states:
                from safetensors.torch import save_file

                for index, state in enumerate(states):
                    save_file(dict(state), temporary / f"member-{index}.safetensors")
            _write_synced(temporary / "metadata.json", json.dumps(dict(metadata), indent=1))
            os.replace(temporary, target)
        except OSError as error:
            if target.exists():  # another worker published the same version first
                return
            raise StoreError(
                f"version {version} could not be written ({error.strerror}): "
                f"check the disk of {self._folder}"
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def metadata(self, version: str) -> dict[str, Any]:
        """A version's metadata. Raises StoreError if it is missing or damaged."""
        try:
            loaded = json.loads((self._path(version) / "metadata.json").read_text())
        except (OSError, ValueError):
            raise StoreError(
                f"version {version} is missing or damaged in {self._folder}: roll back to another"
            ) from None
        if not isinstance(loaded, dict):
            raise StoreError(f"version {version} has damaged metadata: roll back to another")
        return loaded

    def states(self, version: str) -> list[dict[str, Tensor]]:
        """A version's weights, one state a member; none for a version without a committee.

        Raises StoreError if a file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = self._path(version)
        count = len(list(folder.glob("member-*.safetensors")))
        try:
            return [load_file(folder / f"member-{i}.safetensors") for i in range(count)]
        except (OSError, SafetensorError):
            raise StoreError(
                f"version {version} has damaged weights: roll back to another"
            ) from None

    def current(self) -> str | None:
        """The version that drafts and orders now, None before the first."""
        try:
            name = (self._folder / "current").read_text().strip()
        except FileNotFoundError:
            return None
        return name if _VERSION.fullmatch(name) else None

    def point_to(self, version: str) -> None:
        """Make a version the current one; moving it back is a rollback.

        Raises StoreError if there is no such version.
        """
        if not (self._path(version) / "metadata.json").is_file():
            raise StoreError(f"there is no version {version} in {self._folder}")
        handle, name = tempfile.mkstemp(prefix=".current-", dir=self._folder)
        os.close(handle)
        _write_synced(Path(name), version)
        os.replace(name, self._folder / "current")

    def note(self, version: str, name: str, value: Mapping[str, Any]) -> None:
        """Keep what became known after publishing (``NAME.json`` beside the version's folder)."""
        folder = self._folder / "notes"
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{version}-{name}-{os.getpid()}"
        _write_synced(temporary, json.dumps(dict(value)))
        os.replace(temporary, folder / f"{version}-{name}.json")

    def noted(self, version: str, name: str) -> dict[str, Any]:
        """What was kept by note(), empty if nothing was."""
        path = self._folder / "notes" / f"{version}-{name}.json"
        try:
            value = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def sides(self) -> dict[str, Side]:
        """On which side of the held-out division each patient stands; empty before the first."""
        try:
            kept = json.loads((self._folder / "division.json").read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            # Guessing anew could evaluate on patients that were trained on.
            raise StoreError(
                f"{self._folder / 'division.json'} is damaged: restore it from a backup, or "
                "remove it together with the versions beside it to begin anew"
            ) from None
        return {name: Side(side) for name, side in kept.items()}

    def keep_sides(self, sides: Mapping[str, Side]) -> None:
        """Remember the division before anything is trained by it."""
        if sides == self.sides():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".division-{os.getpid()}"
        _write_synced(temporary, json.dumps(dict(sides), indent=0))
        os.replace(temporary, self._folder / "division.json")

    def _path(self, version: str) -> Path:
        # The name comes from requests too: it must never lead out of the store.
        if not _VERSION.fullmatch(version):
            raise StoreError("a version's name looks like r0007-3f9c2a")
        return self._folder / "versions" / version


def number_of(version: str) -> int:
    """The round's number in a version's name. Raises StoreError for another name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise StoreError("a version's name looks like r0007-3f9c2a")
    return int(match.group(1))


def _write_synced(path: Path, text: str) -> None:
    with path.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
