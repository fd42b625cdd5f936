"""Command line of ``./quorum return``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ..keys import KeyFileError, load_or_make_key
from ..limits import Limits, LimitsError
from ..options import add_key_option, existing_key_file
from ..sources import iter_objects
from ..vault import Vault, VaultError, vault_of
from .drawn import Export, ReturnError
from .originals import find_originals
from .returning import Returned, return_masks
from .sending import Send, by_dicomweb, by_store
from .spool import spool_in

_EXPECTED = (ReturnError, KeyFileError, VaultError, LimitsError, ValueError)
_SHOWN = 20


def main(argv: Sequence[str]) -> int:
    """0: all masks are returned; 1: some are not; 2: none."""
    arguments = _parser().parse_args(argv)
    try:
        report = _return(arguments)
    except _EXPECTED as error:
        print(f"quorum return: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        why = error.strerror or "unknown"
        print(
            f"quorum return: {arguments.out} cannot be written, or the export cannot be read "
            f"({why}): check the disk's space and your rights",
            file=sys.stderr,
        )
        return 2
    _tell(report, arguments.json, arguments.out)
    if not report.returned:
        return 2
    return 1 if report.missing or report.problems else 0


def _return(arguments: argparse.Namespace) -> Returned:
    send = _destination(arguments)
    path = existing_key_file(arguments)
    key = load_or_make_key(path)
    limits = Limits.from_environment()
    with Export(arguments.export) as export:
        wanted = {mask.instance for mask in export.masks.values()}
        known = Vault(arguments.vault or vault_of(path), key).reveal(wanted)
        old_names = {str(entry.get("uid")): name for name, entry in known.items()}
        arguments.out.mkdir(mode=0o700, parents=True, exist_ok=True)  # identified, from here on
        bar = tqdm(iter_objects(arguments.source, limits), desc="find", unit="object", disable=None)
        with spool_in(arguments.out) as spool:
            originals = find_originals(
                bar,
                key,
                wanted,
                spool,
                old_names=old_names,
                whole_series=arguments.format == "nifti",
                limits=limits,
            )
            report = return_masks(export, originals, arguments.out, arguments.format, send)
    if originals.unreadable:
        counted = ", ".join(f"{n} {reason}" for reason, n in sorted(originals.unreadable.items()))
        print(f"quorum return: files that cannot be read: {counted}", file=sys.stderr)
    return report


def _destination(arguments: argparse.Namespace) -> Send | None:
    if (arguments.pacs or arguments.dicomweb) and arguments.format != "dicom-seg":
        raise ValueError("a PACS takes DICOM segmentations: leave --format out to send them")
    if arguments.pacs:
        return by_store(arguments.pacs, arguments.ae_title)
    return by_dicomweb(arguments.dicomweb) if arguments.dicomweb else None


def _tell(report: Returned, as_json: bool, out: Path) -> None:
    if as_json:
        print(json.dumps(report.as_json()))
        return
    said = [(name, "the source does not hold this image") for name in report.missing]
    said += report.problems
    for name, reason in said[:_SHOWN]:
        print(f"{name}: {reason}", file=sys.stderr)
    if len(said) > _SHOWN:
        print(f"… and {len(said) - _SHOWN} more: --json shows them all", file=sys.stderr)
    sent = f", {report.sent} sent" if report.sent else ""
    print(
        f"{report.returned} of {report.masks} masks returned: {len(report.files)} files in {out}"
        f"{sent}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum return",
        description="In the hospital: bring the masks of an export back onto the original images.",
    )
    parser.add_argument("export", type=Path, help="folder or zip of ./quorum export --format png")
    parser.add_argument(
        "--source",
        type=Path,
        nargs="+",
        required=True,
        help="the original DICOM: files, folders, zips",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    add_key_option(parser, made=False)
    parser.add_argument("--vault", type=Path, help="if it does not lie beside the key")
    parser.add_argument(
        "--format",
        choices=["dicom-seg", "nifti", "geometry"],
        default="dicom-seg",
        help="segmentations of the original study (default); label maps on the original grid; or "
        "the planes alone, for ./quorum export --format nifti --geometry outside",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--pacs", metavar="AE@HOST:PORT", help="send by C-STORE")
    where.add_argument(
        "--dicomweb",
        metavar="URL",
        help="send by STOW-RS; account in QUORUM_DICOMWEB_USER and _PASSWORD, or _TOKEN",
    )
    parser.add_argument("--ae-title", default="QUORUM", help="what we call ourselves to the PACS")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser
