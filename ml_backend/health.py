"""Whether this host's part of Quorum lives: what containers' health checks ask."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import sys
from collections.abc import Sequence

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker

from .settings import Settings, SettingsError

_TIMEOUT_S = 4.0
# Of jobs.names, whose package would load torch: a check every minute must cost next to nothing.
QUEUES = {"worker": "quorum", "attendant": "quorum-quick"}


def main(argv: Sequence[str] | None = None) -> int:
    """0 if it lives, else 1 and why on standard error."""
    parser = argparse.ArgumentParser(prog="python -m ml_backend.health", description=main.__doc__)
    parser.add_argument("part", choices=["backend", *QUEUES])
    parser.add_argument("--port", type=int, default=9090, help="of the backend")
    arguments = parser.parse_args(argv)
    try:
        if arguments.part == "backend":
            trouble = backend_trouble(arguments.port)
        else:
            trouble = worker_trouble(Settings.from_environment(), QUEUES[arguments.part])
    except SettingsError as error:
        trouble = str(error)
    if trouble:
        print(f"{arguments.part}: {trouble}", file=sys.stderr)
    return 1 if trouble else 0


def backend_trouble(port: int) -> str:
    """Why the backend on a port of the loopback is not healthy; nothing if it is."""
    # Not urllib: a proxy of the environment must not be asked.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return f"nothing answers /health on port {port}"
    finally:
        connection.close()
    up = isinstance(answer, dict) and answer.get("status") == "UP"
    return "" if up else f"what answers /health on port {port} is not the backend"


def worker_trouble(settings: Settings, queue: str, host: str | None = None) -> str:
    """Why RQ knows of no living worker of a queue on this host; nothing if it does.

    A container has a host name of its own. A worker's record is gone from Redis some minutes after
    its last heartbeat; that its process lives is asked of the kernel.
    """
    host = host or socket.gethostname()
    try:
        with Redis.from_url(
            settings.redis_url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S
        ) as redis:
            known = Worker.all(queue=Queue(queue, connection=redis))
    except RedisError as error:
        return f"Redis does not answer ({type(error).__name__}): look at QUORUM_REDIS_URL"
    except (TypeError, ValueError):  # an option of its address that there is not, or that is bad
        return "QUORUM_REDIS_URL is not an address of a Redis: correct it"
    if any(worker.hostname == host and _lives(worker.pid) for worker in known):
        return ""
    return f"RQ knows of no living worker of the queue {queue} on {host}: start it again"


def _lives(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    raise SystemExit(main())
