"""Panels by name, made once a moment however many look, and as JSON."""

from __future__ import annotations

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


@dataclass
class Shown:
    """Panels made a moment ago: however many look at once, each is made once a moment."""

    now_s: float = 1.0
    others_s: float = 5.0
    _made: dict[tuple[str, int, str], tuple[float, Panel]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def panel(self, project: Project, name: str) -> Panel:
        """A panel by name. Raises KeyError for another name, StoreError."""
        make = PANELS[name]
        key = (str(project.common.store_root), project.project_id, name)
        moment = time.monotonic()
        with self._lock:
            made = self._made.get(key)
        if made and made[0] > moment:
            return made[1]
        panel = make(project)
        lasts_s = self.now_s if name == "now" else self.others_s
        with self._lock:
            if len(self._made) > 500:
                self._made.clear()
            self._made[key] = (moment + lasts_s, panel)
        return panel

    def all(self, project: Project) -> dict[str, Panel]:
        """Every panel by its name."""
        return {name: self.panel(project, name) for name in PANELS}

    def forget(self, project_id: int) -> None:
        """Somebody has acted: what was made before shows nothing of it."""
        with self._lock:
            for key in [key for key in self._made if key[1] == project_id]:
                del self._made[key]


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
