"""Whose pictures lie under an identifier: noted before they are there, by whoever comes first.

Two objects of one SOP Instance UID have pictures of the same names, and two workers may make them
at the same moment. ``OUT/.images.claims/HH`` has a line for each instance whose pseudonym begins
with HH: that, and what tells its pixels from others' (Outcome.pixels), as the journal has them too.
A claim outlives its import, for so do the pictures: it bars other pixels, never the object itself.
"""

from __future__ import annotations

import fcntl
from functools import lru_cache
from pathlib import Path

from .journal import TasksError, iter_tasks, pixels_in


def claimed(images: Path, instance: str) -> str:
    """What tells the pixels whose pictures have an instance's names; "" if nobody has claimed them.

    Raises OSError.
    """
    try:
        return _noted(_lines(images, instance).read_bytes(), instance)
    except FileNotFoundError:
        return ""


def claim(images: Path, instance: str, pixels: str, *, there: bool) -> str:
    """Claim an instance's names in a folder of images; whose they are: `pixels`, or the first's.

    there: whether some of its pictures lie there already. Those of an earlier release, which made
    no claims, are the journal's. Raises OSError.
    """
    path = _lines(images, instance)
    path.parent.mkdir(exist_ok=True)
    with path.open("a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # until it is closed, and so written
        stream.seek(0)
        lines = stream.read()
        noted = _noted(lines, instance)
        if not noted:
            noted = (_journaled(images.parent).get(instance, "") if there else "") or pixels
            stream.truncate(lines.rfind(b"\n") + 1)  # without a line that a full disk cut short
            stream.write(f"{instance} {noted}\n".encode())
    return noted


def _lines(images: Path, instance: str) -> Path:
    return images.with_name(f".{images.name}.claims") / instance[:2]


def _noted(lines: bytes, instance: str) -> str:
    """What a whole line says of an instance."""
    for line in lines.decode().split("\n")[:-1]:
        name, _, pixels = line.partition(" ")
        if name == instance:
            return pixels
    return ""


@lru_cache(maxsize=1)
def _journaled(out: Path) -> dict[str, str]:
    """By instance, of all that came in before this process asked first: what came since has made
    its claim.
    """
    try:
        return pixels_in(out, {task["data"]["instance"] for task in iter_tasks(out)})
    except TasksError:
        return {}
