"""``./quorum restore``: everything is verified before anything is written."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.exceptions import RedisError
from rq import Worker

from importer.options import key_file
from importer.vault import VaultError, alone, vault_of
from ml_backend.settings import Settings, SettingsError
from ml_backend.store import StoreError
from ml_backend.store.objects import Objects
from ml_backend.store.places import objects_at

from ..data_lock import RESTORING, DataLock
from ..processes import ServiceError
from . import places
from .archive import HOSPITAL, BackupError, Contents, contents, verify
from .backing_up import described
from .places import Target
from .reading import SECRETS

_ABOUT = """\
Bring a backup back. The archive is verified wholly before anything is written, and nothing
is written while the loop runs. Nothing that is there already is overwritten: with --replace
it is kept beside its place, as NAME.before-restore-DATE. A restore that was interrupted is
done again with the same command.

Restore Label Studio first, if need be, and start the loop last: it goes on from the version
that the backup has. What was labelled since is in Label Studio and counts for the next round.
"""
_LINKS = re.compile(r"store/projects/[0-9]+/figures/shares\.json")
_MOST_BYTES = 1 << 42  # into an object store, whose free space nobody can ask for


@dataclass(frozen=True)
class _Where:
    """Where an archive's entries belong."""

    targets: Sequence[Target]
    marker: Path  # of a restore that has begun to move
    remote: Objects | None = None  # the store, if it is behind a URL

    def taken(self) -> list[str]:
        """What is there already. Raises StoreError."""
        found = [str(target.place) for target in self.targets if target.is_taken()]
        if self.remote is not None and places.is_taken(self.remote):
            found.append(self.remote.where)
        return found


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum restore``; its exit status."""
    parser = argparse.ArgumentParser(
        prog="quorum restore",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what ./quorum backup wrote")
    parser.add_argument(
        "--replace", action="store_true", help="what is there goes aside: it is not deleted"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="verify, say what would be done, write nothing"
    )
    parser.add_argument("--key", type=Path, help="where the hospital's key file belongs")
    arguments = parser.parse_args(argv)
    try:
        return _restore(arguments)
    except (BackupError, ServiceError, SettingsError, StoreError) as error:
        print(f"quorum restore: {error}", file=sys.stderr)
    except OSError as error:
        print(
            f"quorum restore: {error.filename or arguments.file} cannot be used: {error.strerror}",
            file=sys.stderr,
        )
    return 1


def _restore(arguments: argparse.Namespace) -> int:
    settings, path = Settings.from_environment(), arguments.file
    data, backend = settings.data_dir, _backend(settings)
    # What an interrupted restore has staged takes its room already.
    begun = backend.marker.exists() or backend.remote is not None
    verified = verify(path, _MOST_BYTES if begun else places.free_bytes(backend.targets))
    where = _hospital(key_file(arguments), verified) if verified.kind == HOSPITAL else backend
    print(f"{path} is whole: {described(verified)}, of {_day(verified)}.")
    if arguments.dry_run:
        if (data / "lock").exists():
            DataLock(data, restoring=True).release()
        _refuse_workers(settings, verified)
        return _say_what_would_be(where, _interrupted(where, verified), arguments.replace)
    lock = DataLock(data, restoring=True)
    try:
        _refuse_workers(settings, verified)
        hospital = verified.kind == HOSPITAL
        with alone(vault_of(key_file(arguments))) if hospital else nullcontext():
            asides = _put(path, verified, where, arguments.replace)
    except VaultError:
        raise BackupError(
            "./quorum import, release or receive is running with this key, and would go on under "
            "the old one: let it end, or stop it (Ctrl-C; started again, it goes on), then restore"
        ) from None
    finally:
        lock.release()
    for aside in asides:
        print(f"What was there is kept: {aside}")
    _say_next(verified)
    return 0


def _put(path: Path, verified: Contents, where: _Where, replace: bool) -> list[str]:
    """Bring all of it into its place; where went what was there."""
    begun = _interrupted(where, verified)
    if begun is None:
        taken = where.taken()
        if taken and not replace:
            raise BackupError(
                f"there already: {', '.join(taken)}. Move that away, or give --replace: it is then "
                "kept beside its place"
            )
        if where.marker.exists():
            # Of another archive: what it has staged goes, and it cannot be gone on with.
            _write(where.marker, {"archive": ""})
        begun = {"archive": verified.digest, "file": str(path), "stamp": _stamp(where), "aside": ""}
        local = (pair for pair in _restored(path, verified) if not _goes_remote(where, pair[0]))
        try:
            places.stage(where.targets, local)
            if where.remote is not None and places.is_taken(where.remote):
                begun["aside"] = places.copy_aside(where.remote, begun["stamp"])
            _write(where.marker, begun)
        except BaseException:
            places.unstage(where.targets)
            raise
    if where.remote is not None:
        remote = (pair for pair in _restored(path, verified) if _goes_remote(where, pair[0]))
        places.replace(where.remote, remote)
    asides = [str(aside) for aside in places.commit(where.targets, begun["stamp"])]
    where.marker.unlink(missing_ok=True)
    return [*([begun["aside"]] if begun["aside"] else []), *asides]


def _restored(path: Path, verified: Contents) -> Iterator[tuple[str, bytes]]:
    """What of an archive comes back: not what read-only links are good by.

    Links that somebody has ended since would be good again, with the key that signed them.
    """
    return (pair for pair in contents(path, verified) if not _LINKS.fullmatch(pair[0]))


def _interrupted(where: _Where, verified: Contents) -> dict[str, Any] | None:
    """What a restore of the same archive noted that did not come to its end, None without one."""
    try:
        begun = json.loads(where.marker.read_text())
    except (OSError, ValueError):
        return None
    same = isinstance(begun, dict) and begun.get("archive") == verified.digest
    return {"aside": "", "stamp": _stamp(where), **begun} if same else None


def _backend(settings: Settings) -> _Where:
    data, staging = settings.data_dir, ".restoring-backend"
    names = ("imports", "page.key", "secrets.json")
    targets = [Target(name, data / name, staging) for name in names]
    if _is_remote(settings):
        return _Where(targets, data / RESTORING, objects_at(settings.store_root))
    root = str(settings.store_root)
    if root.startswith(("file://", "local://")):
        root = unquote(urlsplit(root).path)
    store = Target("store/projects", Path(root) / "projects", staging, is_folder=True)
    return _Where([store, *targets], data / RESTORING)


def _hospital(key: Path, verified: Contents) -> _Where:
    named = {
        "importer.vault": vault_of(key),
        "importer.key.old": key.with_name(f"{key.name}.old"),
        "importer.key": key,
    }
    # A vault that stayed beside another key could not be read with it.
    targets = [
        Target(name, place, ".restoring-hospital", is_absent=name not in verified.files)
        for name, place in named.items()
    ]
    return _Where(targets, key.with_name(f".{key.name}.{RESTORING}"))


def _is_remote(settings: Settings) -> bool:
    url = str(settings.store_root)
    return "://" in url and not url.startswith(("file://", "local://"))


def _goes_remote(where: _Where, name: str) -> bool:
    return where.remote is not None and name.startswith("store/")


def _refuse_workers(settings: Settings, verified: Contents) -> None:
    """Workers of other hosts hold no lock of this folder; Redis knows them. Raises BackupError."""
    if verified.kind == HOSPITAL or not os.environ.get("QUORUM_REDIS_URL"):
        return
    try:
        count = Worker.count(
            connection=Redis.from_url(
                settings.redis_url, socket_connect_timeout=2.0, socket_timeout=5.0
            )
        )
    except (RedisError, TypeError, ValueError) as error:
        if isinstance(error.__context__, ConnectionRefusedError | FileNotFoundError):
            return  # it does not run, and nobody works without it
        raise BackupError(
            f"Redis cannot be asked whether somebody works ({type(error).__name__}): check "
            "QUORUM_REDIS_URL and its password, or stop Redis too"
        ) from None
    if count:
        raise BackupError(
            f"{count} workers are still there: stop them, the attendant and the backend, on "
            "all hosts (one that was killed is forgotten after some minutes)"
        )


def _say_what_would_be(where: _Where, begun: dict[str, Any] | None, replace: bool) -> int:
    taken = where.taken()
    if begun is not None:
        print("A restore of it was interrupted: it would go on.")
    elif taken and not replace:
        print(f"It would be refused without --replace; there already: {', '.join(taken)}.")
        return 1
    elif taken:
        print(f"It would be kept beside its place: {', '.join(taken)}.")
    print("Nothing was written.")
    return 0


def _say_next(verified: Contents) -> None:
    if verified.kind == HOSPITAL:
        if "importer.vault" in verified.files:
            print("The key and the vault are back: import and reveal as before.")
        else:
            print("The key is back. The backup has no vault: nobody can be revealed yet.")
        return
    print("Restored. Start the loop again; ./quorum check looks at the rest.")
    if any(_LINKS.fullmatch(name) for name in verified.files):
        print("Read-only links have ended: make new ones on the page.")
    secrets = verified.files.get("secrets.json")
    if secrets is None:
        print("There are no secrets in it: set them as they were, QUORUM_SPLIT_KEY above all.")
    elif any(os.environ.get(name) for name in SECRETS):
        print("Secrets set in the environment come before those in it: see that they are the same.")


def _write(marker: Path, begun: dict[str, Any]) -> None:
    fresh = marker.with_name(f"{marker.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        json.dump(begun, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(fresh, marker)


def _stamp(where: _Where) -> str:
    """When, in a name that no earlier restore has used."""
    now = time.strftime("%Y%m%d-%H%M%S")
    for stamp in (now, *(f"{now}-{number}" for number in range(2, 100))):
        used = where.remote is not None and places.has_aside(where.remote, stamp)
        if not used and not any(os.path.lexists(t.aside(stamp)) for t in where.targets):
            break
    return stamp


def _day(verified: Contents) -> str:
    at = verified.about.get("at")
    known = isinstance(at, int | float) and 0 < at < 1e11
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if known else "an unknown day"
