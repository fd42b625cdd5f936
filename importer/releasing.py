"""``./quorum release``: held objects that a person has looked at go, or never do."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path

from . import contact_sheet, release
from . import quarantine as quarantined
from .delivery import check_destination, count, finish, guarded, tell_destination
from .journal import iter_tasks
from .options import (
    add_making_options,
    add_sending_options,
    box,
    key_file,
    out_folder,
    parser_of,
    quarantine_folder,
    recipe_of,
)
from .vault import in_use, vault_of


def release_command(argv: Sequence[str]) -> int:
    """Import held objects that a person has looked at."""
    parser = parser_of("release", release_command)
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
    return guarded("release", out_folder(arguments), lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    folder = quarantine_folder(arguments)
    held = quarantined.held(folder)
    waiting = [entry.instance for entry in held]
    if not arguments.instance:
        sheet = contact_sheet.write(folder)
        print(f"{len(waiting)} held{f': {sheet}' if sheet else ''}")
        return 0
    asked = waiting if arguments.instance == ["all"] else list(dict.fromkeys(arguments.instance))
    if arguments.refuse:
        _see_that_known(asked, waiting, folder)
        quarantined.remove(folder, asked)
        contact_sheet.write(folder)
        count(arguments, held, decision="refused")
        return 0
    out, vault = out_folder(arguments), vault_of(key_file(arguments))
    with in_use(vault):
        recipe = recipe_of(arguments)
        check_destination(arguments)
        tell_destination(arguments, "release")
        earlier = _released_before(set(asked) - set(waiting), out)
        _see_that_known(asked, [*waiting, *earlier], folder)
        _see_that_the_same(earlier, arguments, folder)
        report = release(
            [instance for instance in asked if instance not in earlier],
            out,
            recipe,
            vault,
            as_original=arguments.as_what == "original",
        )
    report.already_there += sum(earlier.values())
    count(arguments, held, report, decision="released")
    return finish(arguments, report, "release", may_be_nothing=not asked)


def _released_before(instances: set[str], out: Path) -> dict[str, int]:
    """How many slices earlier releases have made of some objects: they are held no more."""
    found: dict[str, int] = {}
    for task in iter_tasks(out) if instances else ():
        instance = task["data"].get("instance")
        if instance in instances:
            found[instance] = found.get(instance, 0) + 1
    return found


def _see_that_the_same(
    released: Collection[str], arguments: argparse.Namespace, folder: Path
) -> None:
    """Refuse to take another decision for one that was taken: pictures are not made again."""
    for instance in released:
        kept = quarantined.release_of(folder, instance)
        if kept is None:
            raise ValueError(f"{instance} is not held in {folder}")
        if kept.how != arguments.as_what or not set(arguments.black_out) <= set(kept.boxes):
            raise ValueError(
                f"{instance} was released already, otherwise than asked now, and its pictures "
                f"stay: to decide anew, delete {folder / instance}.released.json and its slices in "
                "Label Studio, and import it into another --out"
            )


def _see_that_known(asked: Sequence[str], known: Sequence[str], folder: Path) -> None:
    for instance in asked:
        if instance not in known:
            raise ValueError(f"{instance} is not held in {folder}")
