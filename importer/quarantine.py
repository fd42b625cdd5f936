"""Objects held back for a person: each with pictures before and after, until released by command.

``FOLDER/INSTANCE/{object.dcm, entry.json, 0-before.png, 0-after.png, …}`` and ``index.html``, the
contact sheet. The folder stays in the hospital, readable by its owner alone: the objects are whole.
``FOLDER/INSTANCE.released.json`` is what a person decided: it holds at every later import.
"""

from __future__ import annotations

import contextlib
import fcntl
import html
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from .burned_in import Box
from .image_files import to_png
from .journal import write_atomically
from .render import Rendered

_NAME = re.compile(r"[0-9a-f]{20}")
_STYLE = (
    "body{font:16px/1.4 system-ui,sans-serif;margin:2rem;background:#111;color:#eee}"
    "figure{display:inline-block;margin:.5rem}img{max-width:30rem;background:#000}"
    "code{background:#333;padding:.1rem .3rem;user-select:all}article{margin-bottom:2rem}"
)


@dataclass(frozen=True)
class Held:
    """An object in quarantine, by its instance's pseudonym."""

    instance: str
    reason: str
    path: Path  # the object itself


@dataclass(frozen=True)
class Release:
    """How a person has let an object go."""

    how: str
    """"redacted" or "original"."""
    boxes: tuple[Box, ...]
    """Blacked out on every frame: what the person drew, and what was found at the release."""
    pixels: str
    """The digest of the pixels that the person saw: other pixels are judged anew."""


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Until it is left no other process holds an object here. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def hold(
    folder: Path,
    instance: str,
    content: bytes,
    reason: str,
    pixels: str,
    pictures: Sequence[tuple[Rendered, Rendered]],
) -> None:
    """Put an object aside with pictures of it before and after redaction. Raises OSError.

    `pixels` tells its pixels from others' (see pixels_of).
    """
    place = folder / instance
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for index, (before, after) in enumerate(pictures):
        write_atomically(place / f"{index}-before.png", to_png(before))
        write_atomically(place / f"{index}-after.png", to_png(after))
    write_atomically(place / "object.dcm", content)
    # Last: an entry that is there is whole.
    entry = json.dumps({"reason": reason, "pixels": pixels})
    write_atomically(place / "entry.json", entry.encode())


def pixels_of(folder: Path, instance: str) -> str:
    """What tells the pixels of a held object; "" if none is held, or by an earlier release."""
    try:
        return str(json.loads((folder / instance / "entry.json").read_text())["pixels"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def held(folder: Path) -> list[Held]:
    """What waits for a person, in a stable order."""
    found = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not _NAME.fullmatch(place.name):
            continue
        try:
            reason = str(json.loads((place / "entry.json").read_text())["reason"])
        except (OSError, ValueError, KeyError):
            continue
        found.append(Held(place.name, reason, place / "object.dcm"))
    return found


def remove(folder: Path, instances: Collection[str]) -> None:
    """Forget objects that were released or refused."""
    for instance in instances:
        if _NAME.fullmatch(instance):
            shutil.rmtree(folder / instance, ignore_errors=True)


def note_release(folder: Path, instance: str, release: Release) -> None:
    """Keep a person's decision in the place of an earlier one. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(_note(folder, instance), json.dumps(asdict(release)).encode())


def release_of(folder: Path, instance: str) -> Release | None:
    """How a person has let an object go; None if nobody has, or if the note is damaged."""
    try:
        noted = json.loads(_note(folder, instance).read_bytes())
        boxes = [tuple(int(edge) for edge in box) for box in noted["boxes"]]
        if noted["how"] not in ("redacted", "original") or any(len(box) != 4 for box in boxes):
            return None
        return Release(noted["how"], tuple(cast("list[Box]", boxes)), str(noted["pixels"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(folder: Path, instance: str) -> Path:
    return folder / f"{instance}.released.json"


def write_contact_sheet(folder: Path) -> Path | None:
    """The page that shows what is held, None if nothing is."""
    entries = held(folder)
    page = folder / "index.html"
    if not entries:
        page.unlink(missing_ok=True)
        return None
    articles = []
    for entry in entries:
        pairs = [
            f'<figure><img loading="lazy" alt="before" src="{entry.instance}/{n}-before.png">'
            f'<img loading="lazy" alt="after" src="{entry.instance}/{n}-after.png"></figure>'
            for n in range(len(list(entry.path.parent.glob("*-before.png"))))
        ]
        articles.append(
            f"<article><h2>{html.escape(entry.reason)}</h2>"
            f"<p><code>./quorum release {entry.instance}</code> as it is on the right, "
            f"<code>./quorum release {entry.instance} --as original</code> as on the left, "
            f"<code>./quorum release {entry.instance} --refuse</code> never.</p>"
            f"{''.join(pairs)}</article>"
        )
    title = f"{len(entries)} held for a person"
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        "<p>Left: as it came. Right: with what was found blacked out. Before you release one, read "
        "every line of text that is left on it; <code>--black-out TOP,LEFT,BOTTOM,RIGHT</code> "
        f"blacks out a box of pixels more.</p>{''.join(articles)}</html>"
    )
    write_atomically(page, text.encode())
    return page
