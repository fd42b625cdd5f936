"""What the importer's commands share: how they begin, and what follows when objects are in."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import counts, destination
from . import quarantine as quarantined
from .destination import Destination, DestinationError
from .journal import TasksError, iter_tasks
from .keys import KeyFileError
from .limits import LimitsError
from .objects import OutOfSpace
from .options import data_folder, out_folder, quarantine_folder
from .report import ImportReport
from .tasks import StorageError, one_at_a_time, send
from .vault import VaultError

_EXPECTED = (
    KeyFileError,
    VaultError,
    TasksError,
    DestinationError,
    StorageError,
    LimitsError,
    ValueError,
)


def guarded(command: str, out: Path | None, run: Callable[[], int]) -> int:
    """Run a command; an expected failure is one line and exit status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text at all
    try:
        return run()
    except OutOfSpace:
        print(
            f"quorum {command}: the disk of {out} is full: make room, and the same command goes on",
            file=sys.stderr,
        )
    except _EXPECTED as error:
        print(f"quorum {command}: {error}", file=sys.stderr)
    except OSError as error:
        where = out or "a file"
        print(f"quorum {command}: {where} cannot be used: {error.strerror}", file=sys.stderr)
    return 2


def check_destination(arguments: argparse.Namespace) -> None:
    """See that the folder is the named project's, before anything is put into it.

    Raises DestinationError, TasksError, OSError, ValueError for a setting.
    """
    from ml_backend.label_studio import LabelStudio, LabelStudioError
    from ml_backend.settings import Settings, SettingsError

    if arguments.project is None:
        return
    out = out_folder(arguments)
    try:
        settings = Settings.from_environment()
        wanted = Destination.at(settings.label_studio_url, arguments.project)
        destination.check(out, wanted, lambda: LabelStudio.of(settings))
    except SettingsError as error:
        raise ValueError(str(error)) from None
    except LabelStudioError as error:
        raise DestinationError(
            f"{error} (nothing is imported before it is known that {out} is this project's)"
        ) from None


def tell_destination(arguments: argparse.Namespace, command: str) -> None:
    """If no project is named, but the folder is one's, say so. Raises DestinationError."""
    out = out_folder(arguments)
    if arguments.project is None and (there := destination.noted(out)):
        print(
            f"quorum {command}: what is in {out} is for project {there.project}, and so is what "
            "comes in now; if it is not, give another --out",
            file=sys.stderr,
        )


def count(
    arguments: argparse.Namespace,
    before: Sequence[quarantined.Held],
    report: ImportReport | None = None,
    *,
    decision: counts.Decision | None = None,
) -> None:
    """Leave the counts for the page of the project that is named; an import does not need them."""
    if arguments.project is None or (report is not None and report.dry_run):
        return
    after = quarantined.held(quarantine_folder(arguments))
    with contextlib.suppress(OSError):
        found = counts.counts_of(before, after, report, decision=decision)
        counts.note(data_folder(), arguments.project, found)


def finish(
    arguments: argparse.Namespace,
    report: ImportReport,
    command: str,
    *,
    may_be_nothing: bool = False,
) -> int:
    """Print the report, send the tasks if a project is named; the exit status."""
    if arguments.json:
        print(json.dumps(report.as_json()))
    else:
        print(report.summary(arguments.show_paths))
        if not report.dry_run:
            print(f"tasks: {report.out / 'tasks.json'}")
    if report.dry_run:
        return 0 if report.complete else 1
    if arguments.project is not None and not _send(arguments, report, command):
        return 2
    if not (report.imported or report.already_there or may_be_nothing):
        return 2
    return 0 if report.complete else 1


def _send(arguments: argparse.Namespace, report: ImportReport, command: str) -> bool:
    from ml_backend.label_studio import LabelStudio, LabelStudioError
    from ml_backend.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
        wanted = Destination.at(settings.label_studio_url, arguments.project)
        with one_at_a_time(report.out, lambda: _say_waiting(command, report.out)):
            destination.check_note(report.out, wanted)
            new = send(
                iter_tasks(report.out),
                report.out,
                LabelStudio.of(settings),
                arguments.project,
                arguments.document_root,
                sys.stderr.isatty(),
                object_store=arguments.object_store,
            )
    except (
        LabelStudioError,
        SettingsError,
        DestinationError,
        StorageError,
        ValueError,
    ) as error:
        print(f"quorum {command}: {error}", file=sys.stderr)
        goes_on = "next batch sends them" if command == "receive" else "same command goes on"
        print(f"The slices are kept: the {goes_on}.", file=sys.stderr)
        return False
    print(f"{new} new tasks in project {arguments.project}", file=sys.stderr)
    return True


def _say_waiting(command: str, out: Path) -> None:
    print(
        f"quorum {command}: another command sends slices of {out}: waiting for it",
        file=sys.stderr,
    )
