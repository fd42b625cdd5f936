"""The credentials of a backend and its clients, kept in the data folder."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .processes import ServiceError
from .services import new_secrets


def load_secrets(data: Path) -> dict[str, str]:
    """The credentials kept in a data folder; what lacks is made; the environment's come first.

    Commands that make them at the same time all have the same.

    Raises ServiceError if the file cannot be made or is damaged.
    """
    path = data / "secrets.json"
    try:
        kept = _read(path)
        if new_secrets().keys() - kept:
            data.mkdir(parents=True, exist_ok=True)
            with _alone(data / "secrets.lock"):
                # A backup may hold some alone: those that its host had in its environment.
                kept = {**new_secrets(), **_read(path)}
                _write(path, kept)
    except OSError as error:
        raise ServiceError(f"{path} cannot be used: {error.strerror}") from None
    except (ValueError, AttributeError):
        raise ServiceError(f"{path} is damaged: delete it, then connect projects again") from None
    return {name: os.environ.get(name) or value for name, value in kept.items()}


def _read(path: Path) -> dict[str, str]:
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, secrets: Mapping[str, str]) -> None:
    """Write them whole or not at all, for their owner alone."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as stream:
            json.dump(secrets, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
