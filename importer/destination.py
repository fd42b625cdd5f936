"""The project that a folder's slices go to: noted in the folder, from the first time it is named.

A folder keeps all that was ever imported into it, and whatever its project lacks of that is sent:
another project would get the first one's patients.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .journal import iter_tasks, notes_destination, write_atomically

if TYPE_CHECKING:
    from ml_backend.label_studio import LabelStudio

_NOTE = ".import.project.json"
_NOT_FOUND = 404  # HTTP


class DestinationError(RuntimeError):
    """A folder's slices may be another project's; the message names the remedy."""


@dataclass(frozen=True)
class Destination:
    """A project by its number, and the address of the Label Studio that counts so."""

    project: int
    label_studio: str
    confirmed: bool = field(default=True, compare=False)
    """Whether Label Studio has said that it has the project; nobody was sent anything before."""

    @classmethod
    def at(cls, url: str, project_id: int) -> Destination:
        """A project at an address, without the account that may stand in it."""
        parts = urlsplit(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        return cls(project_id, bare.geturl().rstrip("/"))


def noted(out: Path) -> Destination | None:
    """Where a folder's slices go, None if no project was named yet.

    Raises DestinationError if the note is damaged.
    """
    path = out / _NOTE
    try:
        return Destination(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise DestinationError(f"{path} is damaged: give another --out") from None


def note_first(out: Path, destination: Destination) -> None:
    """Remember where a folder's slices are sent, if that is not known yet. Raises OSError."""
    there = noted(out)
    if _has_slices(out) if there is None else there == destination and not there.confirmed:
        _note(out, destination)


def _note(out: Path, destination: Destination) -> None:
    write_atomically(out / _NOTE, json.dumps(asdict(destination)).encode())


def _has_slices(out: Path) -> bool:
    return next(iter_tasks(out), None) is not None


def check(out: Path, wanted: Destination, connect: Callable[[], LabelStudio]) -> None:
    """See that a folder is a project's, or make it so, before slices are put into it.

    A folder that was never sent becomes the project's, unless Label Studio has none of that number.
    If it cannot be asked now the folder is the project's all the same, until it turns out that the
    number was mistyped. A folder that an earlier release has filled, which
    made no notes, or that was sent to another address, is the project's if that holds some of the
    slices already.
    Raises DestinationError, LabelStudioError, TasksError, OSError.
    """
    there = noted(out)
    if there is not None and not there.confirmed and _was_mistyped(there, wanted, connect):
        there = None
    if there == wanted and there.confirmed:
        return
    if there == wanted or (there is None and (notes_destination(out) or not _has_slices(out))):
        exists = _exists(wanted, connect)
        if exists is False:
            raise DestinationError(
                f"{wanted.label_studio} has no project {wanted.project}: the last number in a "
                "project's address is the one to give"
            )
        out.mkdir(parents=True, exist_ok=True)
        _note(out, replace(wanted, confirmed=exists is True))
        return
    if there is None or there.label_studio != wanted.label_studio:
        held = connect().task_values(wanted.project, "slice")
        if any(task["data"]["slice"] in held for task in iter_tasks(out)):
            _note(out, wanted)
            return
    if there is not None:
        raise _another_s(out, there, wanted)
    raise DestinationError(
        f"{out} holds slices of earlier imports that are not in project {wanted.project}, and may "
        f"be another's: {_remedy(out, wanted)}"
    )


def check_note(out: Path, wanted: Destination) -> None:
    """See that nobody has made a folder another project's meanwhile. Raises DestinationError."""
    there = noted(out)
    if there is not None and there != wanted:
        raise _another_s(out, there, wanted)


def _was_mistyped(
    there: Destination, wanted: Destination, connect: Callable[[], LabelStudio]
) -> bool:
    """Whether a project that nobody has confirmed, and was sent nothing, is known to be none."""
    if there.label_studio != wanted.label_studio:
        return there.project == wanted.project  # the address was
    return _exists(there, connect) is False


def _exists(wanted: Destination, connect: Callable[[], LabelStudio]) -> bool | None:
    """Whether Label Studio has a project; None if it cannot be asked now."""
    from ml_backend.label_studio import LabelStudioError

    try:
        connect().project(wanted.project)
    except LabelStudioError as error:
        return False if error.status == _NOT_FOUND else None
    return True


def _another_s(out: Path, there: Destination, wanted: Destination) -> DestinationError:
    at = "" if there.label_studio == wanted.label_studio else f" of {there.label_studio}"
    return DestinationError(
        f"{out} is for project {there.project}{at}, and all that it holds would be sent: "
        f"{_remedy(out, wanted)}"
    )


def _remedy(out: Path, wanted: Destination) -> str:
    return f"give another --out for project {wanted.project}, such as {out}-{wanted.project}"
