"""Command lines of the importer: ``./quorum import``, ``release``, ``receive``, ``return``, …"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import counts, import_objects, release
from . import quarantine as quarantined
from .journal import TasksError, iter_tasks
from .keys import KeyFileError, load_or_make_key, rotate
from .limits import LimitsError
from .objects import OutOfSpace
from .options import (
    add_key_option,
    add_making_options,
    add_sending_options,
    box,
    data_folder,
    key_file,
    out_folder,
    pair,
    quarantine_folder,
    recipe_of,
)
from .report import ImportReport
from .sources import dicomweb_objects, iter_objects
from .tasks import StorageError, send
from .vault import Vault, VaultError, vault_of

_EXPECTED = (KeyFileError, VaultError, TasksError, StorageError, LimitsError, ValueError)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m importer COMMAND``: 0 done, 1 something was set aside, 2 nothing was done."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: python -m importer {{{','.join(COMMANDS)}}} …", file=sys.stderr)
        return 2
    return COMMANDS[arguments[0]](arguments[1:])


def _guarded(command: str, out: Path | None, run: Callable[[], int]) -> int:
    """Run a command; an expected failure is one line and exit status 2."""
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


def import_command(argv: Sequence[str]) -> int:
    """De-identify DICOM into PNGs and tasks, and send them if a project is named."""
    parser = _parser("import")
    parser.add_argument(
        "source",
        nargs="+",
        help="DICOM files, folders, zips, DICOMDIR media, or a DICOMweb server's https:// address",
    )
    add_making_options(parser)
    add_sending_options(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="report, and write no image and no task (the hospital's key is made on first use)",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--study", help="of a DICOMweb server: one study by its UID")
    parser.add_argument("--series", help="of a DICOMweb server: one series by its UID")
    parser.add_argument(
        "--query",
        action="append",
        default=[],
        metavar="KEYWORD=VALUE",
        type=pair,
        help="of a DICOMweb server: what matches, Modality=MR, StudyDate=20260101-",
    )
    arguments = parser.parse_args(argv)
    return _guarded("import", out_folder(arguments), lambda: _import(arguments))


def _import(arguments: argparse.Namespace) -> int:
    remote = [s for s in arguments.source if s.startswith(("http://", "https://"))]
    if remote and len(remote) < len(arguments.source):
        raise ValueError("name files or a DICOMweb server, not both in one import")
    out, progress = out_folder(arguments), sys.stderr.isatty()
    recipe = recipe_of(arguments)
    if remote:
        query = dict(pair.split("=", 1) for pair in arguments.query)
        objects = dicomweb_objects(
            remote,
            study=arguments.study,
            series=arguments.series,
            query=query,
            max_object_bytes=recipe.limits.object_bytes,
        )
    else:
        objects = iter_objects([Path(source) for source in arguments.source], recipe.limits)
    waiting = quarantined.held(quarantine_folder(arguments))
    report = import_objects(
        objects,
        out,
        recipe,
        vault_of(key_file(arguments)),
        workers=arguments.workers,
        progress=progress,
    )
    _count(arguments, waiting, report)
    return _finish(arguments, report, "import")


def release_command(argv: Sequence[str]) -> int:
    """Import held objects that a person has looked at."""
    parser = _parser("release")
    parser.add_argument("instance", nargs="*", help="as the contact sheet names them, or: all")
    parser.add_argument(
        "--as",
        dest="as_what",
        choices=["redacted", "original"],
        default="redacted",
        help="as the contact sheet shows them on the right (default), or on the left",
    )
    parser.add_argument(
        "--black-out",
        action="append",
        default=[],
        type=box,
        metavar="TOP,LEFT,BOTTOM,RIGHT",
        help="black out this box of pixels too",
    )
    parser.add_argument("--refuse", action="store_true", help="delete them: they never leave")
    add_making_options(parser)
    add_sending_options(parser)
    arguments = parser.parse_args(argv)

    def run() -> int:
        folder = quarantine_folder(arguments)
        before = quarantined.held(folder)
        waiting = [entry.instance for entry in before]
        if not arguments.instance:
            sheet = quarantined.write_contact_sheet(folder)
            print(f"{len(waiting)} held{f': {sheet}' if sheet else ''}")
            return 0
        chosen = waiting if arguments.instance == ["all"] else arguments.instance
        if arguments.refuse:
            quarantined.remove(folder, chosen)
            quarantined.write_contact_sheet(folder)
            _count(arguments, before, refused=True)
            return 0
        report = release(
            chosen,
            out_folder(arguments),
            recipe_of(arguments),
            vault_of(key_file(arguments)),
            as_original=arguments.as_what == "original",
        )
        _count(arguments, before, report)
        return _finish(arguments, report, "release")

    return _guarded("release", out_folder(arguments), run)


def reveal_command(argv: Sequence[str]) -> int:
    """Say whom or what pseudonyms stand for, from the vault."""
    parser = _parser("reveal")
    parser.add_argument("pseudonym", nargs="*", help="all, if none is given")
    parser.add_argument("--vault", type=Path, help="if it does not lie beside the key")
    add_key_option(parser)
    arguments = parser.parse_args(argv)

    def run() -> int:
        key = key_file(arguments)
        if not key.exists():  # never make one here: it could not open anything
            raise KeyFileError(f"there is no key file {key}")
        vault = Vault(arguments.vault or vault_of(key), load_or_make_key(key))
        found = vault.reveal(arguments.pseudonym) if arguments.pseudonym else dict(vault.entries())
        print(json.dumps(found, indent=1, ensure_ascii=False))
        missing = set(arguments.pseudonym) - set(found)
        for name in sorted(missing):
            print(f"quorum reveal: {name} is not in the vault", file=sys.stderr)
        return 1 if missing else 0

    return _guarded("reveal", None, run)


def rotate_command(argv: Sequence[str]) -> int:
    """Replace the hospital's key, and encrypt the vault under the new one."""
    parser = _parser("rotate-key")
    add_key_option(parser)
    arguments = parser.parse_args(argv)

    def run() -> int:
        path = key_file(arguments)
        Vault(vault_of(path), load_or_make_key(path)).load()  # readable, or nothing is touched
        old, new = rotate(path)
        Vault(vault_of(path), old).rewrite(new)
        print(
            f"{path} is new, and the vault is encrypted under it. Pseudonyms made so far stay "
            f"known to the vault; new imports get new ones. Move {path}.old to your safe."
        )
        return 0

    return _guarded("rotate-key", None, run)


