"""How this process's malloc treats large blocks."""

from __future__ import annotations

import contextlib
import ctypes

# glibc's mallopt(3). The threshold is the highest that it takes; a larger one is ignored.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MMAP_BYTES, _TRIM_BYTES = 2**25, 2**30


def keep_large_blocks() -> None:
    """Let malloc reuse the memory of activations, which are large and come again at each step.

    glibc gives each back to the kernel, which clears every page anew: a tenth of a training's time
    on a CPU, and more where the machine is virtual. One arena for all threads, for those of other
    threads give their memory back whatever was asked. Without glibc nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)
        libc.mallopt(_ARENA_MAX, 1)
