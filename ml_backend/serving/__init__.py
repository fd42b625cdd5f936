"""The backend as a server: python -m ml_backend.serving [--host HOST] [--port PORT]."""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]

from ..bodies import MAX_BODY_BYTES
from ..settings import SettingsError
from .loop import Limits, Server

log = logging.getLogger(__name__)

# In one process, so that committees are loaded once. Drafts wait for images, and all else must not
# wait for drafts: Label Studio gives a webhook one second.
THREADS = 8
PREDICTING = 8
LIMITS = Limits()
BIND = "QUORUM_BIND"
_HOST, _PORT = "127.0.0.1", 9090
_BACKLOG = 1024
_LARGEST_HEAD = 16 * 2**10
_FILES = 4  # of a connection: itself, its body, its answer, what the answer is made of


def serve(application: Any, listener: socket.socket, limits: Limits = LIMITS) -> bool:
    """Serve a WSGI application until SIGTERM or SIGINT; whether all was ended that was begun.

    A second signal ends the process at once. To be called in the main thread, with a socket that
    listens.
    """
    asked: list[int] = []
    _allow_files(_FILES * limits.connections + 256)
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    threads, predicting = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
    server = Server(
        application,
        listener,
        limits,
        predicting,
        dispatcher=threads,
        adj=Adjustments(
            sockets=[listener],
            backlog=_BACKLOG,
            ident="quorum",
            server_name="localhost",
            # The application knows itself whom of its proxies it believes (QUORUM_TRUSTED_PROXIES).
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False,
            max_request_header_size=_LARGEST_HEAD,
            max_request_body_size=MAX_BODY_BYTES + 1,  # the first size that is refused
        ),
    )

    def stop(number: int, frame: object) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        with suppress(OSError):
            server.pull_trigger()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        threads.set_thread_count(THREADS)
        predicting.set_thread_count(PREDICTING)
        host = f"[{server.effective_host}]" if ":" in server.effective_host else None
        log.info("Listening at http://%s:%s", host or server.effective_host, server.effective_port)
        ended = server.run(lambda: bool(asked))
        if ended:
            threads.shutdown(timeout=1)
            predicting.shutdown(timeout=1)
        else:
            log.warning("stopped before every request was answered")
        return ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address; at :: it takes IPv4, too. Raises SettingsError."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        listener.bind(address)
    except (OSError, OverflowError, UnicodeError) as error:
        raise _cannot_listen(host, port, error) from None
    return listener


def _listen(listener: socket.socket, host: str, port: int) -> None:
    try:
        listener.listen(_BACKLOG)
    except OSError as error:  # another program was quicker
        raise _cannot_listen(host, port, error) from None


def _cannot_listen(host: str, port: int, error: Exception) -> SettingsError:
    reason = getattr(error, "strerror", None) or "there is no such address"
    return SettingsError(
        f"nothing can listen at {host} port {port} ({reason}): choose another with --host and "
        f"--port, or {BIND}"
    )


def address_of(bind: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; IPv6 hosts stand in brackets. Raises SettingsError."""
    host, _, port = bind.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    whole = host and (bracketed or ":" not in host)
    if not (whole and port.isascii() and port.isdecimal() and int(port) < 2**16):
        raise SettingsError(f"{BIND} must be HOST:PORT, such as 0.0.0.0:9090: it is {bind!r}")
    return host[1:-1] if bracketed else host, int(port)


def main(
    argv: Sequence[str] | None = None,
    make: Callable[[], Any] | None = None,
    limits: Limits = LIMITS,
) -> int:
    """Serve what is made, the backend if nothing else is given; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml_backend.serving", description=__doc__)
    parser.add_argument("--host", help=f"address to listen at ({_HOST}, or {BIND}'s)")
    parser.add_argument("--port", type=int, help=f"port to listen at ({_PORT}, or {BIND}'s)")
    arguments = parser.parse_args(argv)
    try:
        host, port = address_of(os.environ.get(BIND) or f"{_HOST}:{_PORT}")
        host = host if arguments.host is None else arguments.host
        port = port if arguments.port is None else arguments.port
        # Before what takes long is loaded; who connects is refused until all is there.
        listener = bound(host, port)
        application = (make or _backend)()
        _listen(listener, host, port)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    ended = serve(application, listener, limits)
    if not ended:
        # Threads are in the middle of a request, and libraries do not like to end around them.
        logging.shutdown()
        os._exit(0)
    return 0


def _backend() -> Any:
    from ..app import create_app

    return create_app()


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
