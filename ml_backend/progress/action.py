"""What an action is: its button and texts, its form, when it makes sense, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .panels import Project


class ActionError(ValueError):
    """What was asked for cannot be done, or not with this value; the message is for people."""


@dataclass(frozen=True)
class Done:
    """What was done: a sentence for whoever asked, details for the history, maybe a link."""

    says: str
    details: str = ""
    link: str | None = None


@dataclass(frozen=True)
class Scene:
    """What an action finds: the project, how it stands, and the values of its form."""

    project: Project
    now: Mapping[str, Any]
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def rest_state(self) -> str | None:
        """How "annotate the rest" stands."""
        return (self.now.get("rest") or {}).get("state")

    @property
    def under_way(self) -> bool:
        """Whether a round runs or waits."""
        found = self.now.get("round") or {}
        return found.get("job_status") in ("queued", "started") or bool(found.get("waits"))


Field = dict[str, Any]


@dataclass(frozen=True)
class Action:
    """A button: its texts, its form, whether it makes sense now, and what it does."""

    title: str
    button: str
    says: tuple[str, ...]
    run: Callable[[Scene], Done]
    danger: bool = False
    fields: Callable[[Scene], list[Field]] = lambda scene: []
    why_not: Callable[[Scene], str | None] = lambda scene: None

    def shown(self, name: str, scene: Scene) -> dict[str, Any]:
        """What templates get."""
        why_not = self.why_not(scene)
        return {
            "name": name,
            "title": self.title,
            "says": list(self.says),
            "button": self.button,
            "danger": self.danger,
            "available": why_not is None,
            "why_not": why_not,
            "fields": self.fields(scene),
        }


def form_field(
    scene: Scene,
    name: str,
    label: str,
    kind: str,
    value: str,
    hint: str | None = None,
    options: Any = (),
    **limits: Any,
) -> Field:
    """A field, filled with what was sent for it, or else with what holds now."""
    return {
        "name": name,
        "label": label,
        "kind": kind,
        "value": scene.values.get(name, value),
        "options": [dict(option) for option in options],
        "hint": hint,
        "min": None,
        "max": None,
        "step": None,
        **limits,
    }
