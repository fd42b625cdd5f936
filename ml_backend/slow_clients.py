"""Gunicorn's threads for those who have asked: a client that is slow to ask takes none.

A thread that reads a request's head waits for as long as the client likes, and eight clients that
send half a head would keep the backend from everybody else. Here a connection gets a thread once
its head has come, and who has not sent it in time is left.
"""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

HEAD_S = 10.0
BODY_S = 60.0  # 64 MiB at 1.1 MB/s
_LARGEST_HEAD = 32 * 2**10
_EVERY_S = 0.05


class PatientWorker(ThreadWorker):
    """``gunicorn --worker-class ml_backend.slow_clients.PatientWorker``."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._asking: dict[TConn, float] = {}  # until when the head has to be here
        self._served: dict[TConn, float] = {}  # until when the body has to be here

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection a thread, or let it wait until its head is complete."""
        if self.cfg.is_ssl or _head_is_here(conn):
            self._serve(conn)
        else:
            self._asking[conn] = time.monotonic() + HEAD_S

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """The main loop's one wait: heads and bodies are looked after besides."""
        super().wait_for_and_dispatch_events(_EVERY_S if self._asking else timeout)
        now = time.monotonic()
        for conn, ends in list(self._asking.items()):
            here = _head_is_here(conn)
            if here or ends < now or not self.alive:
                del self._asking[conn]
                if here:
                    self._serve(conn)
                else:
                    self.nr_conns -= 1
                    conn.close()
        for conn, ends in list(self._served.items()):
            if ends < now:
                # Nothing more is read of it; an answer that is being made is still sent.
                self._served[conn] = float("inf")
                try:
                    conn.sock.shutdown(socket.SHUT_RD)
                except OSError:
                    continue

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """A thread is done with a connection."""
        self._served.pop(conn, None)
        super().finish_request(conn, fs)

    def _serve(self, conn: TConn) -> None:
        self._served[conn] = time.monotonic() + BODY_S
        super().enqueue_req(conn)


def _head_is_here(conn: TConn) -> bool:
    """Whether a thread would not have to wait for a request's head, or its end."""
    before = conn.parser.unreader.buf.getvalue() if conn.parser else b""
    try:
        sent = conn.sock.recv(_LARGEST_HEAD, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b"\r\n\r\n" in before
    except OSError:
        return True  # it is gone: reading says so at once
    return not sent or b"\r\n\r\n" in before + sent
