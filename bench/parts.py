"""Where the seconds go: named functions timed while they run, each without those inside it."""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# What is timed: the part's name, the module or class that holds the function, and its name there.
Named = tuple[str, Any, str]


class Parts:
    """Seconds of each part, summed over all threads."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    @contextmanager
    def timed(self, named: Sequence[Named]) -> Iterator[None]:
        """Time these functions inside the block; of a part inside another one the inner counts."""
        before = [(owner, name, vars(owner).get(name)) for _, owner, name in named]
        try:
            for part, owner, name in named:
                setattr(owner, name, self._around(part, getattr(owner, name)))
            yield
        finally:
            for owner, name, function in reversed(before):
                if function is None:  # of a base class
                    delattr(owner, name)
                else:
                    setattr(owner, name, function)

    @contextmanager
    def block(self, part: str) -> Iterator[None]:
        """Time what is done inside as that part."""
        inside, self._of_thread.inside = getattr(self._of_thread, "inside", 0.0), 0.0
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            with self._lock:
                self.seconds[part] += took - self._of_thread.inside
            self._of_thread.inside = inside + took

    def _around(self, part: str, function: Any) -> Any:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            with self.block(part):
                return function(*arguments, **named)

        return call
