"""Where a backup is restored to, so that it can be interrupted anywhere and done again.

Files and folders are staged beside their place, on the same disk, then renamed into it, and what
was there is renamed before. A store behind a URL knows no renaming: what was there is copied aside
first, then its pointers go, the versions come, and the pointers last.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_backend.store.folder import FolderObjects
from ml_backend.store.objects import Objects

from .archive import BackupError

_PROJECTS = "projects"


@dataclass(frozen=True)
class Target:
    """Where one entry of an archive (a file, or a folder with all below it) belongs."""

    name: str  # in the archive; below it lies whatever begins with it and a slash
    place: Path
    staging: str  # a folder's name beside the place; no other kind of archive uses it
    is_folder: bool = False  # it replaces what is there even if the archive has nothing of it
    is_absent: bool = False  # the archive has nothing of it; what is there must not stay

    @property
    def staged(self) -> Path:
        """Where it lies until it is whole."""
        return self.place.parent / self.staging / self.place.name

    def path_of(self, name: str) -> Path | None:
        """Where a file of the archive is staged, None if it does not belong to this target."""
        if name == self.name:
            return self.staged
        inside = name.startswith(f"{self.name}/")
        return self.staged / name[len(self.name) + 1 :] if inside else None

    def is_taken(self) -> bool:
        """Whether something is there that must not be lost."""
        if self.place.is_dir():
            return any(self.place.iterdir())
        return os.path.lexists(self.place)

    def aside(self, stamp: str) -> Path:
        """Where what was there goes."""
        return self.place.with_name(f"{self.place.name}.before-restore-{stamp}")


def free_bytes(targets: Sequence[Target]) -> int:
    """What is free on the disk of the first target."""
    folder = targets[0].place.parent
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def stage(targets: Sequence[Target], files: Iterable[tuple[str, bytes]]) -> None:
    """Bring files to where they wait. Raises StoreError if a disk refuses, OSError, BackupError."""
    unstage(targets)
    for target in targets:
        folder = target.staged if target.is_folder else target.staged.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files:
        paths = [path for target in targets if (path := target.path_of(name))]
        if len(paths) != 1:
            raise BackupError(f"{name} belongs nowhere here")
        # Whole and synced, each for its owner alone.
        FolderObjects(paths[0].parent).put(paths[0].name, content)


def commit(targets: Sequence[Target], stamp: str) -> list[Path]:
    """Move what waits into its place, and what was there aside; where that went.

    Done again after it was interrupted, it goes on from there. Raises BackupError, OSError.
    """
    asides = []
    for target in targets:
        if target.staged.exists() or target.is_absent:
            _clear(target, stamp)
            if target.staged.exists():
                target.staged.rename(target.place)
            _sync(target.place.parent)
        if os.path.lexists(target.aside(stamp)):
            asides.append(target.aside(stamp))
    unstage(targets)
    return asides


def _clear(target: Target, stamp: str) -> None:
    """Have nothing in a place. Raises BackupError, OSError."""
    if target.is_taken():
        if os.path.lexists(target.aside(stamp)):
            raise BackupError(
                f"{target.place} came back after the restore was interrupted: move it away, then "
                "give the same ./quorum restore again"
            )
        target.place.rename(target.aside(stamp))
    elif target.place.is_dir():
        target.place.rmdir()


def unstage(targets: Sequence[Target]) -> None:
    """Remove what waits."""
    for folder in {target.staged.parent for target in targets}:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- a store behind a URL -----------------------------------------------------------------------


def is_taken(objects: Objects) -> bool:
    """Whether a store holds anything. Raises StoreError."""
    return bool(objects.folders(_PROJECTS))


def has_aside(objects: Objects, stamp: str) -> bool:
    """Whether a store's content was copied aside under this stamp. Raises StoreError."""
    return bool(objects.folders(_aside(stamp)))


def copy_aside(objects: Objects, stamp: str) -> str:
    """Copy all of a store beside itself; where. Raises StoreError, BackupError."""
    aside = _aside(stamp)
    for key in objects.keys(_PROJECTS):
        content = objects.get(key)
        if content is None:
            continue
        copy = f"{aside}{key[len(_PROJECTS) :]}"
        objects.put(copy, content)
        if objects.get(copy) != content:
            raise BackupError(f"{objects.where} did not keep what was copied: nothing was changed")
    return f"{objects.where}/{aside}"


def replace(objects: Objects, files: Iterable[tuple[str, bytes]]) -> None:
    """Make a store hold these files ("store/projects/…") and no others; safe to do again.

    Raises StoreError, BackupError.
    """
    before = objects.keys(_PROJECTS)
    for key in before:
        if key.endswith("/current"):
            objects.remove(key)
    pointers, written = {}, set()
    for name, content in files:
        key = name.partition("/")[2]
        written.add(key)
        if key.endswith("/current"):
            pointers[key] = content
        else:
            objects.put(key, content)
    for key in before:
        if key not in written:
            objects.remove(key)
    for key, content in pointers.items():
        objects.put(key, content)


def _aside(stamp: str) -> str:
    return f"{_PROJECTS}.before-restore-{stamp}"
