"""The archive's format: a gzipped tar of plain files, the manifest last.

Names are those of a short list, sizes are bounded, and the manifest holds the SHA-256 and the size
of each file. It is read by a parser of its own: Python's tarfile follows links, and reads headers
of any length into memory, before anybody can ask what they are.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

FORMAT = 1
BACKEND, HOSPITAL = "backend", "hospital"  # kinds of archive
MANIFEST = "manifest.json"
MOST_FILE_BYTES = 4 << 30  # one member's weights; restoring holds one file in memory
_MOST_MANIFEST_BYTES = 128 << 20
_MOST_FILES = 500_000
_BLOCK = 512
_CHUNK = 1 << 18
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
# A project's part of the store, but for a round's scratch and the pictures: both are made again,
# and both show slices.
_STORE = rf"store/projects/[1-9][0-9]{{0,17}}/(?!work/|pictures/)(?:{_NAME}/){{0,2}}{_NAME}"
_ALLOWED = {
    BACKEND: re.compile(rf"{_STORE}|secrets\.json|page\.key|imports/[0-9]{{1,18}}\.jsonl"),
    HOSPITAL: re.compile(r"importer\.(?:key|key\.old|vault)"),
}


class BinaryStream(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes: ...


class BackupError(RuntimeError):
    """A backup or a restore cannot be done; the message says why and the remedy."""


@dataclass(frozen=True)
class File:
    """What the manifest says of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Contents:
    """What a verified archive holds."""

    kind: str
    about: Mapping[str, Any]  # the manifest
    files: Mapping[str, File]
    digest: str  # of the manifest, which names the digest of everything else

    def total_bytes(self) -> int:
        """Of all files, as they lie on a disk."""
        return sum(file.bytes for file in self.files.values())


def allowed(kind: str, name: str) -> bool:
    """Whether a file of this name may be in an archive of a kind."""
    pattern = _ALLOWED.get(kind)
    return pattern is not None and pattern.fullmatch(name) is not None