def receive_command(argv: Sequence[str]) -> int:
    """Let a PACS push: a C-STORE receiver whose batches are imported as they come."""
    parser = _parser("receive")
    parser.add_argument("--port", type=int, default=11112)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--ae-title", default="QUORUM")
    parser.add_argument("--inbox", type=Path, help="folder for what is pushed until it is imported")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="AE", help="a calling AE title; default any"
    )
    add_making_options(parser)
    add_sending_options(parser)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args(argv)

    def run() -> int:
        from .sources.receiver import ReceiverError, receive

        recipe = recipe_of(arguments)  # wrong options are told before the port is opened

        def imported(batch: Path) -> None:
            objects = iter_objects([batch], recipe.limits)
            vault = vault_of(key_file(arguments))
            workers = arguments.workers
            waiting = quarantined.held(quarantine_folder(arguments))
            report = import_objects(objects, out_folder(arguments), recipe, vault, workers=workers)
            _count(arguments, waiting, report)
            unreadable = [Path(problem.path) for problem in report.unreadable]
            _finish(arguments, report, "receive")
            failed = batch.parent / "failed"
            for path in unreadable:  # kept: the sender believes that we have it
                failed.mkdir(mode=0o700, exist_ok=True)
                path.replace(failed / path.name)
            shutil.rmtree(batch)

        try:
            receive(
                arguments.inbox or data_folder() / "inbox",
                arguments.port,
                arguments.ae_title,
                arguments.host,
                arguments.allow,
                on_idle=imported,
                on_start=lambda _: print(
                    f"{arguments.ae_title} listens on {arguments.host}:{arguments.port}", flush=True
                ),
                max_object_bytes=recipe.limits.object_bytes,
            )
        except ReceiverError as error:
            raise ValueError(str(error)) from None
        return 0

    return _guarded("receive", out_folder(arguments), run)


def _count(
    arguments: argparse.Namespace,
    before: Sequence[quarantined.Held],
    report: ImportReport | None = None,
    *,
    refused: bool = False,
) -> None:
    """Leave the counts for the page of the project that is named; an import does not need them."""
    if arguments.project is None or (report is not None and report.dry_run):
        return
    after = quarantined.held(quarantine_folder(arguments))
    with contextlib.suppress(OSError):
        found = counts.counts_of(before, after, report, refused=refused)
        counts.note(data_folder(), arguments.project, found)


def return_command(argv: Sequence[str]) -> int:
    """Bring the masks of an export back onto the original images."""
    from .segmentations.command import main as run

    return run(argv)


def _finish(arguments: argparse.Namespace, report: ImportReport, command: str) -> int:
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
    if not (report.imported or report.already_there):
        return 2
    return 0 if report.complete else 1


def _send(arguments: argparse.Namespace, report: ImportReport, command: str) -> bool:
    from ml_backend.label_studio import LabelStudio, LabelStudioError
    from ml_backend.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
        server = LabelStudio.of(settings)
        new = send(
            iter_tasks(report.out),
            report.out,
            server,
            arguments.project,
            arguments.document_root,
            sys.stderr.isatty(),
            object_store=arguments.object_store,
        )
    except (LabelStudioError, SettingsError, StorageError, ValueError) as error:
        print(f"quorum {command}: {error}", file=sys.stderr)
        print("The slices are kept: the same command goes on from here.", file=sys.stderr)
        return False
    print(f"{new} new tasks in project {arguments.project}", file=sys.stderr)
    return True


def _parser(command: str) -> argparse.ArgumentParser:
    doc = COMMANDS[command].__doc__ or ""
    return argparse.ArgumentParser(prog=f"quorum {command}", description=doc)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "import": import_command,
    "release": release_command,
    "reveal": reveal_command,
    "receive": receive_command,
    "rotate-key": rotate_command,
    "return": return_command,
}
