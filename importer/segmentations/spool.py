"""The folder where originals out of archives lie while a return runs; it does not outlive it."""

from __future__ import annotations

import fcntl
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

_PREFIX, _LOCK = ".return-", ".lock"
# What a service manager, a container and a closed terminal send: without a handler nothing is
# cleaned up.
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def spool_in(out: Path) -> Iterator[Path]:
    """An empty folder below `out` that only its owner can read, removed in the end.

    Also when the process is told to end; those of returns that were killed go too. Raises OSError.
    """
    _remove_left(out)
    with _ends_in_order(), tempfile.TemporaryDirectory(prefix=_PREFIX, dir=out) as name:
        spool = Path(name)
        with (spool / _LOCK).open("w") as lock:
            with suppress(OSError):  # a disk without locks: then nothing is taken for left behind
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield spool


def _remove_left(out: Path) -> None:
    """Remove the folders whose process is gone. Raises OSError."""
    for spool in out.glob(f"{_PREFIX}*"):
        if spool.is_dir() and not spool.is_symlink() and not _in_use(spool):
            with suppress(FileNotFoundError):  # another return is removing it
                shutil.rmtree(spool)


def _in_use(spool: Path) -> bool:
    """Whether a running return has it; so is what cannot be locked, as another person's."""
    try:
        with (spool / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """A signal to end leaves by SystemExit, so that what is open is closed and removed.

    One that is ignored (nohup) or handled already stays so.
    """
    ours: list[signal.Signals] = []

    def leave(number: int, _: FrameType | None) -> NoReturn:
        for each in ours:  # a second one must not cut the removal short
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():  # Python has handlers there only
        ours += [number for number in _ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
