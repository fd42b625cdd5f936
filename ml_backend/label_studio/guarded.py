"""Connections for images: to checked addresses alone, and each exchange within a total time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any, cast

import httpcore
import httpx

from .hosts import Hosts

# Addresses of a host, as getaddrinfo gives them.
Resolve = Callable[[str, int], Sequence[str]]


def system_addresses(host: str, port: int) -> Sequence[str]:
    """What the machine's own resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


class Deadline:
    """When the exchange of the running thread has to be over; none is set at first."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What is read or sent inside is over after so many seconds in all."""
        self._of_thread.until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._of_thread.until = None

    def passed(self) -> bool:
        """Whether it is over."""
        until = getattr(self._of_thread, "until", None)
        return until is not None and time.monotonic() >= until

    def shorten(self, timeout_s: float | None) -> float | None:
        """A time limit that does not reach beyond it. Raises httpcore.ReadTimeout when over."""
        until = getattr(self._of_thread, "until", None)
        if until is None:
            return timeout_s
        left = until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the total time is over")
        return left if timeout_s is None else min(timeout_s, left)


class GuardedTransport(httpx.BaseTransport):
    """HTTP/1.1 over connections whose address was checked when they were made.

    A name is resolved once for each connection, and the connection goes to the very address that
    was checked, so a name server that answers differently a moment later changes nothing. Host
    header, SNI and certificate are the name's.
    """

    def __init__(
        self, hosts: Hosts, resolve: Resolve, deadline: Deadline, trusted: SSLContext
    ) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted,
            network_backend=_Backend(hosts, resolve, deadline),
            max_connections=8,
            keepalive_expiry=5.0,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange, redirects not followed. Raises httpx.HTTPError, LabelStudioError."""
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=cast(httpx.SyncByteStream, request.stream),
            extensions=request.extensions,
        )
        with _as_httpx(request):
            answer = self._pool.handle_request(asked)
        body = _Body(cast(Iterable[bytes], answer.stream), request)
        return httpx.Response(answer.status, headers=answer.headers, stream=body)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes], request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(self._request):
            yield from self._stream

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except httpcore.ConnectTimeout:
        raise httpx.ConnectTimeout("", request=request) from None
    except httpcore.TimeoutException:
        raise httpx.ReadTimeout("", request=request) from None
    except httpcore.ConnectError:
        raise httpx.ConnectError("", request=request) from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise httpx.ReadError("", request=request) from None


class _Backend(httpcore.NetworkBackend):
    """Opens connections to checked addresses."""

    def __init__(self, hosts: Hosts, resolve: Resolve, deadline: Deadline) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            resolved = self._resolve(host, port)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name leads nowhere") from None
        failure: Exception = httpcore.ConnectError("the name leads nowhere")
        for address in self._hosts.addresses(host, port, resolved):
            try:
                stream = self._plain.connect_tcp(
                    address,
                    port,
                    self._deadline.shorten(timeout),
                    local_address,
                    socket_options,
                )
                return _Timed(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Timed(httpcore.NetworkStream):
    """A connection on which each wait ends with the deadline, however little comes at a time."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.shorten(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.shorten(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(
            ssl_context, server_hostname, self._deadline.shorten(timeout)
        )
        return _Timed(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
