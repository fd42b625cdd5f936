"""``./quorum export PROJECT``: the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import QuorumError
from ..label_studio import LabelStudio
from ..settings import Settings
from .dataset import Choice
from .exporting import export_to
from .formats import FORMATS
from .task_data import KNOWN

_SHOWN = 20  # problems on the screen; the manifest has them all


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum export``; its exit status.

    0: all slices are exported; 1: some are left out, or there is no export.
    """
    arguments = _parser().parse_args(argv)
    choice = Choice(include=arguments.include, known_data=arguments.data == "known")
    given = {"geometry": arguments.geometry, "copies": arguments.copies}
    try:
        settings = Settings.from_environment()
        with ExitStack() as stack:
            label_studio = stack.enter_context(LabelStudio.of(settings))
            bar = stack.enter_context(tqdm(unit="slice", disable=None, leave=False))

            def progress(step: str, done: int, total: int) -> None:
                bar.set_description(step, refresh=False)
                bar.total = total
                bar.update(done - bar.n)

            manifest = export_to(
                settings,
                label_studio,
                arguments.project,
                arguments.format,
                arguments.out,
                progress,
                choice,
                {name: value for name, value in given.items() if value},
            )
    except QuorumError as error:
        print(f"quorum export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        why = error.strerror or "unknown"
        print(
            f"quorum export: {arguments.out} cannot be written ({why}): "
            "check the disk's space and your right to write there",
            file=sys.stderr,
        )
        return 1
    return 1 if _tell(manifest, arguments.out) else 0


def _tell(manifest: dict[str, Any], out: Path) -> int:
    """Say what was made, and how many slices were left out, which is returned."""
    for problem in manifest["problems"][:_SHOWN]:
        print(f"task {problem['task_id']}: {problem['reason']}", file=sys.stderr)
    more = len(manifest["problems"]) - _SHOWN
    if more > 0:
        print(f"… and {more} more, all in the manifest", file=sys.stderr)
    keys = sorted({key for entry in manifest["slices"] for key in entry["data"]} - KNOWN)
    if keys:
        print(
            f"the tasks' data has keys that are not of the importer ({', '.join(keys)}): look at "
            "them before you pass the data set on, or leave them out with --data known",
            file=sys.stderr,
        )
    print(f"{len(manifest['slices'])} slices in {out}")
    if without := len(manifest["without_mask"]):
        print(
            f"{without} slices are not in it: nobody has labelled them, and the committee has made "
            'no mask of them. "Annotate the rest" makes masks, of slices whose draft is held back '
            "as annotations alone",
            file=sys.stderr,
        )
    there = {entry["task"] for entry in manifest["slices"]}
    left_out = {problem["task_id"] for problem in manifest["problems"]} - there
    if left_out:
        print(f"{len(left_out)} slices were left out, see above", file=sys.stderr)
    return len(left_out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum export", description="Write a project's slices and masks as a data set."
    )
    parser.add_argument("project", type=int, help="the project's number, as in its address")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write, or a name that ends in .zip"
    )
    parser.add_argument(
        "--format",
        choices=list(FORMATS),
        default="png",
        help="; ".join(f"{name}: {each.summary}" for name, each in FORMATS.items()),
    )
    parser.add_argument(
        "--include",
        choices=["labelled", "all"],
        default="labelled",
        help="all: also slices whose mask is the committee's, marked as such",
    )
    parser.add_argument(
        "--data",
        choices=["all", "known"],
        default="all",
        help="known: of the tasks' data only what the importer writes (pseudonyms, geometry)",
    )
    parser.add_argument(
        "--geometry",
        type=Path,
        help="with nifti, in the hospital: the file that ./quorum return writes, for volumes that "
        "lie where the original series lies",
    )
    parser.add_argument(
        "--copies",
        type=Path,
        metavar="DIR",
        help="with dicom-seg: the de-identified DICOM copies that ./quorum import --dicom-out made",
    )
    return parser
