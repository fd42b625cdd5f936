"""Where an export goes, a folder or a zip: it is there as a whole, or it is not there.

Everything is written into a hidden folder beside the place, ``.NAME.unfinished-…``, and renamed at
the end. What a killed export leaves is hidden, and removed by the next one to the same place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from ..settings import Settings
from ..syncing import sync_disk, sync_folder
from .formats import ExportError

MANIFEST, SHEET = "manifest.json", "README.md"
_OF_VIEWERS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # nobody's work
_UNFINISHED, _REPLACED = ".unfinished-", ".replaced-"
_ABANDONED_S = 3600.0  # nothing was written to it for so long: its export was killed
_CHUNK = 2**20
_PACKED = frozenset({".png", ".gz", ".zip", ".jpg", ".jpeg"})  # pressing these again gains nothing
_KEPT = 3  # downloads a project


class Sink:
    """Takes an export's finished files one after another; `folder` is where they are written."""

    def __init__(self, folder: Path, packed: zipfile.ZipFile | None = None) -> None:
        self.folder = folder
        self._packed = packed

    def add(self, path: str) -> dict[str, Any]:
        """Take a file that is whole; its size in bytes and SHA-256. Raises ExportError, OSError."""
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in path:
            raise ExportError(f"a format named a file outside of the export: {path}")
        source = self.folder / path
        digest, size = hashlib.sha256(), source.stat().st_size
        with source.open("rb") as stream:
            if self._packed is None:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
            else:
                entry = zipfile.ZipInfo.from_file(source, path)
                stored = source.suffix.lower() in _PACKED
                entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                entry.external_attr = 0o600 << 16
                with self._packed.open(entry, "w", force_zip64=size >= 2**31 - 1) as target:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
                        target.write(chunk)
        if self._packed is not None:
            source.unlink()  # an export needs its space once, not twice
        return {"bytes": size, "sha256": digest.hexdigest()}

    def add_text(self, path: str, text: str) -> dict[str, Any]:
        """Write a text file, and take it. Raises OSError."""
        # A key of the tasks' data may hold half a character.
        (self.folder / path).write_text(text, encoding="utf-8", errors="backslashreplace")
        return self.add(path)


@contextmanager
def whole(target: Path) -> Iterator[Sink]:
    """A place for an export, a zip if it is named ``….zip``; nothing is there until all of it is.

    A folder must be new or empty, or hold an earlier export and nothing else; a zip must be new or
    an earlier export. That is then replaced. The zip (0600) and the folder (0700) are for this user
    only. Raises ExportError, OSError.
    """
    as_zip = target.suffix.lower() == ".zip"
    try:
        target = target.resolve()  # a link stays, and what it leads to is replaced
    except RuntimeError:
        raise ExportError(f"{target} is a link that leads to itself: choose another") from None
    _check(target, as_zip)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent, f".{target.name}")
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}{_UNFINISHED}", dir=target.parent))
    try:
        if as_zip:
            made, inside = work / "whole.zip", work / "files"
            inside.mkdir()
            handle = os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            with os.fdopen(handle, "w+b") as stream:
                with zipfile.ZipFile(stream, "w") as packed:
                    yield Sink(inside, packed)
                stream.flush()
                os.fsync(stream.fileno())
            _check(target, as_zip)  # again: an export takes hours
            made.replace(target)
            sync_folder(target.parent)
        else:
            yield Sink(work)
            sync_disk(work)  # as a whole: its names could outlast a power cut without their content
            _check(target, as_zip)
            _into_place(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check(target: Path, as_zip: bool) -> None:
    """Find out before hours of work whether the place can take an export."""
    if as_zip:
        if target.is_dir():
            raise ExportError(f"{target} is a folder: choose another name for the zip")
        if target.exists() and not _is_zipped_export(target):
            raise ExportError(
                f"{target} is no export, or holds other files too: choose another name for the zip"
            )
        return
    if target.exists() and not target.is_dir():
        raise ExportError(f"{target} is a file: choose a folder, or a name that ends in .zip")
    if target.is_dir() and any(target.iterdir()) and not _is_export(target):
        raise ExportError(
            f"{target} holds other files, which an export would replace: choose a new folder"
        )
    if target.is_dir() and target.samefile(Path()):
        # It would be replaced under the feet of whoever stands in it, to whom it then looks empty.
        raise ExportError(f"{target} is the folder that you are in: choose a new folder below it")
    if target.is_mount():
        raise ExportError(f"{target} is a mounted disk: choose a new folder below it")


def _is_export(folder: Path) -> bool:
    """Whether a folder holds an export, and no file besides."""
    try:
        there = {
            (Path(at) / name).relative_to(folder).as_posix()
            for at, folders, files in os.walk(folder)
            for name in (*files, *(each for each in folders if (Path(at) / each).is_symlink()))
        }
        return _are_exported(there, (folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False


def _is_zipped_export(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as packed:
            return _are_exported(set(packed.namelist()), packed.read(MANIFEST))
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False


def _are_exported(names: set[str], manifest: bytes) -> bool:
    """Whether all files are an export's own: those that its manifest names. Raises ValueError."""
    try:
        said = json.loads(manifest)
        own = {MANIFEST, SHEET, *(str(entry["path"]) for entry in said["files"])}
    except (KeyError, TypeError, RecursionError):
        return False
    others = {name for name in names - own if name.rpartition("/")[2] not in _OF_VIEWERS}
    return "quorum" in said and not others


def _into_place(work: Path, target: Path) -> None:
    if not target.is_dir() or not any(target.iterdir()):
        work.rename(target)  # over an empty folder, too
        sync_folder(target.parent)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}{_REPLACED}", dir=target.parent))
    target.rename(old)
    work.rename(target)
    sync_folder(target.parent)  # of both at once: between them there is neither
    shutil.rmtree(old, ignore_errors=True)


def _sweep(folder: Path, prefix: str) -> None:
    """Remove what killed exports left."""
    for kind in (_UNFINISHED, _REPLACED):
        for left in folder.glob(f"{_escaped(prefix)}*{kind}*"):
            with suppress(OSError):
                touched = [left.stat().st_mtime, *(p.stat().st_mtime for p in left.iterdir())]
                if time.time() - max(touched) > _ABANDONED_S:
                    shutil.rmtree(left, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def keep_download(settings: Settings, project_id: int, format_name: str) -> Path:
    """Where the next download of a project is to be written: DATA_DIR/exports/PROJECT/NAME.zip.

    The oldest beyond the two newest make place for it. Raises OSError.
    """
    folder = _downloads_of(settings, project_id)
    for made in (folder.parent, folder):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder, ".")
    for old in downloads(settings, project_id)[_KEPT - 1 :]:
        old.unlink(missing_ok=True)
    at = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%fZ")
    return folder / f"project-{project_id}-{format_name}-{at}.zip"


def downloads(settings: Settings, project_id: int) -> list[Path]:
    """A project's finished downloads, the newest first."""
    found = _downloads_of(settings, project_id).glob("project-*.zip")
    return sorted(found, key=lambda path: path.name.rpartition("-")[2], reverse=True)


def _downloads_of(settings: Settings, project_id: int) -> Path:
    return settings.data_dir / "exports" / str(int(project_id))
