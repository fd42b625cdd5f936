"""What a check finds: a state, what was found, and what to do about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Generic, TypeVar

from redis.exceptions import AuthenticationError, RedisError

from ..images import ImageError
from ..jobs import JobsError
from ..label_studio import LabelStudioDown, LabelStudioError
from ..masks import MaskError
from ..settings import SettingsError
from ..store import StoreError

_Subject = TypeVar("_Subject")
_FOR_PEOPLE = (ImageError, JobsError, LabelStudioError, MaskError, SettingsError, StoreError)
LIMIT_S = 30.0  # one check, at most


class State(str, Enum):
    """How a check came out."""

    OK = "ok"
    FAILS = "FAILS"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Outcome:
    """What one check says; `remedy` is empty where there is nothing to do."""

    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, how it stands, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    remedy: str = ""
    project: int | None = None

    @property
    def title(self) -> str:
        """The name, with the project's number where it is about one."""
        return self.name if self.project is None else f"project {self.project}: {self.name}"


class CannotTellError(Exception):
    """What a check needs is not there: the text says what."""


def ok(found: str) -> Outcome:
    """All is well."""
    return Outcome(State.OK, found)


def fails(found: str, remedy: str) -> Outcome:
    """Something must be done."""
    return Outcome(State.FAILS, found, remedy)


def unknown(found: str, remedy: str = "") -> Outcome:
    """It cannot be told from here, or never was tried."""
    return Outcome(State.UNKNOWN, found, remedy)


@dataclass(frozen=True)
class Check(Generic[_Subject]):
    """A name and the function that checks it."""

    name: str
    look: Callable[[_Subject], Outcome]

    def run(
        self, subject: _Subject, project: int | None = None, limit_s: float = LIMIT_S
    ) -> Finding:
        """Check, within a time, and never raise."""
        outcomes: list[Outcome] = []
        # A daemon: one that hangs does not keep the command from ending.
        thread = threading.Thread(
            target=lambda: outcomes.append(_guarded(self.look, subject)), daemon=True
        )
        thread.start()
        thread.join(limit_s)
        outcome = outcomes[0] if outcomes else unknown(f"no answer within {limit_s:.0f} s")
        return Finding(self.name, outcome.state, outcome.found, outcome.remedy, project)


def _guarded(look: Callable[[_Subject], Outcome], subject: _Subject) -> Outcome:
    """A check's outcome, or its error in words: none of ours quotes a secret."""
    try:
        return look(subject)
    except CannotTellError as error:
        return unknown(str(error))
    except LabelStudioDown:
        return unknown("Label Studio did not answer")
    except AuthenticationError:
        return unknown("Redis refuses the password")
    except RedisError as error:
        return unknown(f"Redis did not answer as expected ({type(error).__name__})")
    except _FOR_PEOPLE as error:
        if getattr(error, "status", None) == 401:  # one line says so; the others wait for it
            return unknown("Label Studio refuses the token")
        found, _, remedy = str(error).partition(": ")
        # "what happened: what to do" is how these errors are written.
        return fails(found if remedy else str(error), remedy or "See what is said above.")
    except Exception as error:  # whatever is wrong with one check, the others go on
        return unknown(f"the check itself failed ({type(error).__name__})")


def as_text(findings: Iterable[Finding]) -> str:
    """A line for each finding, its remedy below it where there is one."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.state.value:<8} {finding.title}: {finding.found}")
        if finding.remedy and finding.state is not State.OK:
            lines.append(f"{'':<8} -> {finding.remedy}")
    return "\n".join(lines)


def as_json(findings: Iterable[Finding]) -> str:
    """The same for programs: {"findings": […], "fails": how many}."""
    rows = [{**asdict(finding), "state": finding.state.value} for finding in findings]
    count = sum(row["state"] == State.FAILS.value for row in rows)
    return json.dumps({"findings": rows, "fails": count}, indent=1)
