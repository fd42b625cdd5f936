"""``./quorum receive``: a PACS pushes, and what has come is imported batch by batch."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_backend.syncing import sync_folder

from . import import_objects
from . import quarantine as quarantined
from .delivery import check_destination, count, finish, guarded, tell_destination
from .destination import DestinationError
from .journal import FolderInUse, wait_until_free
from .options import (
    add_making_options,
    add_sending_options,
    data_folder,
    key_file,
    out_folder,
    parser_of,
    quarantine_folder,
    recipe_of,
)
from .recipe import Recipe
from .report import ImportReport
from .sources import iter_objects
from .vault import in_use, vault_of


def receive_command(argv: Sequence[str]) -> int:
    """Let a PACS push: a C-STORE receiver whose batches are imported as they come."""
    parser = parser_of("receive", receive_command)
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
    return guarded("receive", out_folder(arguments), lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from .sources.receiver import ReceiverError, receive

    with in_use(vault_of(key_file(arguments))):
        recipe = recipe_of(arguments)  # wrong options are told before the port is opened
        check_destination(arguments)
        tell_destination(arguments, "receive")
        try:
            receive(
                arguments.inbox or data_folder() / "inbox",
                arguments.port,
                arguments.ae_title,
                arguments.host,
                arguments.allow,
                on_idle=lambda batch: take(batch, arguments, recipe),
                on_start=lambda _: print(
                    f"{arguments.ae_title} listens on {arguments.host}:{arguments.port}", flush=True
                ),
                max_object_bytes=recipe.limits.object_bytes,
            )
        except ReceiverError as error:
            raise ValueError(str(error)) from None
    return 0


def take(batch: Path, arguments: argparse.Namespace, recipe: Recipe) -> None:
    """Import a batch and delete it, but for what cannot be read: that goes into ``failed``.

    A batch that would come among another project's slices stays, for a start with another --out.
    """
    try:
        report, waiting = _imported(batch, arguments, recipe)
    except DestinationError as error:  # no reason to refuse the PACS what it still pushes
        print(f"quorum receive: {error}", file=sys.stderr)
        print(f"{batch} is kept, and comes again at the next start.", file=sys.stderr)
        return
    count(arguments, waiting, report)
    unreadable = [Path(problem.path) for problem in report.unreadable]
    finish(arguments, report, "receive")
    failed = batch.parent / "failed"
    for path in unreadable:  # kept: the sender believes that we have it
        failed.mkdir(mode=0o700, exist_ok=True)
        path.replace(failed / path.name)
    if unreadable:
        sync_folder(failed)
        sync_folder(failed.parent)
    shutil.rmtree(batch)


def _imported(
    batch: Path, arguments: argparse.Namespace, recipe: Recipe
) -> tuple[ImportReport, list[quarantined.Held]]:
    """Import a batch, after whatever other import or release is at work in the folder.

    Also gives what waited for a person just before. Raises DestinationError if the folder has
    become another project's meanwhile.
    """
    out, vault = out_folder(arguments), vault_of(key_file(arguments))
    said = False
    while True:
        check_destination(arguments)
        objects = iter_objects([batch], recipe.limits)
        waiting = quarantined.held(quarantine_folder(arguments))
        try:
            report = import_objects(objects, out, recipe, vault, workers=arguments.workers)
            return report, waiting
        except FolderInUse as error:
            if not said:
                print(f"quorum receive: {error}; receiving goes on meanwhile", file=sys.stderr)
            said = True
            wait_until_free(out)
