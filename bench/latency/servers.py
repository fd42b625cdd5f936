"""The servers that are asked, and the pictures that they read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from demo.brain import CLASS_NAMES, slices
from launcher import CLONE
from launcher.processes import Supervisor, free_port
from launcher.services import await_http, new_secrets, remove_socket, start_backend, start_redis
from ml_backend.learning.committee import Committee, train_committee
from ml_backend.learning.training import preset
from ml_backend.settings import Settings
from ml_backend.store import Store

PROJECT_ID = 7
VERSION = "r0001-00beef"
_LABELLED = 24


class _Files(SimpleHTTPRequestHandler):
    """One of Label Studio's uploads, without its checks."""

    protocol_version = "HTTP/1.1"  # connections stay open
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it would be timed."""


def serve_files(folder: Path, port: int) -> None:
    """Serve a folder until the process ends."""
    handler = partial(_Files, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.serve_forever()


def write_pictures(folder: Path, side: int) -> list[str]:
    """The demo's slices as PNG files, in squares of `side` pixels; their addresses."""
    below = folder / "data" / "upload" / str(side)
    below.mkdir(parents=True)
    addresses = []
    for number, image in enumerate(slices()[0]):
        picture = Image.fromarray(image)
        scale = side / max(picture.size)
        small = picture.resize([round(scale * n) for n in picture.size], Image.Resampling.BILINEAR)
        # Brains alone would be of few greys on black: an MR series has noise everywhere.
        noisy = np.asarray(small) + np.random.default_rng(number).normal(4, 2, small.size[::-1])
        square = Image.new("L", (side, side))
        square.paste(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
        square.save(below / f"{number:03d}.png")
        addresses.append(f"/data/upload/{side}/{number:03d}.png")
    return addresses


def publish(store: Store, steps: int) -> Committee:
    """Train a committee on some of the demo's slices, a little, and make it the current version."""
    settings = replace(preset("cpu"), steps=steps, epochs=0)
    images, maps = slices()
    every = max(1, len(images) // _LABELLED)
    committee = train_committee(images[::every], maps[::every], CLASS_NAMES, settings, seed=0)
    trained = {name: value for name, value in asdict(settings).items() if name != "device"}
    metadata = {"version": VERSION, "labels": list(CLASS_NAMES), "training": trained}
    store.publish(VERSION, committee.state(), metadata)
    quantiles = np.linspace(0.0, 0.05, 101).tolist()
    store.note(VERSION, "order", {"quantiles": quantiles, "first_free_score": 0.1})
    store.point_to(VERSION)
    return committee


@dataclass(frozen=True)
class Servers:
    """The backend, and what it needs, up."""

    url: str
    environment: dict[str, str]
    committee: Committee
    files: Path

    def client(self) -> httpx.Client:
        """One that calls as Label Studio does."""
        return httpx.Client(
            base_url=self.url, auth=self.credentials(), timeout=120, trust_env=False
        )

    def credentials(self) -> tuple[str, str]:
        """User and password."""
        user, password = "QUORUM_BASIC_AUTH_USER", "QUORUM_BASIC_AUTH_PASSWORD"
        return self.environment[user], self.environment[password]


@contextmanager
def running(folder: Path, steps: int) -> Iterator[Servers]:
    """Start everything below a folder, and stop it whatever happens. Raises ServiceError."""
    supervisor, redis_url, port = Supervisor(), "", free_port()
    try:
        redis_url = start_redis(supervisor, folder)
        environment = {
            **new_secrets(),
            "QUORUM_REDIS_URL": redis_url,
            "QUORUM_DATA_DIR": str(folder),
            "QUORUM_DEVICE": "cpu",
            "QUORUM_RECONCILE_S": "36000",  # it would look for projects on the file server
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{port}",
            "LABEL_STUDIO_API_KEY": 40 * "a",
            "PYTHONPATH": str(CLONE),
        }
        store = Store(Settings.from_environment(environment).store_root, PROJECT_ID)
        committee = publish(store, steps)
        files = folder / "files"
        files.mkdir()
        argv = [sys.executable, "-m", "bench.latency", "--serve", str(files), str(port)]
        supervisor.start("The file server", argv, environment, folder / "logs" / "files.log")
        await_http(supervisor, "The file server", f"http://127.0.0.1:{port}/", 60)
        url = start_backend(supervisor, folder, environment, "127.0.0.1", free_port(), workers=0)
        yield Servers(url, environment, committee, files)
    finally:
        supervisor.stop()
        remove_socket(redis_url)
