"""The reference in docs/reference, written from the code that it describes.

Each page is a function that returns Markdown. ``python -m launcher.reference`` writes them; with
``--check`` it fails if a file on the disk says anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .. import CLONE
from . import api, commands, deidentification, settings

FOLDER: Path = CLONE / "docs" / "reference"
COMMAND = "python -m launcher.reference"

PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings.page,
    "cli.md": commands.page,
    "api.md": api.page,
    "de-identification.md": deidentification.page,
}


def stale(folder: Path = FOLDER) -> list[str]:
    """The pages whose file is missing or says something else than the code."""
    found = []
    for name, page in PAGES.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != page():
            found.append(name)
    return found


def write(folder: Path = FOLDER) -> list[Path]:
    """Write all pages; the files that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, page in PAGES.items():
        path, text = folder / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
