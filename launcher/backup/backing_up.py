"""``./quorum backup``: written beside its place, read back and checked, then given its name."""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tqdm import tqdm

from importer.options import key_file
from ml_backend.settings import Settings, SettingsError
from ml_backend.store import StoreError, project_ids
from ml_backend.store.places import objects_at

from .. import CLONE
from ..data_lock import half_restored
from .archive import BACKEND, HOSPITAL, BackupError, Contents, Writer, verify
from .reading import Files, data_files, hospital_files, store_files

_ABOUT = """\
Write what cannot be made again into one archive (.tar.gz, readable by you alone), while
the loop goes on. It is read back and checked before it gets its name. It is not encrypted.

Without options it is the backend's side: each project's versions, the pointer to the
current one, its settings, its held-out division and its figures (annotators' names are
among them), and the secrets, above all the key of the division.

With --hospital it is the importer's side: the key, and the vault that says whom each
pseudonym stands for. The two are never in one archive: who holds images, labels and the
key can name every patient, so the second belongs into the hospital's safe, and the first
does not.

In neither: images, tasks, labels and accounts, which lie in Label Studio (back up its
database and its media as well); the settings in your environment; what a running round
has made so far; thumbnails; Redis, whose content is found again by looking at the
projects.
"""
_WRITING = ".quorum-backup-"
_ABANDONED_S = 60.0  # one that has just been made may not be locked yet


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum backup``; its exit status."""
    parser = argparse.ArgumentParser(
        prog="quorum backup",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a name that is not taken yet")
    parser.add_argument(
        "--hospital", action="store_true", help="the importer's key and vault, and nothing else"
    )
    parser.add_argument("--key", type=Path, help="the hospital's key file, if it lies elsewhere")
    arguments = parser.parse_args(argv)
    warnings: list[str] = []
    try:
        if arguments.hospital:
            kind, files = HOSPITAL, hospital_files(key_file(arguments))
        else:
            kind, files = BACKEND, _backend_files(warnings)
        written = write(arguments.file, kind, files)
    except (BackupError, StoreError, SettingsError) as error:
        print(f"quorum backup: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"quorum backup: {_words(error, arguments.file)}", file=sys.stderr)
        return 1
    for warning in warnings:
        print(f"quorum backup: {warning}", file=sys.stderr)
    print(f"{arguments.file}: {described(written)}, read back and checked.")
    if kind == BACKEND:
        print("Not in it: images and labels (Label Studio's), the hospital's key (--hospital).")
    else:
        print("It names patients to whoever holds it: keep it in the hospital's safe.")
    return 1 if warnings else 0


def write(path: Path, kind: str, files: Files) -> Contents:
    """Write an archive, whole or not at all; what it holds.

    Raises BackupError if the name is taken or a file cannot be put into it, StoreError, OSError.
    """
    if path.exists():
        raise BackupError(f"{path} is there already: choose another name")
    if not path.parent.is_dir():
        raise BackupError(f"there is no folder {path.parent}: make it first")
    with _temporary(path.parent) as stream:
        writer = Writer(stream, kind)
        with tqdm(unit="B", unit_scale=True, desc="backup", disable=None, leave=False) as bar:
            for name, content in files:
                writer.add(name, content)
                bar.update(len(content))
        digest = writer.close({"at": time.time(), "product": product_version()})
        stream.flush()
        os.fsync(stream.fileno())
        temporary = Path(stream.name)
        written = verify(temporary, sum(file.bytes for file in writer.files.values()))
        if written.digest != digest:
            raise BackupError(f"{path.parent} did not keep what was written: check its disk")
        _give_name(temporary, path)
    return written


def described(contents: Contents) -> str:
    """What an archive holds, in words."""
    size = f"{contents.total_bytes() / 2**20:.1f} MiB"
    if contents.kind == HOSPITAL:
        vault = "and vault" if "importer.vault" in contents.files else "(there is no vault)"
        return f"the hospital's key {vault}, {size}"
    found = [
        re.match(r"store/projects/(\d+)/(?:versions/([^/]+)/)?", name) for name in contents.files
    ]
    projects = {match[1] for match in found if match}
    versions = {(match[1], match[2]) for match in found if match and match[2]}
    return f"{len(projects)} projects, {len(versions)} versions, {size}"


def product_version() -> str:
    """As pyproject.toml has it, "unknown" without one."""
    try:
        text = (CLONE / "pyproject.toml").read_text()
    except OSError:
        return "unknown"
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else "unknown"


def _backend_files(warnings: list[str]) -> Files:
    settings = Settings.from_environment()
    if trouble := half_restored(settings.data_dir):
        raise BackupError(trouble)  # a store without its pointers, say, would be taken for whole
    objects = objects_at(settings.store_root)
    projects = project_ids(settings.store_root)
    if not projects:
        raise BackupError(
            f"there is no project in {objects.where}, so nothing was written: set QUORUM_DATA_DIR "
            "or QUORUM_STORE_URL as for the backend, if there should be one"
        )
    yield from data_files(settings.data_dir, os.environ)
    for project_id in projects:
        yield from store_files(objects, project_id, warnings.append)


@contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """A new file of mode 0600 in a folder, gone afterwards; those of killed backups go too."""
    for left in folder.glob(f"{_WRITING}*"):
        with suppress(OSError), _mine(left) as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever writes it holds it
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()
    handle, name = tempfile.mkstemp(prefix=_WRITING, dir=folder)
    try:
        os.close(handle)
        with Path(name).open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield stream
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _mine(path: Path) -> Iterator[IO[bytes]]:
    """A file of this user's; in a folder of everybody's another kind could be waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "not a file of this user's")
        yield stream


def _give_name(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # fails if it exists, which a rename does not
    except FileExistsError:
        raise BackupError(f"{path} is there already: choose another name") from None
    except OSError:  # a file system without hard links
        os.replace(temporary, path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def _words(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{path.parent} is full: make room, or write to another disk; nothing was left there"
    return f"{error.filename or path} cannot be used: {error.strerror}"
