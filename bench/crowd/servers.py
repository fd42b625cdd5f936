"""Redis, Label Studio, the backend and its workers on free ports of the loopback, for a bench."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.crowd import Annotator, sign_up
from launcher.processes import Supervisor, free_port
from launcher.services import (
    Account,
    await_http,
    new_secrets,
    remove_socket,
    start_backend,
    start_label_studio,
    start_redis,
)
from ml_backend.label_studio import LabelStudio
from ml_backend.settings import Settings

from . import slices

# A committee too small to draw well, but quick: these benches are about the loop.
SMALL = {
    "QUORUM_MEMBERS": "2",
    "QUORUM_WIDTH": "4",
    "QUORUM_SCALES": "3",
    "QUORUM_SIDE_PX": "48",
    "QUORUM_STEPS": "30",
    "QUORUM_TRAIN_BATCH": "4",
    "QUORUM_DEVICE": "cpu",
    "QUORUM_SPLIT_KEY": "bench",  # the same patients are held out in every run
}
_UPLOAD_CHUNK = 50


@dataclass(frozen=True)
class Servers:
    """All services, up."""

    supervisor: Supervisor
    settings: Settings
    label_studio: LabelStudio
    owner: httpx.Client  # for what the product itself never calls
    token: str
    backend_url: str

    def sign_up(self, name: str) -> tuple[Annotator, int]:
        """A new account of the owner's organisation, and its number in Label Studio."""
        url = self.label_studio.url
        annotator, token = sign_up(url, self.token, f"{name}@bench.example")
        headers = {"Authorization": f"Token {token}"}
        who = httpx.get(f"{url}/api/current-user/whoami", headers=headers, trust_env=False)
        return annotator, int(who.raise_for_status().json()["id"])

    def import_slices(
        self, project_id: int, numbers: range, said: Callable[[int], None] = lambda done: None
    ) -> None:
        """Upload generated slices and make their tasks. Raises LabelStudioError."""
        for start in range(numbers.start, numbers.stop, _UPLOAD_CHUNK):
            part = range(start, min(start + _UPLOAD_CHUNK, numbers.stop))
            names = {number: f"s{number:05d}.png" for number in part}
            addresses = self.label_studio.upload_images(
                project_id, {name: slices.png(number) for number, name in names.items()}
            )
            tasks: list[Mapping[str, Any]] = [
                {"data": slices.task_data(number, addresses[name])}
                for number, name in names.items()
            ]
            self.label_studio.import_tasks(project_id, tasks)
            said(part.stop - numbers.start)


@contextmanager
def running(folder: Path, workers: int, environment: Mapping[str, str]) -> Iterator[Servers]:
    """Start everything below a folder, and stop it whatever happens.

    Raises ServiceError, LabelStudioError.
    """
    supervisor, redis_url = Supervisor(), ""
    account = Account("owner@bench.example", secrets.token_urlsafe(9), secrets.token_hex(20))
    try:
        url = start_label_studio(supervisor, folder, free_port(), account)
        redis_url = start_redis(supervisor, folder)
        await_http(supervisor, "Label Studio", f"{url}/health", 300)
        full = {
            **SMALL,
            **new_secrets(),
            **environment,
            "QUORUM_SPLIT_KEY": SMALL["QUORUM_SPLIT_KEY"],
            "QUORUM_REDIS_URL": redis_url,
            "QUORUM_DATA_DIR": str(folder.resolve()),
            "LABEL_STUDIO_URL": url,
            "LABEL_STUDIO_API_KEY": account.token,
        }
        backend_url = start_backend(
            supervisor, folder, full, "127.0.0.1", free_port(), workers=workers
        )
        owner = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Token {account.token}"},
            timeout=60.0,
            trust_env=False,
        )
        with owner, LabelStudio(url, account.token) as label_studio:
            settings = Settings.from_environment(full)
            yield Servers(supervisor, settings, label_studio, owner, account.token, backend_url)
    finally:
        supervisor.stop()
        remove_socket(redis_url)
