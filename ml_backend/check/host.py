"""This host: the settings' credentials, the file of secrets, the data folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..settings import variable_of
from .deployment import Deployment
from .findings import Check, Outcome, fails, ok, unknown

_SECRETS = ("label_studio_api_key", "basic_auth_user", "basic_auth_password", "webhook_secret")


def credentials(deployment: Deployment) -> Outcome:
    """Token, user, password and secret are all set."""
    missing = _missing(deployment)
    if missing:
        return fails(
            f"not set: {', '.join(missing)}",
            "Set them. LABEL_STUDIO_API_KEY is the token under Account & Settings in Label "
            "Studio; the others ./quorum up makes by itself and keeps in secrets.json.",
        )
    return ok("token, user, password and webhook secret are set")


def _missing(deployment: Deployment) -> list[str]:
    """The variables of credentials that are not set."""
    settings = deployment.settings
    return [variable_of(name) for name in _SECRETS if not getattr(settings, name)]


def secrets_file(deployment: Deployment) -> Outcome:
    """The file of secrets is its owner's alone."""
    path = deployment.settings.data_dir / "secrets.json"
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        if _missing(deployment):
            return unknown(f"{path} is not there, and not all credentials are set")
        return ok(f"{path} is not there: the credentials come from the environment")
    except OSError as error:
        return fails(f"{path} cannot be read ({error.strerror})", "Give its user the right to.")
    if mode & 0o077:
        return fails(
            f"{path} has mode {mode:04o}: others on this machine may read it",
            f"chmod 600 {path}. If others could sign in here: delete it, start ./quorum up "
            "again and connect the projects again, which makes new secrets.",
        )
    if not os.access(path, os.R_OK):
        return fails(f"{path} cannot be read", "Give the user who runs Quorum the right to.")
    return ok(f"{path} has mode {mode:04o}")


def data_folder(deployment: Deployment) -> Outcome:
    """Logs, exports and the embedded Redis can be written."""
    folder = deployment.settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".check-", dir=folder) as probe:
            probe.write(b"probe")
    except OSError as error:
        return fails(
            f"{folder} cannot be written ({error.strerror})",
            "Give the user who runs Quorum the right to write there, or set QUORUM_DATA_DIR.",
        )
    return ok(f"{folder.resolve()} can be written")


def data_space(deployment: Deployment) -> Outcome:
    """The data folder's disk has room."""
    folder = deployment.settings.data_dir
    return free_space(folder, deployment.least_free_bytes, "Old exports and logs in it may go.")


def free_space(folder: Path, least_bytes: int, what_may_go: str) -> Outcome:
    """The disk of a folder that may not be there yet has at least so many bytes free."""
    place = folder.resolve()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return fails(f"the disk of {folder} cannot be asked ({error.strerror})", "Is it mounted?")
    if free < least_bytes:
        return fails(
            f"{size(free)} free on the disk of {folder}, less than {size(least_bytes)}",
            f"Free some space there. {what_may_go}",
        )
    return ok(f"{size(free)} free on the disk of {folder}")


def size(count: float) -> str:
    """Bytes for people, as 3.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


CHECKS = (
    Check("credentials", credentials),
    Check("secrets file", secrets_file),
    Check("data folder", data_folder),
    Check("data folder: space", data_space),
)
