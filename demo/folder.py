"""The demo's folder: what it remembers of itself, and whether it may be emptied."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from importer.journal import write_atomically
from launcher.data_lock import DataLock
from launcher.processes import ServiceError
from launcher.services import new_secrets


def load_state(data: Path) -> dict[str, Any]:
    """Credentials and the project's number, made on first use, mode 0600.

    Raises ServiceError if they are damaged, OSError.
    """
    path = data / "demo.json"
    try:
        state: dict[str, Any] = json.loads(path.read_text())
        return state
    except FileNotFoundError:
        pass
    except ValueError:
        raise ServiceError(f"{path} is damaged: delete {data} to begin anew") from None
    state = {
        "email": "owner@demo.example",
        "password": secrets.token_urlsafe(9),
        "token": secrets.token_hex(20),
        # A fixed split key: every demo holds the same slabs out.
        "secrets": new_secrets() | {"QUORUM_SPLIT_KEY": "demo"},
    }
    save_state(data, state)
    return state


def save_state(data: Path, state: Mapping[str, Any]) -> None:
    """Keep them, whole. Raises OSError."""
    os.umask(0o077)  # what the demo writes from here on is its owner's
    write_atomically(data / "demo.json", json.dumps(state).encode())


def clear(data: Path) -> None:
    """Empty an earlier simulation's folder; never one that holds anything else.

    Raises ServiceError, OSError.
    """
    if (data / "simulation").is_file():
        if (data / "lock").exists():
            DataLock(data).release()  # refuses if one is running
        shutil.rmtree(data)
    elif data.is_dir() and any(data.iterdir()):
        raise ServiceError(
            f"{data} holds something else than a simulation: give --data a new folder"
        )
    data.mkdir(parents=True, exist_ok=True)
    (data / "simulation").touch()
