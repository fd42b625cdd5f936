"""Where DICOM comes from: files, folder trees and zips (nested too), one object at a time."""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..limits import Limits

_ZIP_START = b"PK\x03\x04"
_HEAD_BYTES = 1024  # the preamble and the few elements of a copy's file meta
# ImplementationVersionName of the copies that --dicom-out makes (PS3.10 7.1).
_OWN_COPY = re.compile(rb"\x02\x00\x13\x00SH..QUORUM_COPY_", re.DOTALL)

# (path for the screen, content or None if it is to be read from the path, reason code of a problem,
# size in bytes)
_Found = tuple[str, bytes | None, str | None, int]


@dataclass(frozen=True)
class SourceObject:
    """One file of a source, or why it could not be read.

    A path can hold a patient's name: it is for the hospital's own screen, on request only.
    """

    number: int  # running over all sources, from 1
    path: str
    content: bytes | None  # None: the file at `path` itself, which the worker reads
    size_bytes: int = 0
    problem: str | None = None  # reason code


class LeftOut:
    """What imports have made, and what must not come in again under pseudonyms of pseudonyms.

    The folders given, wherever they lie below a source, and de-identified copies found in folders.
    A source that is named itself is taken, whatever it is.
    """

    def __init__(self, folders: Collection[Path] = ()) -> None:
        self.copies = 0  # left out so far
        self.links = 0  # in folders, to files or folders: none is followed
        self._folders = {folder.resolve() for folder in folders}

    def holds(self, folder: Path) -> bool:
        """Whether a folder is one of those that are left out."""
        return folder.resolve() in self._folders


def iter_objects(
    sources: Sequence[Path], limits: Limits | None = None, left_out: LeftOut | None = None
) -> Iterator[SourceObject]:
    """All files of the sources in a stable order; links inside a folder are not followed.

    A DICOMDIR given by itself stands for the medium around it: its folder is walked, and the names
    it lists, which are foreign input, are not followed. A file that cannot be read, or an archive
    that is damaged or unfolds beyond the limits, is yielded with its problem, and the rest goes on.
    Nothing is left out unless `left_out` says so; it counts.
    """
    limits = limits or Limits()
    number = 0
    for source in sources:
        for path, content, problem, size in _walk(source, limits, left_out):
            number += 1
            yield SourceObject(number, path, content, size, problem)


def _walk(source: Path, limits: Limits, left_out: LeftOut | None) -> Iterator[_Found]:
    try:
        mode = source.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except OSError:  # a folder above it, for one
        yield _problem(str(source), "cannot-be-read")
        return
    if source.name.upper() == "DICOMDIR" and stat.S_ISREG(mode):
        source, mode = source.parent, stat.S_IFDIR
    if stat.S_ISDIR(mode):
        closed: list[OSError] = []
        for folder, folders, names in os.walk(source, onerror=closed.append):
            folders.sort()
            if left_out is not None:
                left_out.links += sum(Path(folder, name).is_symlink() for name in folders)
                folders[:] = [name for name in folders if not left_out.holds(Path(folder, name))]
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    found = path.lstat()
                except OSError:
                    yield _problem(str(path), "cannot-be-read")
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield from _file(path, found.st_size, limits, left_out)
                elif stat.S_ISLNK(found.st_mode) and left_out is not None:
                    left_out.links += 1
        for error in closed:  # folders that cannot be listed
            yield _problem(str(error.filename), "cannot-be-read")
    elif stat.S_ISREG(mode):
        yield from _file(source, source.stat().st_size, limits, None)
    else:
        yield _problem(str(source), "no-such-file")


def _problem(path: str, reason: str) -> _Found:
    return path, b"", reason, 0


def _file(path: Path, size: int, limits: Limits, left_out: LeftOut | None) -> Iterator[_Found]:
    shown = str(path)
    try:
        with path.open("rb", buffering=0) as stream:  # the head of most files, all of archives
            head = stream.read(_HEAD_BYTES) or b""
        if left_out is not None and head[128:132] == b"DICM" and _OWN_COPY.search(head, 132):
            left_out.copies += 1
        elif head.startswith(_ZIP_START):
            with path.open("rb") as buffered:
                yield from _archive(buffered, shown, 1, limits)
        elif size > limits.object_bytes:
            yield _problem(shown, "too-large")
        else:
            yield shown, None, None, size
    except OSError:
        yield _problem(shown, "cannot-be-read")


def _archive(stream: IO[bytes], path: str, depth: int, limits: Limits) -> Iterator[_Found]:
    if depth > limits.archive_nesting:
        yield _problem(path, "nested-too-deep")
        return
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        yield _problem(path, "damaged-archive")
        return
    with archive:
        members = [m for m in archive.infolist() if not m.filename.endswith("/")]
        if (
            len(members) > limits.archive_members
            or sum(m.file_size for m in members) > limits.archive_bytes
        ):
            yield _problem(path, "archive-too-large")
            return
        for member in members:
            # The member's name is shown on request, never used to write anything.
            name = f"{path}::{member.filename}"
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
            if is_link:
                continue
            if member.file_size > limits.object_bytes or (
                member.file_size > 2**20
                and member.file_size > limits.archive_ratio * member.compress_size
            ):
                yield _problem(name, "archive-too-large")
                continue
            try:
                with archive.open(member) as opened:
                    content = opened.read(member.file_size + 1)
            except MemoryError:
                raise
            except Exception:  # zipfile's are many: of each compression, of names, of passwords
                yield _problem(name, "damaged-archive")
                continue
            if content[:4] == _ZIP_START:
                yield from _archive(io.BytesIO(content), name, depth + 1, limits)
            else:
                yield name, content, None, len(content)
