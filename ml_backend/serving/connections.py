"""One client's connection: what it waits for, and an end that does not cut off the answer.

Waitress reads whole requests in one loop before a thread gets them, and sends answers from there.
Here a connection's requests are looked at one by one, so that no thread waits for a reader.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from typing import Any

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]

from ..logs import type_and_place
from .requests import Parser, Refusal, Work

log = logging.getLogger(__name__)

# What may be closed when there are too many, in this order.
ENDING, ASKING, SENDING, READING = range(4)
_AT_ONCE = 2**20  # bytes to one reader before others have their turn


class Channel(HTTPChannel):
    """One client's connection."""

    task_class = Work
    error_task_class = Refusal
    parser_class = Parser
    request: Parser | None
    will_close: bool
    close_when_flushed: bool
    sendbuf_len: int

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.since = time.monotonic()  # when what it does now last went on
        self.lingers_from = 0.0
        self._ahead = b""  # sent before it was asked for
        self._asked = self._moved = 0
        self._share = _AT_ONCE
        self._seen: object = (ASKING, 0, 0)
        super().__init__(*arguments, **more)
        self.sendbuf_len = min(self.sendbuf_len, 2**18)

    def phase(self) -> int | None:
        """What it waits for; None while its request is worked on."""
        if self.lingers_from:
            return ENDING
        if self.requests:
            # A thread that hands out more than the reader takes waits for it.
            return READING if self.total_outbufs_len else None
        if self.total_outbufs_len:
            return READING
        return SENDING if self.request is not None and self.request.headers_finished else ASKING

    def note(self, now: float) -> None:
        """Remember since when nothing went on."""
        seen = (self.phase(), self._asked, self._moved)
        if seen != self._seen:
            self._seen, self.since = seen, now

    def body_bytes(self) -> int:
        """How much of a body is here that is not complete."""
        body = self.request.body_rcv if self.request is not None else None
        return len(body) if body is not None else 0

    def is_under_way(self) -> bool:
        """Whether something was begun that has to be ended."""
        begun = self.request is not None and (
            self.request.headers_finished or self.request.header_plus
        )
        return bool(begun or self._ahead or self.phase() != ASKING)

    # -- in the loop ----------------------------------------------------------------------------

    def readable(self) -> bool:
        if self.lingers_from:
            return True
        if self._ahead and not self.requests and not self.total_outbufs_len:
            try:
                self._parse()
            except Exception:
                self.handle_error()
                return False
        return not self._ahead and bool(super().readable())

    def writable(self) -> bool:
        return bool(self.will_close if self.lingers_from else super().writable())

    def handle_read(self) -> None:
        try:
            data = self.recv(2**16 if self.lingers_from else self.adj.recv_bytes)
        except BlockingIOError:
            return
        except OSError:
            self.handle_close()
            return
        if self.lingers_from:
            self._moved += len(data)
        elif data:
            self.received(data)

    def received(self, data: bytes) -> bool:
        """Take what was sent: the next request is looked at after the last one's answer."""
        self._ahead += data
        self._parse()
        return True

    def _parse(self) -> None:
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                self._ahead = b""
            while self._ahead and not self.requests:
                if self.request is None:
                    self.request = self.parser_class(self.adj)
                taken = self.request.received(self._ahead)
                self._ahead = self._ahead[taken:]
                if self.request.completed:
                    self.sent_continue = False
                    if not self.request.empty:
                        self._asked += 1
                        self.requests.append(self.request)
                        self.server.add_task(self)
                    self.request = None
                elif (
                    self.request.headers_finished
                    and self.request.expect_continue
                    and not self.sent_continue
                ):
                    self.send_continue()

    def handle_write(self) -> None:
        if self.total_outbufs_len:
            self._flush_exception(
                self._flush_some_if_lockable if self.requests else self._flush_some
            )
        if self.close_when_flushed and not self.total_outbufs_len:
            # To close with something unread would reset the connection, and the answer with it.
            self.close_when_flushed = False
            self.lingers_from = time.monotonic()
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.will_close = True
        if self.will_close:
            self.handle_close()

    def handle_close(self) -> None:
        if self.request is not None:
            self.request.close()
            self.request = None
        self._ahead = b""
        super().handle_close()

    def handle_error(self) -> None:
        log_error()
        self.handle_close()

    # -- in the loop and in threads -------------------------------------------------------------

    def _flush_some(self, do_close: bool = True) -> bool:
        self._share = _AT_ONCE
        return bool(super()._flush_some(do_close=do_close))

    def send(self, data: bytes, do_close: bool = True) -> int:
        if not data:  # a file that is shorter than it was
            self.will_close = True
        if not data or self._share <= 0:
            return 0
        sent: int = super().send(data, do_close=do_close)
        self._moved += sent
        self._share -= sent
        return sent


def log_error() -> None:
    error = sys.exc_info()[1]
    if error is not None:
        log.error("a connection ended by %s", type_and_place(error))