@dataclass
class Writer:
    """Writes an archive to a stream, one file after the other."""

    stream: IO[bytes]
    kind: str
    files: dict[str, File] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Weights hardly shrink: the quickest level is the right one. No name and no time in it.
        self._gzip = gzip.GzipFile("", "wb", compresslevel=1, fileobj=self.stream, mtime=0)

    def add(self, name: str, content: bytes) -> None:
        """Append a file. Raises BackupError if restoring would refuse it, OSError."""
        if not allowed(self.kind, name) or name in self.files:
            raise BackupError(f"{name} cannot be put into a backup")
        if len(content) > MOST_FILE_BYTES:
            raise BackupError(f"{name} is larger than {MOST_FILE_BYTES >> 30} GiB")
        self._append(name, content)
        self.files[name] = File(len(content), hashlib.sha256(content).hexdigest())

    def close(self, about: Mapping[str, Any]) -> str:
        """Append the manifest and end the archive; the manifest's digest. Raises OSError."""
        listed = {name: [file.bytes, file.sha256] for name, file in self.files.items()}
        whole = {"format": FORMAT, "kind": self.kind, **about, "files": listed}
        manifest = json.dumps(whole, indent=0).encode()
        self._append(MANIFEST, manifest)
        self._gzip.write(bytes(2 * _BLOCK))
        self._gzip.close()
        return hashlib.sha256(manifest).hexdigest()

    def _append(self, name: str, content: bytes) -> None:
        header = tarfile.TarInfo(name)
        header.size, header.mode = len(content), 0o600
        try:
            self._gzip.write(header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
        except ValueError:
            raise BackupError(f"{name} is too long a name for an archive") from None
        self._gzip.write(content)
        self._gzip.write(bytes(-len(content) % _BLOCK))


def verify(path: Path, most_bytes: int) -> Contents:
    """Read a whole archive and check everything about it; nothing is written.

    `most_bytes` is what its files may come to. Raises BackupError, OSError.
    """
    seen: dict[str, File] = {}
    manifest, total = b"", 0
    for name, size, chunks in _members(path):
        if manifest:
            raise _not_ours("something follows its manifest")
        if name == MANIFEST:
            if size > _MOST_MANIFEST_BYTES:
                raise _not_ours("its manifest is too large")
            manifest = b"".join(chunks)
            continue
        total += size
        if total > most_bytes:
            raise BackupError(
                f"its files come to more than {most_bytes / 2**30:.1f} GiB, which is what is free "
                "there: make room first"
            )
        if name in seen or len(seen) >= _MOST_FILES:
            raise _not_ours("a name is in it twice, or there are too many")
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        seen[name] = File(size, digest.hexdigest())
    return _checked(manifest, seen)


def _checked(manifest: bytes, seen: dict[str, File]) -> Contents:
    """An archive's contents, if its manifest and its files agree. Raises BackupError."""
    if not manifest:
        raise BackupError("the archive is cut short, or no backup of Quorum's: take another")
    try:
        about = json.loads(manifest)
        number, kind = about["format"], about["kind"]
        if isinstance(number, int) and number > FORMAT:
            raise BackupError(
                f"it was written by a newer Quorum ({str(about.get('product'))[:20]!r}): restore "
                "it with that one"
            )
        listed = {name: File(int(size), str(sha)) for name, (size, sha) in about["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _not_ours("its manifest cannot be read") from None
    if number != FORMAT or kind not in _ALLOWED:
        raise _not_ours("its manifest is of another kind")
    for name in seen:
        if not allowed(kind, name):
            raise _not_ours("it holds a file that no backup of this kind has")
    if listed != seen:
        wrong = sorted(n for n in {*listed, *seen} if listed.get(n) != seen.get(n))
        raise BackupError(f"the archive is damaged at {wrong[0][:200]!r}: take another")
    return Contents(kind, about, seen, hashlib.sha256(manifest).hexdigest())


def contents(path: Path, verified: Contents) -> Iterator[tuple[str, bytes]]:
    """The files of a verified archive, one in memory at a time.

    Each is checked again: the archive could have been replaced. Raises BackupError, OSError.
    """
    left = dict(verified.files)
    for name, size, chunks in _members(path):
        if name == MANIFEST:
            for _ in chunks:
                pass
            continue
        file = left.pop(name, None)
        if file is None or file.bytes != size:
            raise BackupError("the archive was changed meanwhile: try again")
        content = b"".join(chunks)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise BackupError("the archive was changed meanwhile: try again")
        yield name, content
    if left:
        raise BackupError("the archive was changed meanwhile: try again")


def _members(path: Path) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Name, size and content of each file of a tar; a content must be read before the next.

    Raises BackupError for whatever is no plain file of an allowed name, OSError.
    """
    with gzip.open(path, "rb") as stream:
        while any(block := _exactly(stream, _BLOCK)):
            name, size = _header(block)
            yield name, size, _content(stream, size)
            if any(_exactly(stream, -size % _BLOCK)):
                raise _not_ours("there is something between its files")
        # Read to the end: only there gzip says whether all of it was right.
        rest = _read(stream, 20 * _BLOCK + 1)
        if len(rest) > 20 * _BLOCK or any(rest):
            raise _not_ours("something follows its end")


def _header(block: bytes) -> tuple[str, int]:
    try:
        header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError):
        raise _not_ours("a file's header cannot be read") from None
    if header.type != tarfile.REGTYPE or header.linkname:
        raise _not_ours("it holds a link, a folder or the like")
    if not (header.name == MANIFEST or any(allowed(kind, header.name) for kind in _ALLOWED)):
        raise _not_ours("it holds a name that no backup has")
    if not 0 <= header.size <= MOST_FILE_BYTES:
        raise _not_ours("a file in it is too large")
    return header.name, header.size


def _content(stream: BinaryStream, size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = _exactly(stream, min(size, _CHUNK))
        size -= len(chunk)
        yield chunk


def _exactly(stream: BinaryStream, count: int) -> bytes:
    content = _read(stream, count)
    if len(content) < count:
        raise _cut_short()
    return content


def _read(stream: BinaryStream, count: int) -> bytes:
    try:
        return stream.read(count)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise _cut_short() from None


def _not_ours(why: str) -> BackupError:
    return BackupError(
        f"the archive is damaged, or no backup that Quorum wrote ({why}): take another"
    )


def _cut_short() -> BackupError:
    return BackupError("the archive is cut short or damaged: take another")
