"""Processes that a command starts: watched, and stopped with it, these and no others."""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The backend takes 10 s at most for requests under way, a worker 5 s before it gives its step
# back; a second SIGTERM has the backend end at once.
_PATIENCE_S = (11.0, 2.0)
# Others cannot end in order without them: they are stopped when nobody needs them any more.
_NEEDED = ("Redis", "Label Studio")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_LAST_PORT = 65535
_WINDOW_S = 60.0
_STILLBORN_S = 2.0  # who ends so soon after its first start never worked: no second try helps


class ServiceError(RuntimeError):
    """A service died or cannot be started; the message names it, its log and the remedy."""


@dataclass
class _Service:
    """One process and how it was started."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    log: Path
    restarts: int  # how often it may be started again within _WINDOW_S
    process: subprocess.Popen[bytes]
    started: float  # time.monotonic()
    deaths: list[float] = field(default_factory=list)


class Supervisor:
    """Starts processes, tells when one has died, and stops them in reverse order."""

    def __init__(self) -> None:
        self._services: list[_Service] = []

    def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        restarts: int = 0,
    ) -> int:
        """Start a process in a session of its own, its output in a log of mode 0600; its pid.

        If it dies it is started again, `restarts` times a minute at most. Raises ServiceError if it
        cannot be started.
        """
        process = _spawn(name, argv, environment, log)
        self._services.append(
            _Service(name, list(argv), dict(environment), log, restarts, process, time.monotonic())
        )
        return process.pid

    def check(self, awaited: str = "") -> None:
        """Start again what may be; raises ServiceError if another process has ended.

        One that is awaited never worked yet: no second try helps.
        """
        for service in self._services:
            status = service.process.poll()
            if status is None:
                continue
            now = time.monotonic()
            stillborn = not service.deaths and now - service.started < _STILLBORN_S
            service.deaths = [t for t in service.deaths if t > now - _WINDOW_S] + [now]
            unproven = stillborn or service.name == awaited
            if unproven or len(service.deaths) > service.restarts:
                raise ServiceError(
                    f"{service.name} ended unexpectedly (status {status}): see {service.log}"
                )
            _signal_group(service.process, signal.SIGKILL)  # what it may have left behind
            print(f"{service.name} ended (status {status}); starting it again.", file=sys.stderr)
            service.process = _spawn(service.name, service.argv, service.environment, service.log)

    def stop(self) -> None:
        """Stop all processes started here, politely first, within 30 s.

        All at the same time, but those that others need after them. A signal that comes meanwhile
        hastens it, and cannot leave anything behind.
        """
        with _signals_hasten() as hastened:
            for needed in (False, True):
                hastened.clear()
                wave = [s.process for s in reversed(self._services) if _is_needed(s) == needed]
                _end(wave, hastened)
            self._services.clear()

    def wait_until(self, ready: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait for a service. Raises ServiceError if it does not come, or one has died."""
        limit = time.monotonic() + timeout_s
        while not ready():
            self.check(awaited=what)
            if time.monotonic() > limit:
                logs = [
                    f": see {service.log}" for service in self._services if service.name == what
                ]
                raise ServiceError(f"{what} did not start within {timeout_s:.0f} s{''.join(logs)}")
            time.sleep(0.2)


def _is_needed(service: _Service) -> bool:
    return service.name in _NEEDED


def _end(processes: Sequence[subprocess.Popen[bytes]], hastened: threading.Event) -> None:
    """Ask processes to end, once more, then end them with whatever is left of their groups."""
    for patience_s in _PATIENCE_S:
        limit = time.monotonic() + patience_s
        for process in processes:
            if process.poll() is None:
                _signal_group(process, signal.SIGTERM)
        while any(process.poll() is None for process in processes):
            if hastened.is_set() or time.monotonic() > limit:
                break
            time.sleep(0.05)
    for process in processes:
        _signal_group(process, signal.SIGKILL)
        process.wait()


@contextmanager
def _signals_hasten() -> Iterator[threading.Event]:
    """What would interrupt the command sets this event instead."""
    hastened = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # no signal comes up there
        yield hastened
        return
    before = [signal.signal(number, lambda *_: hastened.set()) for number in _SIGNALS]
    try:
        yield hastened
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler or signal.SIG_DFL)


def _spawn(
    name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as stream:
            return subprocess.Popen(
                list(argv),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
    except OSError as error:
        raise ServiceError(f"{name} cannot be started: {error.strerror}") from None


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    # The group has the leader's pid, since each process was started in its own session.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _die_with(parent: int) -> Callable[[], None] | None:
    """On Linux, have the kernel end a child when its parent is killed without a chance to stop."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return before_exec


def stop_on_signals() -> None:
    """Have SIGTERM and SIGHUP end the command as Ctrl-C does, the first of them.

    SIGINT is set as well: a shell starts a background command with it ignored.
    """

    def interrupt(number: int, frame: Any) -> None:
        # A second one must not come up in the middle of what the first one made necessary.
        for other in _SIGNALS:
            signal.signal(other, lambda *_: None)
        raise KeyboardInterrupt

    for number in _SIGNALS:
        signal.signal(number, interrupt)


def port_number(text: str) -> int:
    """A port on a command line. Raises argparse.ArgumentTypeError."""
    if not text.isdecimal() or len(text) > 5 or not 1 <= int(text) <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number, 1 to {_LAST_PORT}")
    return int(text)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there."""
    return not port_trouble(port, "", host)


def port_trouble(port: int, option: str, host: str = "127.0.0.1") -> str:
    """Why no server can listen there and the remedy, "" if one can; the option chooses the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return _bind_trouble(error, port, option, host)
        except UnicodeError:  # no name can be like that
            return f"{host[:80]!r} is no host: give --host an address of this machine"
    return ""


def _bind_trouble(error: OSError, port: int, option: str, host: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program: stop it, or choose another with {option}"
    if isinstance(error, PermissionError):
        return (
            f"port {port} is not for ordinary users ({error.strerror}): choose one from 1024 on "
            f"with {option}"
        )
    return (
        f"{host} cannot be listened at ({error.strerror}): give --host an address of this machine, "
        "or 0.0.0.0 for all of them"
    )


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
