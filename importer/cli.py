"""Command lines of the importer: ``./quorum import``, ``release``, ``receive``, ``return``, …"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from . import import_objects
from . import quarantine as quarantined
from .delivery import check_destination, count, finish, guarded, tell_destination
from .key_commands import reveal_command, rotate_command
from .limits import Limits
from .options import (
    add_making_options,
    add_sending_options,
    key_file,
    out_folder,
    pair,
    parser_of,
    quarantine_folder,
    recipe_of,
)
from .receiving import receive_command
from .releasing import release_command
from .sources import LeftOut, SourceObject, dicomweb_objects, iter_objects
from .vault import in_use, vault_of


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m importer COMMAND``: 0 done, 1 something was set aside, 2 nothing was done."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: python -m importer {{{','.join(COMMANDS)}}} …", file=sys.stderr)
        return 2
    return COMMANDS[arguments[0]](arguments[1:])


def import_command(argv: Sequence[str]) -> int:
    """De-identify DICOM into PNGs and tasks, and send them if a project is named."""
    parser = parser_of("import", import_command)
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
    return guarded("import", out_folder(arguments), lambda: _import(arguments))


def _import(arguments: argparse.Namespace) -> int:
    remote = [s for s in arguments.source if s.startswith(("http://", "https://"))]
    if remote and len(remote) < len(arguments.source):
        raise ValueError("name files or a DICOMweb server, not both in one import")
    vault = vault_of(key_file(arguments))
    # A dry run keeps nothing in the vault, and leaves nothing beside the key.
    with nullcontext() if arguments.dry_run else in_use(vault):
        recipe = recipe_of(arguments)
        if not arguments.dry_run:
            check_destination(arguments)
            tell_destination(arguments, "import")
        waiting = quarantined.held(quarantine_folder(arguments))
        left_out = LeftOut(_made_here(arguments))
        report = import_objects(
            _objects(arguments, remote, recipe.limits, left_out),
            out_folder(arguments),
            recipe,
            vault,
            workers=arguments.workers,
            progress=sys.stderr.isatty(),
        )
    report.left_out, report.links = left_out.copies, left_out.links
    count(arguments, waiting, report)
    return finish(arguments, report, "import")


def _objects(
    arguments: argparse.Namespace, remote: Sequence[str], limits: Limits, left_out: LeftOut
) -> Iterator[SourceObject]:
    if not remote:
        return iter_objects([Path(source) for source in arguments.source], limits, left_out)
    return dicomweb_objects(
        remote,
        study=arguments.study,
        series=arguments.series,
        query=dict(pair.split("=", 1) for pair in arguments.query),
        max_object_bytes=limits.object_bytes,
    )


def _made_here(arguments: argparse.Namespace) -> list[Path]:
    """The folders that this import writes to: they may lie below a source."""
    folders = [out_folder(arguments), quarantine_folder(arguments)]
    return [*folders, arguments.dicom_out] if arguments.dicom_out else folders


def return_command(argv: Sequence[str]) -> int:
    """Bring the masks of an export back onto the original images."""
    from .segmentations.command import main as run

    return run(argv)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "import": import_command,
    "release": release_command,
    "reveal": reveal_command,
    "receive": receive_command,
    "rotate-key": rotate_command,
    "return": return_command,
}
