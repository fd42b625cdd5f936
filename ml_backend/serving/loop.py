"""The loop over all connections: who is let in, who has to go, and how it ends."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]

from .connections import ASKING, ENDING, READING, SENDING, Channel, log_error

_ACCEPTED_AT_ONCE = 64
_STUCK_S = 5.0  # without progress an unread answer may give way to others
_TEND_S = 0.25


@dataclass(frozen=True)
class Limits:
    """What clients may hold: seconds, connections, and bytes of bodies that are not complete."""

    head_s: float = 10.0  # from the connection, or from the last answer, to a complete head
    body_s: float = 60.0  # 64 MiB at 1.1 MB/s
    answer_s: float = 60.0  # without a byte of an answer being taken
    linger_s: float = 2.0  # for the client's end of a connection after the last answer
    stop_s: float = 10.0  # for requests under way when the server is asked to stop
    connections: int = 500
    bodies_bytes: int = 192 * 2**20  # the containers have 256 MiB of /tmp


class Server(TcpWSGIServer):
    """The loop over all connections."""

    channel_class = Channel

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        limits: Limits,
        predicting: ThreadedTaskDispatcher,
        **more: Any,
    ):
        """`predicting` are the threads that make drafts; `dispatcher`, of `more`, all others."""
        self.limits = limits
        self._predicting = predicting
        self.stopping = False
        self._resumes = 0.0
        self.active_channels: dict[int, Channel] = {}
        name = listener.getsockname()
        info = (listener.family, listener.type, listener.proto, name)
        super().__init__(application, {}, True, listener, sockinfo=info, bind_socket=False, **more)

    def run(self, until: Callable[[], bool]) -> bool:
        """Serve until it is told to stop; whether every request under way was ended in time."""
        tended = ends = 0.0
        while True:
            wasyncore.loop(timeout=_TEND_S, use_poll=True, map=self._map, count=1)
            self._make_room()
            now = time.monotonic()
            if until() and not self.stopping:
                self.stopping, ends = True, now + self.limits.stop_s
                self.handle_accept()  # who has been let in already
                wasyncore.dispatcher.close(self)
                continue
            if now - tended >= _TEND_S or self.stopping:
                tended = now
                self._tend(now)
            if self.stopping and (not self.active_channels or now > ends):
                break
        ended = not self.active_channels
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        return ended

    def add_task(self, task: Channel) -> None:
        path = str(getattr(task.requests[0], "path", "")).rstrip("/")
        threads = self._predicting if path.endswith("/predict") else self.task_dispatcher
        threads.add_task(task)

    def readable(self) -> bool:
        full = len(self.active_channels) > self.limits.connections
        return self.accepting and not full and time.monotonic() >= self._resumes

    def fix_addr(self, addr: Any) -> Any:
        # A socket of both families names IPv4 clients ::ffff:192.0.2.1, and proxies are not known.
        return (addr[0].removeprefix("::ffff:"), *addr[1:])

    def handle_accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                conn, addr = self.socket.accept()
                self.set_socket_options(conn)
            except BlockingIOError:
                return
            except OSError:  # gone already, or there are no more files
                self._resumes = time.monotonic() + 0.1
                return
            self.channel_class(self, conn, self.fix_addr(addr), self.adj, map=self._map)

    def handle_error(self) -> None:
        log_error()

    def _tend(self, now: float) -> None:
        limits = self.limits
        allowed = {
            ASKING: limits.head_s,
            SENDING: limits.body_s,
            READING: limits.answer_s,
            ENDING: limits.linger_s,
        }
        for channel in list(self.active_channels.values()):
            channel.note(now)
            phase = channel.phase()
            late = phase is not None and now - channel.since > allowed[phase]
            # Whoever goes on sending what nobody reads has an end, too.
            late |= phase == ENDING and now - channel.lingers_from > 15 * limits.linger_s
            if late or (self.stopping and not channel.is_under_way()):
                channel.handle_close()
        sending = [c for c in self.active_channels.values() if c.phase() == SENDING]
        held = Counter({id(c): c.body_bytes() for c in sending})
        while sending and held.total() > limits.bodies_bytes:
            channel = max(sending, key=lambda c: held[id(c)])
            sending.remove(channel)
            del held[id(channel)]
            channel.handle_close()

    def _make_room(self) -> None:
        """Close who has waited longest, of the address with the most connections."""
        count = len(self.active_channels) - self.limits.connections
        if count <= 0:
            return
        now = time.monotonic()
        waiting: dict[str, list[tuple[int, float, int]]] = {}
        by_address = Counter(c.addr[0] for c in self.active_channels.values())
        for fd, channel in self.active_channels.items():
            channel.note(now)
            phase = channel.phase()
            if phase is not None and (phase != READING or now - channel.since > _STUCK_S):
                waiting.setdefault(channel.addr[0], []).append((phase, channel.since, fd))
        for each in waiting.values():
            each.sort(reverse=True)
        for _ in range(count):
            if not any(waiting.values()):
                return
            address = max((a for a in waiting if waiting[a]), key=by_address.__getitem__)
            by_address[address] -= 1
            self.active_channels[waiting[address].pop()[2]].handle_close()
