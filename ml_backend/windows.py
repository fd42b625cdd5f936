"""What is kept of callers for a while and then forgotten, so that guessing is slow."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

WINDOW_S = 15 * 60
PER_ADDRESS = 10  # wrong credentials from one address in a window
_MOST_NAMES = 10_000


def hashed(text: str) -> str:
    """What stands for an address or a session's number in a key of Redis."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Windows(Generic[T]):
    """Something for each name that is forgotten after a time, in bounded memory.

    Its lock is the caller's to hold, so that what is found can be changed under it.
    """

    def __init__(self, make: Callable[[], T], window_s: float = WINDOW_S) -> None:
        self.lock = threading.Lock()
        self._make, self._window_s = make, window_s
        self._kept: dict[str, tuple[float, T]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: str) -> T | None:
        """What is kept under a name, None if nothing is or its window has ended."""
        ends, value = self._kept.get(name, (0.0, None))
        return value if ends > time.monotonic() else None

    def of(self, name: str) -> T:
        """What is kept under a name; with nothing there, a window begins."""
        found = self.get(name)
        if found is not None:
            return found
        now = time.monotonic()
        if len(self._kept) >= _MOST_NAMES:  # an attacker's addresses must not fill the memory
            self._kept = {n: kept for n, kept in self._kept.items() if kept[0] > now}
            if len(self._kept) >= _MOST_NAMES:
                self._kept.clear()
        made = self._make()
        self._kept[name] = (now + self._window_s, made)
        return made

    def drop(self, name: str) -> None:
        """Forget a name."""
        self._kept.pop(name, None)
