"""A real S3-compatible server for the tests: OpenStack Swift on free loopback ports."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import requests

from launcher.processes import ServiceError, Supervisor, free_port

ACCESS_KEY, SECRET_KEY = "quorum:worker", "Kanari-4711"
# Debian's package is for Debian's Python.
_PYTHON = Path("/usr/bin/python3")
_PACKAGE = Path("/usr/lib/python3/dist-packages/swift/proxy/server.py")
_PROGRAM = Path(__file__).with_name("swift_server.py")


class Swift:
    """A running server with an empty storage, which it keeps when it is killed and started."""

    def __init__(self, folder: Path) -> None:
        """Raises ServiceError if Swift is not installed or does not start."""
        if not _PACKAGE.exists():
            raise ServiceError("Swift is missing: apt-get install python3-swift")
        self.folder = folder
        self._ports = [free_port() for _ in range(4)]
        self.url = f"http://127.0.0.1:{self._ports[0]}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        self._supervisor = Supervisor()
        self._pid: int | None = None
        self.start()

    def start(self) -> None:
        """Start it where it was, if it does not run. Raises ServiceError."""
        if self._pid is not None:
            return
        ports = [str(port) for port in self._ports]
        argv = [str(_PYTHON), str(_PROGRAM), str(self.folder), *ports, ACCESS_KEY, SECRET_KEY]
        log = self.folder / "swift.log"
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._pid = self._supervisor.start("Swift", argv, environment, log)
        try:
            self._supervisor.wait_until(self._answers, "Swift", 60)
        except ServiceError:
            self.stop()
            raise

    def kill(self) -> None:
        """End it at once, as a power cut would (SIGKILL)."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._supervisor.stop()
        self._pid = None

    def files_of(self, size_bytes: int) -> list[Path]:
        """The files on its disk that hold objects of a size."""
        found = self.folder.glob("devices/sda/objects/**/*.data")
        return [path for path in found if path.stat().st_size == size_bytes]

    def _answers(self) -> bool:
        try:
            return requests.get(self.url, timeout=5).status_code < 500
        except requests.ConnectionError:
            return False
