"""Sends requests on schedule over plain sockets, and measures each from when it was due."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

_TIMEOUT_S = 20.0
# The event loop is busy for a moment with every answer: this much before an event is due it looks.
_EARLY_S = 0.0005


@dataclass(frozen=True)
class Outcome:
    """What became of one event, in seconds."""

    due_s: float  # since the storm began
    late_s: float  # how much later the sender began to send it
    took_s: float  # from when it was due until its answer was there
    status: int  # HTTP status; 0 if there was no answer


def schedule(events: int, seconds: float, seed: int) -> list[float]:
    """When events are due: a Poisson process that has as many events in that time."""
    draw = random.Random(seed)
    return sorted(draw.uniform(0, seconds) for _ in range(events))


def post_request(host: str, path: str, headers: Sequence[str], body: bytes, keep: bool) -> bytes:
    """An HTTP/1.1 POST as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Connection: {'keep-alive' if keep else 'close'}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Sender:
    """Sends to one address; with `keep`, over connections that stay open between events."""

    def __init__(self, address: tuple[str, int], keep: bool) -> None:
        self._address, self._keep = address, keep
        self._idle: list[_Connection] = []
        self.opened = 0

    async def storm(self, due_s: Sequence[float], request: Callable[[int], bytes]) -> list[Outcome]:
        """Send event i, `request(i)`, at due_s[i]; every outcome in the order of the events."""
        loop = asyncio.get_running_loop()
        gc.collect()
        gc.disable()  # its pauses would be counted as the backend's
        try:
            begin = loop.time()
            tasks = []
            for index, due in enumerate(due_s):
                rest = begin + due - loop.time() - _EARLY_S
                if rest > 0:
                    await asyncio.sleep(rest)
                tasks.append(loop.create_task(self._send(begin, due, request(index))))
            outcomes = list(await asyncio.gather(*tasks))
        finally:
            gc.enable()
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        return outcomes

    async def _send(self, begin: float, due: float, request: bytes) -> Outcome:
        loop = asyncio.get_running_loop()
        late = loop.time() - begin - due
        status = 0
        with suppress(OSError, asyncio.TimeoutError, ValueError):
            status = await asyncio.wait_for(self._answer(request), _TIMEOUT_S)
        return Outcome(due, max(0.0, late), loop.time() - begin - due, status)

    async def _answer(self, request: bytes) -> int:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                with suppress(ConnectionError):  # closed by the server at this very moment
                    return await self._over(connection, request)
        connection = await self._connect()
        return await self._over(connection, request)

    async def _connect(self) -> _Connection:
        self.opened += 1
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, *self._address)
        return connection

    async def _over(self, connection: _Connection, request: bytes) -> int:
        status, reusable = await connection.ask(request)
        if self._keep and reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return status


class _Connection(asyncio.Protocol):
    """One connection: a request, then its answer, then perhaps the next."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bool]] | None = None

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bool]]:
        """Send a request; its answer's status, and whether the connection stays open."""
        assert self._transport is not None
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = bytes(self._received).partition(b"\r\n\r\n")
        if not found or self._answer is None or self._answer.done():
            return
        lowered = head.lower()
        length = lowered.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(body) >= int(length or 0):
            status = int(head.split(b" ", 2)[1])
            self._answer.set_result((status, b"connection: close" not in lowered))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed before the answer"))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
