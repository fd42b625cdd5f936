"""Command line of ``./quorum import``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import import_dicom
from .deidentify import MODALITIES
from .keys import KeyFileError
from .tasks import TasksError, send


def main(argv: Sequence[str] | None = None) -> int:
    """Import DICOM; 0 if all of it came in, 1 if something was set aside, 2 if nothing could be."""
    arguments = _parser().parse_args(argv)
    data = Path(os.environ.get("QUORUM_DATA_DIR") or ".quorum")
    key = arguments.key or Path(os.environ.get("QUORUM_KEY_FILE") or data / "importer.key")
    out = arguments.out or data / "import"
    accept = {modality.upper() for modality in arguments.accept}
    if unknown := accept - MODALITIES:
        print(f"quorum import: {unknown.pop()} is no DICOM modality", file=sys.stderr)
        return 2
    try:
        report = import_dicom(
            arguments.source, out, key, accept=accept, progress=sys.stderr.isatty()
        )
    except (KeyFileError, TasksError) as error:
        print(f"quorum import: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"quorum import: {out} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(report.as_json()))
    else:
        print(report.summary(arguments.show_paths))
        print(f"{len(report.tasks)} tasks in {out / 'tasks.json'}")
    if arguments.project is not None and not _send(arguments, report.tasks, out):
        return 2
    if not report.tasks:
        return 2
    return 0 if report.complete else 1


def _send(arguments: argparse.Namespace, tasks: list[dict[str, object]], out: Path) -> bool:
    from ml_backend.label_studio import LabelStudio, LabelStudioError
    from ml_backend.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
        server = LabelStudio(settings.label_studio_url, settings.label_studio_api_key)
        new = send(
            tasks, out, server, arguments.project, arguments.document_root, sys.stderr.isatty()
        )
    except (LabelStudioError, SettingsError, ValueError) as error:
        print(f"quorum import: {error}", file=sys.stderr)
        print("The slices are kept: the same command goes on from here.", file=sys.stderr)
        return False
    print(f"{new} new tasks in project {arguments.project}", file=sys.stderr)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum import",
        description="De-identify DICOM into PNGs and Label Studio tasks. Only pixels and a short "
        "list of checked attributes leave; the key that links pseudonyms back stays here.",
    )
    parser.add_argument("source", nargs="+", type=Path, help="DICOM files, folders or zips")
    parser.add_argument("--out", type=Path, help="folder for images/ and tasks.json")
    parser.add_argument("--key", type=Path, help="the hospital's key file (made on first use)")
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="MODALITY",
        help="a person has looked at this modality's images for burned-in text",
    )
    parser.add_argument(
        "--project",
        type=int,
        help="send the tasks to this project of LABEL_STUDIO_URL with LABEL_STUDIO_API_KEY",
    )
    parser.add_argument(
        "--document-root",
        type=Path,
        help="Label Studio serves the images as local files below this folder; no upload",
    )
    parser.add_argument(
        "--show-paths", action="store_true", help="show paths, which may hold names, of problems"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser
