"""What is kept of one project: versions, the pointer to one of them, and what goes with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..learning.held_out import Side
from .figures import Figures
from .names import VERSION, StoreError, checked_name, checked_version, number_of
from .objects import loaded_json
from .places import objects_at
from .versions import Versions
from .work import Work

if TYPE_CHECKING:
    from torch import Tensor

_PROJECTS = "projects"


class Store(Figures):
    """One project's part of a store in a folder, or behind an fsspec URL (``s3://bucket/…``).

    Every method raises StoreError, which names the place and the remedy, if it cannot be reached.
    """

    def __init__(self, root: str | Path, project_id: int) -> None:
        self._objects = objects_at(root)
        self._prefix = f"{_PROJECTS}/{int(project_id)}"
        self._versions = Versions(self._objects, f"{self._prefix}/versions")

    def versions(self) -> list[str]:
        """Names of the published versions, oldest first."""
        return self._versions.names()

    def name_for(self, fingerprint: str) -> str:
        """The version that a fingerprint (hex) has, or the next free number's if it has none.

        A round that is run again after a crash thus finds what it has already made. The metadata
        hold the whole fingerprint, as `fingerprint`: of its six digits in the name alone another
        may have the same.
        """
        names = self.versions()
        for name in names:
            if name.endswith(f"-{fingerprint[:6]}") and self._made_of(name) in ("", fingerprint):
                return name
        last = number_of(names[-1]) if names else -1
        return f"r{last + 1:04d}-{fingerprint[:6]}"

    def publish(
        self, version: str, states: Sequence[Mapping[str, Tensor]], metadata: Mapping[str, Any]
    ) -> None:
        """Write a version: one state (name → tensor) a member, and its metadata.

        A version that is there and whole is left as it is: versions never change. If the place
        refuses (StoreError) there is no version; trying again is harmless.
        """
        self._versions.publish(version, states, metadata)
        self._tidy()

    def metadata(self, version: str) -> dict[str, Any]:
        """A version's metadata. Raises DamagedError if it is missing or damaged."""
        return self._versions.metadata(version)

    def is_whole(self, version: str) -> bool:
        """Whether metadata and weights are what was published. Raises StoreError."""
        return self._versions.is_whole(version)

    def states(self, version: str) -> list[dict[str, Tensor]]:
        """A version's weights, one state a member; none for a version without a committee.

        Raises DamagedError if a file is damaged.
        """
        return self._versions.states(version)

    def retain(self, keep: int) -> list[str]:
        """Remove the oldest versions beyond `keep` with their notes; the removed ones.

        The current one is among those kept, however old. 0 keeps all.
        """
        names, current = self.versions(), self.current()
        spared = [name for name in names if name != current]
        beyond = len(names) - keep if keep > 0 else 0
        removed = []
        for name in spared[: max(0, beyond)]:
            if name == self.current():  # rolled back to meanwhile
                continue
            self._versions.remove(name)
            for key in self._objects.keys(f"{self._prefix}/notes"):
                if key.startswith(f"{self._prefix}/notes/{name}-"):
                    self._objects.remove(key)
            removed.append(name)
        self._tidy()
        return removed

    def current(self) -> str | None:
        """The version that drafts and orders now, None before the first."""
        content = self._objects.get(f"{self._prefix}/current")
        name = (content or b"").decode("ascii", "replace").strip()
        return name if VERSION.fullmatch(name) else None

    def point_to(self, version: str) -> None:
        """Make a version the current one; moving it back is a rollback.

        Raises StoreError if there is no such version.
        """
        if not self._versions.has(version):
            raise StoreError(f"there is no version {version} in {self._objects.where}")
        self._objects.put(f"{self._prefix}/current", version.encode())

    def work(self, version: str) -> Work:
        """The scratch of the round that makes a version."""
        return Work(self._objects, f"{self._prefix}/work/{checked_version(version)}")

    def works(self) -> list[str]:
        """Versions that have something in their work area, oldest first."""
        prefix = f"{self._prefix}/work/"
        keys = self._objects.keys(prefix[:-1])
        found = {key[len(prefix) :].partition("/")[0] for key in keys}
        names = [name for name in found if VERSION.fullmatch(name)]
        return sorted(names, key=lambda name: (number_of(name), name))

    def note(self, version: str, name: str, value: Mapping[str, Any]) -> None:
        """Keep what became known after publishing, in a file beside the version's folder."""
        self._objects.put(self._note(version, name), json.dumps(dict(value)).encode())

    def noted(self, version: str, name: str) -> dict[str, Any]:
        """What was kept by note(), empty if nothing was or it is damaged."""
        value = loaded_json(self._objects.get(self._note(version, name)))
        return value if isinstance(value, dict) else {}

    def sides(self) -> dict[str, Side]:
        """On which side of the held-out division each patient stands; empty before the first."""
        key = f"{self._prefix}/division.json"
        content = self._objects.get(key)
        if content is None:
            return {}
        try:
            return {str(name): Side(side) for name, side in loaded_json(content).items()}
        except (ValueError, AttributeError):
            # Guessing anew could evaluate on patients that were trained on.
            raise StoreError(
                f"{self._objects.where}/{key} is damaged: restore it from a backup, or "
                "remove it together with the versions beside it to begin anew"
            ) from None

    def keep_sides(self, sides: Mapping[str, Side]) -> None:
        """Remember the division before anything is trained by it; nobody who stands is moved."""
        kept = self.sides()
        # A look and a round may each have met patients that the other has not.
        merged = {**sides, **kept}
        if merged == kept:
            return
        content = json.dumps(merged, indent=0).encode()
        self._objects.put(f"{self._prefix}/division.json", content)

    def overrides(self) -> dict[str, Any]:
        """The settings that this project has of its own; empty if it has none."""
        key = f"{self._prefix}/settings.json"
        content = self._objects.get(key)
        if content is None:
            return {}
        value = loaded_json(content)
        if not isinstance(value, dict):
            # Without them a round would go on with settings that nobody chose.
            raise StoreError(
                f"{self._objects.where}/{key} is damaged: set the project's own settings again, "
                "or remove it for the common ones"
            )
        return value

    def keep_overrides(self, values: Mapping[str, Any]) -> None:
        """Replace the settings that this project has of its own."""
        content = json.dumps(dict(values), indent=1).encode()
        self._objects.put(f"{self._prefix}/settings.json", content)

    def _tidy(self) -> None:
        """Remove what killed processes left behind."""
        with suppress(StoreError):  # what was to be done, is; the next write tries again
            self._objects.sweep(self._prefix)
            self._versions.remove_abandoned()

    def _made_of(self, version: str) -> str:
        """A version's whole fingerprint, "" if earlier releases made it or it cannot be read."""
        with suppress(StoreError):
            return str(self.metadata(version).get("fingerprint") or "")
        return ""

    def _note(self, version: str, name: str) -> str:
        return f"{self._prefix}/notes/{checked_version(version)}-{checked_name(name)}.json"


def project_ids(root: str | Path) -> list[int]:
    """The projects that have something in a store. Raises StoreError."""
    names = objects_at(root).folders(_PROJECTS)
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())
