"""Where DICOM comes from: files, folder trees and zips (nested too), one object at a time."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Limits on what an archive may unfold to, checked before anything is read.
_MAX_MEMBERS = 200_000
_MAX_OBJECT_BYTES = 2 * 2**30
_MAX_ARCHIVE_BYTES = 64 * 2**30
_MAX_RATIO = 200  # a CT's empty air shrinks by 20 to 50
_MAX_NESTING = 2
_ZIP_START = b"PK\x03\x04"


@dataclass(frozen=True)
class SourceObject:
    """One file of a source, or why it could not be read.

    A path can hold a patient's name: it is for the hospital's own screen, on request only.
    """

    number: int  # running over all sources, from 1
    path: str
    content: bytes
    problem: str | None = None  # reason code

    @property
    def digest(self) -> str:
        """First 12 hex digits of the content's SHA-256: names the object without its path."""
        return hashlib.sha256(self.content).hexdigest()[:12] if self.content else "-"


def iter_objects(sources: Sequence[Path]) -> Iterator[SourceObject]:
    """All files of the sources in a stable order; links inside a folder are not followed.

    A file that cannot be read, or an archive that is damaged or unfolds beyond the limits, is
    yielded with its problem, and the rest goes on.
    """
    number = 0
    for source in sources:
        for path, content, problem in _walk(source):
            number += 1
            yield SourceObject(number, path, content, problem)


def _walk(source: Path) -> Iterator[tuple[str, bytes, str | None]]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield from _file(path)
    elif source.is_file():
        yield from _file(source)
    else:
        yield str(source), b"", "no-such-file"


def _file(path: Path) -> Iterator[tuple[str, bytes, str | None]]:
    try:
        with path.open("rb") as stream:
            if stream.read(4) == _ZIP_START:
                yield from _archive(stream, str(path), depth=1)
            elif path.stat().st_size > _MAX_OBJECT_BYTES:
                yield str(path), b"", "too-large"
            else:
                yield str(path), path.read_bytes(), None
    except OSError:
        yield str(path), b"", "cannot-be-read"


def _archive(stream: IO[bytes], path: str, depth: int) -> Iterator[tuple[str, bytes, str | None]]:
    if depth > _MAX_NESTING:
        yield path, b"", "nested-too-deep"
        return
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        yield path, b"", "damaged-archive"
        return
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > _MAX_MEMBERS or sum(m.file_size for m in members) > _MAX_ARCHIVE_BYTES:
            yield path, b"", "archive-too-large"
            return
        for member in members:
            # The member's name is shown on request, never used to write anything.
            name = f"{path}::{member.filename}"
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
            if is_link:
                continue
            if member.file_size > _MAX_OBJECT_BYTES or (
                member.file_size > 2**20 and member.file_size > _MAX_RATIO * member.compress_size
            ):
                yield name, b"", "archive-too-large"
                continue
            try:
                with archive.open(member) as opened:
                    content = opened.read(member.file_size + 1)
            except (
                zipfile.BadZipFile,
                zlib.error,
                OSError,
                EOFError,
                RuntimeError,
                NotImplementedError,
            ):
                yield name, b"", "damaged-archive"
                continue
            if content[:4] == _ZIP_START:
                yield from _archive(io.BytesIO(content), name, depth + 1)
            else:
                yield name, content, None
