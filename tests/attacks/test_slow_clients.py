"""Clients that are slow to ask, against the backend as it is started."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress

import pytest

from launcher.processes import free_port

THREADS = 8


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """The address of a backend that needs no Redis for what is asked of it here."""
    folder = tmp_path_factory.mktemp("backend")
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("QUORUM_")},
        "QUORUM_DATA_DIR": str(folder),
        "QUORUM_REDIS_URL": f"unix://{folder}/none.sock",
        "QUORUM_BASIC_AUTH_USER": "quorum",
        "QUORUM_BASIC_AUTH_PASSWORD": "x" * 20,
        "QUORUM_WEBHOOK_SECRET": "y" * 20,
    }
    command = [sys.executable, "-m", "gunicorn", "ml_backend.app:create_app()"]
    command += ["--config", "python:ml_backend.serving", "--bind", f"127.0.0.1:{port}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        limit = time.monotonic() + 90
        while answer(port) != b"200":
            assert time.monotonic() < limit and process.poll() is None
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def answer(port, timeout_s=8):
    """The status of /health, None if there is none in time."""
    with suppress(OSError):
        url = f"http://127.0.0.1:{port}/health"
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:
            return str(reply.status).encode()
    return None


@contextmanager
def connections(port, count, sent):
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    try:
        for each in opened:
            each.sendall(sent)
        time.sleep(0.3)  # until the backend has seen them
        yield opened
    finally:
        for each in opened:
            each.close()


@pytest.mark.parametrize(
    "sent", [b"", b"POST /predict HTTP/1.1\r\nHost: x\r\nX-A: "], ids=["silent", "half a head"]
)
def test_who_does_not_finish_asking_keeps_nobody_else_waiting(backend, sent):
    with connections(backend, 5 * THREADS, sent):
        # A thread each would be held for the whole of the time that an answer is waited for.
        assert [answer(backend) for _ in range(3)] == [b"200"] * 3


def test_a_head_that_comes_in_pieces_is_answered(backend):
    with socket.create_connection(("127.0.0.1", backend), timeout=8) as slow:
        for piece in (
            b"GET /hea",
            b"lth HTTP/1.1\r\nHo",
            b"st: x\r\n",
            b"Connection: close\r\n\r\n",
        ):
            slow.sendall(piece)
            time.sleep(0.2)
        assert b"200 OK" in slow.recv(4096)


def test_a_second_question_on_a_kept_connection_is_answered(backend):
    with socket.create_connection(("127.0.0.1", backend), timeout=8) as kept:
        for _ in range(2):
            kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            reply = b""
            while b"UP" not in reply:
                piece = kept.recv(4096)
                assert piece
                reply += piece
