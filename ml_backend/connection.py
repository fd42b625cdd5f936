"""How a project is connected: to which address, and what was there before.

Kept in the store beside the project's versions, for it must outlive Redis: a project that was
disconnected stays so when Redis comes back empty.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from .errors import QuorumError
from .settings import Settings
from .store import is_version, project_ids
from .store.places import objects_at

DEFAULT_SAMPLING = "Sequential sampling"
USUAL_URL = "http://127.0.0.1:9090"  # of the backend, unless ./quorum up is told another port


class DisconnectedError(QuorumError, RuntimeError):
    """A project's order and drafts are not Quorum's any more; the message names the remedy."""


@dataclass(frozen=True)
class Connection:
    """One project's connection to the backend."""

    backend_url: str
    sampling_before: str = DEFAULT_SAMPLING
    model_version_before: str = ""
    connected: bool = True


def connection_of(settings: Settings, project_id: int) -> Connection | None:
    """A project's connection, None if it was never connected or that is not known.

    Raises StoreError.
    """
    content = objects_at(settings.store_root).get(_key(project_id))
    try:
        value = json.loads(content or b"null")
        return Connection(**value) if value else None
    except (ValueError, TypeError):
        return None


def is_disconnected(settings: Settings, project_id: int) -> bool:
    """Whether a project was connected, and then disconnected. Raises StoreError."""
    known = connection_of(settings, project_id)
    return known is not None and not known.connected


def refuse_disconnected(settings: Settings, project_id: int) -> None:
    """Leave a project alone that is not ours any more. Raises DisconnectedError, StoreError."""
    if is_disconnected(settings, project_id):
        raise DisconnectedError(
            f"project {project_id} is disconnected: run ./quorum connect {project_id}, then ask "
            "again"
        )


def connections(settings: Settings) -> dict[int, Connection]:
    """All projects' connections that are known, by project. Raises StoreError."""
    found = {number: connection_of(settings, number) for number in project_ids(settings.store_root)}
    return {number: known for number, known in found.items() if known is not None}


def keep_connection(settings: Settings, project_id: int, connection: Connection) -> None:
    """Replace what is known of a project's connection. Raises StoreError."""
    content = json.dumps(asdict(connection)).encode()
    objects_at(settings.store_root).put(_key(project_id), content)


def keep_connected(
    settings: Settings, project_id: int, project: dict[str, Any], backend_url: str
) -> None:
    """Remember that a project is connected, and its order as it was before the first time.

    `project` is Label Studio's own record of it. Raises StoreError.
    """
    known = connection_of(settings, project_id)
    version = str(project.get("model_version") or "")
    # Ours still: connected, or taken off while Label Studio was away and never set back since.
    if known is not None and (known.connected or is_version(version)):
        before = (known.sampling_before, known.model_version_before)
    elif is_version(version):  # connected by a release that kept no record
        before = (DEFAULT_SAMPLING, "")
    else:
        before = (str(project.get("sampling") or DEFAULT_SAMPLING), version)
    keep_connection(settings, project_id, Connection(backend_url.rstrip("/"), *before))


def keep_disconnected(settings: Settings, project_id: int) -> None:
    """Remember that a project is not ours any more; versions stay. Raises StoreError."""
    known = connection_of(settings, project_id)
    if known is None:
        known = Connection("")
    url, before = known.backend_url, (known.sampling_before, known.model_version_before)
    keep_connection(settings, project_id, Connection(url, *before, connected=False))


def announced_url(settings: Settings) -> str:
    """Where the backend that runs with this data folder listens, "" if none does or it is not told.

    ./quorum up tells its own address there, the demo that of its Label Studio, and its backend's
    beside it.
    """
    try:
        notice = json.loads((settings.data_dir / "running.json").read_text())
        address = str(notice.get("backend") or notice["address"]).rstrip("/")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "" if address == settings.label_studio_url.rstrip("/") else address


def usual_url(settings: Settings) -> str:
    """Where the backend is if nobody says it: where it runs with this data folder, or may run."""
    return announced_url(settings) or USUAL_URL


def _key(project_id: int) -> str:
    return f"projects/{int(project_id)}/connection.json"
