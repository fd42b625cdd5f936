"""What a crowd's run leaves behind: every request with its times, and what the loop published.

All times are Unix seconds of one machine: Label Studio's own clock is the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

_Entry = TypeVar("_Entry")
SUBMITTED, SKIPPED, GONE, REFUSED = "submitted", "skipped", "gone", "refused"
IMPORTED, DELETED = "imported", "deleted"


@dataclass(frozen=True)
class Asked:
    """One request for the next task."""

    who: int
    begun: float
    ended: float
    task: int | None  # None: Label Studio said that there are no tasks
    version: str = ""  # of the draft that came with the task
    error: str = ""


@dataclass(frozen=True)
class Answered:
    """One annotation submitted or one task skipped; `how` is one of the four words above."""

    who: int
    task: int
    begun: float
    ended: float
    how: str


@dataclass(frozen=True)
class Changed:
    """Tasks that a manager imported or deleted."""

    how: str
    tasks: list[int]
    begun: float
    ended: float


@dataclass(frozen=True)
class Seen:
    """Label Studio's `project.model_version`, read between two moments."""

    version: str
    begun: float
    ended: float


@dataclass(frozen=True)
class Published:
    """One version: its order, and what it was trained on."""

    version: str
    tasks: list[int]  # in the order wanted; those that came later at the end
    made: int  # how many tasks the order had when it was made; the others joined later
    selected: list[int]
    gathered_at: float
    training_tasks: list[int]
    evaluation_tasks: list[int]
    complaints: list[int]  # tasks that could not be used, with a reason given


@dataclass(frozen=True)
class Stored:
    """An annotation as Label Studio has it in the end; skipped ones are not among them."""

    who: int
    task: int
    created_at: float


@dataclass
class Recording:
    """One run."""

    overlap: int
    rounds_wanted: int
    asked: list[Asked] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)  # in the order published
    stored: list[Stored] = field(default_factory=list)
    held_out: list[int] = field(default_factory=list)  # tasks that are never trained on
    joined_s: list[float] = field(default_factory=list)  # after each import: until all were queued
    troubles: list[str] = field(default_factory=list)  # errors that the loop reported
    facts: dict[str, Any] = field(default_factory=dict)  # what else belongs under the table

    def trained(self) -> list[Published]:
        """The versions that have a committee."""
        return [version for version in self.published if version.training_tasks]


def save(recording: Recording, path: Path, **more: Any) -> None:
    """Write a recording as JSON, with what was found in it."""
    path.write_text(json.dumps({**asdict(recording), **more}))


def load(path: Path) -> Recording:
    """Read what save() wrote. Raises ValueError if the file is something else."""
    try:
        raw = json.loads(path.read_text())
        return Recording(
            overlap=int(raw["overlap"]),
            rounds_wanted=int(raw["rounds_wanted"]),
            asked=_entries(Asked, raw["asked"]),
            answered=_entries(Answered, raw["answered"]),
            changed=_entries(Changed, raw["changed"]),
            seen=_entries(Seen, raw["seen"]),
            published=_entries(Published, raw["published"]),
            stored=_entries(Stored, raw["stored"]),
            held_out=raw["held_out"],
            joined_s=raw["joined_s"],
            troubles=raw["troubles"],
            facts=raw["facts"],
        )
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(f"{path} is no recording of bench crowd's") from None


def _entries(kind: type[_Entry], raw: Sequence[dict[str, Any]]) -> list[_Entry]:
    return [kind(**entry) for entry in raw]
