"""Objects held back for a person: each with pictures before and after, until released by command.

``FOLDER/INSTANCE/{object.dcm, entry.json, 0-before.png, 0-after.png, …}`` and ``index.html``, the
contact sheet. The folder stays in the hospital, readable by its owner alone: the objects are whole.
``FOLDER/INSTANCE.released.json`` is what a person decided: it holds at every later import.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .burned_in import Box
from .image_files import to_png
from .journal import write_atomically
from .render import Rendered

_NAME = re.compile(r"[0-9a-f]{20}")


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
    seen: frozenset[int] | None = None
    """The frames that the person saw; None if all were read, and what is on others was accepted."""


@dataclass(frozen=True)
class Seen:
    """What a person learns of an object from the contact sheet."""

    boxes: tuple[Box, ...] = ()
    """Where text was found on the frames that were read: black on all of them."""
    frames: frozenset[int] | None = frozenset()
    """Those with a picture; None if every frame was read for text, and the sheet tells of all."""
    left_out: int = 0
    """On how many frames without a picture there was other text."""


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
    seen: Seen,
) -> None:
    """Put an object aside with pictures of it before and after redaction. Raises OSError.

    `pixels` tells its pixels from others' (see pixels_of); `seen` is what the pictures tell.
    """
    place = folder / instance
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for index, (before, after) in enumerate(pictures):
        write_atomically(place / f"{index}-before.png", to_png(before))
        write_atomically(place / f"{index}-after.png", to_png(after))
    write_atomically(place / "object.dcm", content)
    # Last: an entry that is there is whole.
    entry = {
        "reason": reason,
        "pixels": pixels,
        "boxes": seen.boxes,
        "frames": None if seen.frames is None else sorted(seen.frames),
        "left_out": seen.left_out,
    }
    write_atomically(place / "entry.json", json.dumps(entry).encode())


def pixels_of(folder: Path, instance: str) -> str:
    """What tells the pixels of a held object; "" if none is held, or by an earlier release."""
    try:
        return str(json.loads((folder / instance / "entry.json").read_text())["pixels"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def seen_of(folder: Path, instance: str) -> Seen:
    """What the contact sheet shows of a held object; nothing, if an earlier release held it."""
    try:
        entry = json.loads((folder / instance / "entry.json").read_text())
        frames = entry["frames"]
        return Seen(
            _boxes(entry["boxes"]),
            None if frames is None else frozenset(int(frame) for frame in frames),
            int(entry["left_out"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Seen()


def _boxes(listed: Sequence[Sequence[int]]) -> tuple[Box, ...]:
    boxes = [tuple(int(edge) for edge in box) for box in listed]
    if any(len(box) != 4 for box in boxes):
        raise ValueError("a box has four edges")
    return tuple(cast("list[Box]", boxes))


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
    noted = {"how": release.how, "boxes": release.boxes, "pixels": release.pixels}
    write_atomically(_note(folder, instance), json.dumps(noted).encode())


def release_of(folder: Path, instance: str) -> Release | None:
    """How a person has let an object go; None if nobody has, or if the note is damaged."""
    try:
        noted = json.loads(_note(folder, instance).read_bytes())
        if noted["how"] not in ("redacted", "original"):
            return None
        return Release(noted["how"], _boxes(noted["boxes"]), str(noted["pixels"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(folder: Path, instance: str) -> Path:
    return folder / f"{instance}.released.json"
