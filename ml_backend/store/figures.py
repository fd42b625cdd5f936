"""What is kept of a project for people to look at: figures as JSON, and small pictures.

Nothing here decides anything: whatever is lost is made again by the next look or round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .names import checked_name
from .objects import Objects, loaded_json


class Figures:
    """The figures and pictures below one prefix; each is replaced at once and whole."""

    _objects: Objects
    _prefix: str

    def figures(self, name: str) -> dict[str, Any]:
        """What was kept under a name, empty if nothing was or it is damaged. Raises StoreError."""
        value = loaded_json(self._objects.get(self._figure(name)))
        return value if isinstance(value, dict) else {}

    def keep_figures(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep JSON-able figures under a name. Raises StoreError."""
        self._objects.put(self._figure(name), json.dumps(dict(value), allow_nan=False).encode())

    def figure_names(self) -> list[str]:
        """Names that figures are kept under. Raises StoreError."""
        return self._listed("figures", ".json")

    def picture(self, name: str) -> bytes | None:
        """A kept picture, PNG, None if there is none of that name. Raises StoreError."""
        return self._objects.get(self._picture(name))

    def keep_picture(self, name: str, content: bytes) -> None:
        """Keep a picture, PNG, under a name. Raises StoreError."""
        self._objects.put(self._picture(name), content)

    def picture_names(self) -> list[str]:
        """Names that pictures are kept under. Raises StoreError."""
        return self._listed("pictures", ".png")

    def remove_picture(self, name: str) -> None:
        """Remove a picture if it is there. Raises StoreError."""
        self._objects.remove(self._picture(name))

    def _figure(self, name: str) -> str:
        return f"{self._prefix}/figures/{checked_name(name)}.json"

    def _picture(self, name: str) -> str:
        return f"{self._prefix}/pictures/{checked_name(name)}.png"

    def _listed(self, folder: str, suffix: str) -> list[str]:
        prefix = f"{self._prefix}/{folder}/"
        names = (key[len(prefix) :] for key in self._objects.keys(prefix[:-1]))
        return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))
