"""One set of real servers for all faults, and a supervisor that starts again what is killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path

import psutil

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

# A committee too small to draw well, but quick: this is about the loop.
SMALL = {
    "QUORUM_K": "8",
    "QUORUM_BATCH": "4",
    "QUORUM_MEMBERS": "2",
    "QUORUM_WIDTH": "4",
    "QUORUM_SCALES": "3",
    "QUORUM_SIDE_PX": "32",
    "QUORUM_STEPS": "8",
    "QUORUM_TRAIN_BATCH": "4",
    "QUORUM_EVALUATION_SLICES": "1",
    "QUORUM_AHEAD": "false",  # half a batch would start a round at a moment that hangs on the clock
    "QUORUM_DEVICE": "cpu",
    "QUORUM_PUSH_CHUNK": "5",  # several requests a push: a fault can fall between them
    "QUORUM_RECONCILE_S": "2",
    "QUORUM_HEARTBEAT_S": "2",
    "OMP_NUM_THREADS": "1",  # a tiny committee gains nothing from threads that wait for cores
}
_SERVICES = {
    "redis-server": "redis",
    "ml_backend.serving": "backend",
    "label-studio": "label-studio",
}
_TICK_S = 0.1


class _Restarting(Supervisor):
    """As systemd or docker are told to: whatever ends is started again."""

    def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        restarts: int = 0,
    ) -> int:
        return super().start(name, argv, environment, log, restarts=sys.maxsize)


class Servers:
    """Redis, Label Studio, the backend and workers; killed ones come back by themselves."""

    def __init__(self, folder: Path, store: Path, workers: int) -> None:
        """Start all. `store` is the data folder of the backend alone. Raises ServiceError."""
        self.folder = folder
        self.store = store / "store"
        self.database = folder / "label-studio" / "label_studio.sqlite3"
        self._supervisor = _Restarting()
        self._restarting = threading.Lock()
        self._ended = threading.Event()
        self._redis_url = ""
        account = Account("owner@faults.example", secrets.token_urlsafe(9), secrets.token_hex(20))
        self.owner_token = account.token
        (folder / "logs").mkdir(parents=True)
        (store / "logs").symlink_to(folder / "logs")  # a full disk is to be the store's alone
        url = start_label_studio(self._supervisor, folder, free_port(), account)
        self._redis_url = start_redis(self._supervisor, folder)
        await_http(self._supervisor, "Label Studio", f"{url}/health", 180)
        environment = {
            **new_secrets(),
            **SMALL,
            "QUORUM_SPLIT_KEY": "faults",  # the same slices are held out in every run
            "QUORUM_REDIS_URL": self._redis_url,
            "QUORUM_DATA_DIR": str(store.resolve()),
            "LABEL_STUDIO_URL": url,
            "LABEL_STUDIO_API_KEY": account.token,
        }
        self.settings = Settings.from_environment(environment)
        self.label_studio = LabelStudio(url, account.token)
        self.backend_url = start_backend(
            self._supervisor, store, environment, "127.0.0.1", free_port(), workers
        )
        self.annotator = self._account("annotator")
        self.checker = self._account("checker")
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _account(self, name: str) -> Annotator:
        url = self.label_studio.url
        return sign_up(url, self.owner_token, f"{name}@faults.example")[0]

    def _keep(self) -> None:
        with Path(os.devnull).open("w") as silence:
            while not self._ended.wait(_TICK_S):
                with self._restarting, redirect_stderr(silence):
                    self._supervisor.check()

    def stop(self) -> None:
        """Stop all servers."""
        self._ended.set()
        if hasattr(self, "_thread"):
            self._thread.join()
        self._supervisor.stop()
        remove_socket(self._redis_url)

    def kill(
        self, kind: str, outage_s: float, *, inside: bool, choice: float, wipe: bool = False
    ) -> str:
        """kill -9 of a service, or of a process in it; it is started again after the outage.

        Returns what was killed, in words. `wipe` empties Redis' folder meanwhile.
        """
        with self._restarting:
            services = self._services(kind)
            service = services[int(choice * len(services))]
            started = service.children(recursive=True) if inside else []
            if started:
                victim = started[int(choice * len(started))]
                with suppress(psutil.NoSuchProcess):
                    victim.send_signal(signal.SIGKILL)
                return f"a process of 1 of {len(services)} {kind} services"
            os.killpg(service.pid, signal.SIGKILL)
            # Not reaped here: that is the supervisor's, which learns by it that the service ended.
            while service.is_running() and service.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
            if wipe:
                for entry in (self.folder / "redis").iterdir():
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            time.sleep(outage_s)
            return f"1 of {len(services)} {kind} services"

    def renew(self) -> None:
        """Start all but Label Studio anew and empty, so that one fault's ruins fail no other."""
        for kind in ("worker", "backend"):
            for _ in self._services(kind):
                self.kill(kind, 0.0, inside=False, choice=0.0)
        self.kill("redis", 0.0, inside=False, choice=0.0, wipe=True)
        time.sleep(1.0)
        limit = time.monotonic() + 60
        while not self._answers() and time.monotonic() < limit:
            time.sleep(0.2)

    def _answers(self) -> bool:
        import httpx

        try:
            return httpx.get(f"{self.backend_url}/health", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def writers(self) -> list[int]:
        """Pids of the processes that write to the store."""
        found = [*self._services("backend"), *self._services("worker")]
        return [p.pid for s in found for p in (s, *s.children(recursive=True))]

    def _services(self, kind: str) -> list[psutil.Process]:
        """The processes that the supervisor started for a kind, the eldest first."""
        own = psutil.Process().children()
        return sorted((p for p in own if _kind(p) == kind), key=lambda p: p.create_time())


def _kind(process: psutil.Process) -> str:
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:
        return ""
    for word, kind in _SERVICES.items():
        if word in words:
            return kind
    return "worker" if "ml_backend" in words else ""
