"""How long a worker may still take over an object: the kernel ends it then, even inside a codec.

A frame that comes out of its codec earns time for itself and the next one: a long cine run takes
what it takes, a codec that hangs does not.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_S = 1e8  # three years: more is not a time that every kernel takes

# Of the object in hand; 0 where nobody waits. The timer itself is the process's, and so is this.
_given_s = 0.0


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End this process by SIGALRM if what is done here takes longer, but for what is earned."""
    global _given_s
    _given_s = min(seconds, _LONGEST_S)
    signal.setitimer(signal.ITIMER_REAL, _given_s)
    try:
        yield
    finally:
        _given_s = 0.0
        signal.setitimer(signal.ITIMER_REAL, 0)


def earn(seconds: float) -> None:
    """Add time for something done; never more is left than was given at first and this."""
    if _given_s:
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        signal.setitimer(signal.ITIMER_REAL, min(left, _given_s) + min(seconds, _LONGEST_S))
