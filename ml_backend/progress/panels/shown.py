"""Panels by name, made once a moment however many look, and as JSON."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import kept
from .now import Panel, now
from .project import Project

PANELS: Mapping[str, Callable[[Project], Panel]] = {
    "now": now,
    "quality": kept.quality_panel,
    "forecast": kept.forecast_panel,
    "people": kept.people_panel,
    "trial": kept.trial_panel,
    "data": kept.data_panel,
    "history": kept.history_panel,
}


@dataclass(frozen=True)
class _Made:
    """A panel as it was made, and until when it is shown."""

    panel: Panel
    digest: str
    until_s: float  # on the monotonic clock


@dataclass
class Shown:
    """Panels made a moment ago: however many look at once, each is made once a moment."""

    now_s: float = 1.0
    others_s: float = 5.0
    _made: dict[tuple[str, int, str], _Made] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def panel(self, project: Project, name: str) -> Panel:
        """A panel by name. Raises KeyError for another name, StoreError."""
        return self._panel(project, name).panel

    def live(self, project: Project) -> Panel:
        """The panel "now" with a digest of the others, under "others".

        A page that is open asks for it alone: by the digest it learns that another has changed.
        Raises StoreError.
        """
        others = [self._panel(project, name).digest for name in PANELS if name != "now"]
        return {**self.panel(project, "now"), "others": _digest(others)}

    def _panel(self, project: Project, name: str) -> _Made:
        make = PANELS[name]
        key = (str(project.common.store_root), project.project_id, name)
        moment = time.monotonic()
        with self._lock:
            made = self._made.get(key)
        if made and made.until_s > moment:
            return made
        panel = make(project)
        lasts_s = self.now_s if name == "now" else self.others_s
        made = _Made(panel, "" if name == "now" else _digest(panel), moment + lasts_s)
        with self._lock:
            if len(self._made) > 500:
                self._made.clear()
            self._made[key] = made
        return made

    def all(self, project: Project) -> dict[str, Panel]:
        """Every panel by its name, "now" as live() gives it."""
        panels = {name: self.panel(project, name) for name in PANELS}
        return {**panels, "now": self.live(project)}

    def forget(self, project_id: int) -> None:
        """Somebody has acted: what was made before shows nothing of it."""
        with self._lock:
            for key in [key for key in self._made if key[1] == project_id]:
                del self._made[key]


def _digest(value: Any) -> str:
    return hashlib.sha256(as_json(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def as_json(value: Any) -> str:
    """Strict JSON: what is no number is unknown."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
