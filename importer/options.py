"""Options of the importer's commands, and what they mean together."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from .deidentify import MODALITIES
from .image_files import FORMATS
from .keys import KeyFileError, load_or_make_key
from .limits import Limits
from .recipe import BurnedIn, Recipe
from .windows import HEADER, NAMES, asked_for


def parser_of(command: str, run: Callable[..., int]) -> argparse.ArgumentParser:
    """A command's parser, described by what its function says of itself."""
    return argparse.ArgumentParser(prog=f"quorum {command}", description=run.__doc__)


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """How the import is to be made. Raises ValueError, KeyFileError or LimitsError."""
    return Recipe(
        key=load_or_make_key(key_file(arguments)),
        images=out_folder(arguments) / "images",
        windows=windows_of(arguments),
        image_format=arguments.format,
        frame_step=arguments.frame_step,
        square_pixels=not arguments.keep_pixels,
        burned_in=BurnedIn(arguments.burned_in),
        accept=frozenset(accepted(arguments)),
        copies=arguments.dicom_out,
        quarantine=quarantine_folder(arguments),
        black_out=tuple(getattr(arguments, "black_out", ())),
        dry_run=getattr(arguments, "dry_run", False),
        limits=Limits.from_environment(),
    )


def pair(text: str) -> str:
    """KEYWORD=VALUE, as it was given."""
    if not text.partition("=")[1]:
        raise argparse.ArgumentTypeError("give it as KEYWORD=VALUE")
    return text


def box(text: str) -> tuple[int, int, int, int]:
    """TOP,LEFT,BOTTOM,RIGHT in pixels, half open."""
    try:
        top, left, bottom, right = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("give four numbers of pixels, 0,0,20,100") from None
    if not (0 <= top < bottom and 0 <= left < right):
        raise argparse.ArgumentTypeError("top must be above bottom, left must be left of right")
    return top, left, bottom, right


def data_folder() -> Path:
    """Where keys, inbox and imports lie unless told otherwise."""
    return Path(os.environ.get("QUORUM_DATA_DIR") or ".quorum")


def out_folder(arguments: argparse.Namespace) -> Path:
    """The folder for images and tasks.json."""
    return Path(arguments.out or data_folder() / "import")


def key_file(arguments: argparse.Namespace) -> Path:
    """The hospital's key file."""
    given = arguments.key or os.environ.get("QUORUM_KEY_FILE") or data_folder() / "importer.key"
    return Path(given)


def existing_key_file(arguments: argparse.Namespace) -> Path:
    """The hospital's key file, of a command that makes none.

    A new key could open nothing, would know no pseudonym, and rotate no old one. Raises
    KeyFileError if there is none.
    """
    path = key_file(arguments)
    if not path.exists():
        raise KeyFileError(f"there is no key file {path}: give the import's with --key")
    return path


def quarantine_folder(arguments: argparse.Namespace) -> Path:
    """The folder for what a person must look at, in the hospital."""
    return Path(arguments.quarantine or key_file(arguments).with_name("quarantine"))


def windows_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """As named; else what the label config shows; else the headers' own."""
    if arguments.window:
        return tuple(arguments.window)
    if arguments.label_config:
        return asked_for(_text_of(arguments.label_config))
    return (HEADER,)


def _text_of(label_config: Path) -> str:
    try:
        return label_config.read_text()
    except (OSError, UnicodeDecodeError):
        raise ValueError(
            f"the label config {label_config} cannot be read: give the file to which you copied "
            "it from the project's settings"
        ) from None


def accepted(arguments: argparse.Namespace) -> set[str]:
    """Modalities that a person vouches for. Raises ValueError for one that there is not."""
    accept = {str(modality).upper() for modality in arguments.accept}
    if unknown := accept - MODALITIES:
        raise ValueError(f"{unknown.pop()} is no DICOM modality")
    return accept


def add_key_option(parser: argparse.ArgumentParser, made: bool = True) -> None:
    """--key, of a command that makes the file on first use or needs it to be there."""
    when = " (made on first use)" if made else ", as imports made it"
    parser.add_argument("--key", type=Path, help=f"the hospital's key file{when}")


def add_making_options(parser: argparse.ArgumentParser) -> None:
    """How slices are made."""
    parser.add_argument("--out", type=Path, help="folder for images/ and tasks.json")
    add_key_option(parser)
    parser.add_argument("--dicom-out", type=Path, help="folder for de-identified DICOM copies")
    parser.add_argument(
        "--quarantine",
        type=Path,
        help="folder for what a person must look at (by the key)",
    )
    parser.add_argument(
        "--burned-in",
        choices=[mode.value for mode in BurnedIn],
        default=BurnedIn.REDACT.value,
        help="text in pixels: black it out and hold what is doubtful (default), hold all that "
        "shows text, or look at nothing",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="MODALITY",
        help="a person vouches for this modality: its images are read for text, but not held for "
        "what their headers lack",
    )
    parser.add_argument(
        "--window",
        action="append",
        choices=NAMES,
        help="how grey values are shown; given again, a further image a task, image_NAME",
    )
    parser.add_argument(
        "--label-config",
        type=Path,
        metavar="FILE",
        help="make the windows that this label config shows: $image, $image_lung, …",
    )
    parser.add_argument("--format", choices=FORMATS, default="png", help="of the images")
    parser.add_argument(
        "--frame-step", type=int, default=1, metavar="N", help="every N-th frame of a multi-frame"
    )
    parser.add_argument(
        "--keep-pixels", action="store_true", help="do not stretch pixels that are not square"
    )


def add_sending_options(parser: argparse.ArgumentParser) -> None:
    """Where they go, and how the report is shown."""
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
        "--object-store",
        metavar="URL",
        help="write the images to s3://bucket/folder or the like, which Label Studio reads",
    )
    parser.add_argument(
        "--show-paths", action="store_true", help="show paths, which may hold names, of problems"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
