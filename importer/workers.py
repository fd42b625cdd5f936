"""Objects to outcomes, in workers that can be killed.

Codecs fed with corrupt frames abort, loop and take memory without end, and Python cannot stop them
from within: each object has a time limit after which its worker is killed and replaced, and each
worker a memory limit. The kernel keeps both.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import cv2
from pebble import ProcessExpired, ProcessPool

from .deadline import at_most
from .objects import Outcome, process
from .recipe import Recipe
from .sources import SourceObject

Batch = list[SourceObject]

# glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_BATCH, _BATCH_BYTES = 8, 2**24
# Batches waiting for each worker: one that is read by OCR must not leave the others without work.
_IN_FLIGHT = 16
_BYTES_IN_FLIGHT = 2**29  # of archive members, which travel to the worker


def outcomes(
    objects: Iterable[SourceObject], recipe: Recipe, workers: int = 1, released: str = ""
) -> Iterator[tuple[SourceObject, Outcome]]:
    """What became of each object, in their order. Raises OutOfSpace, ValueError if workers < 1."""
    if workers < 1:
        raise ValueError("there must be at least 1 worker")
    # Not fork: the pool has threads. The server imports the libraries once for all workers.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["importer.objects"])
    pool = ProcessPool(
        max_workers=workers,
        initializer=_prepare,
        initargs=(recipe.limits.memory_bytes,),
        context=context,
    )

    def scheduled(batch: Batch) -> Future[list[Outcome]]:
        objects = [(s.content, s.path, s.problem, s.size_bytes) for s in batch]
        future: Future[list[Outcome]] = pool.schedule(
            process_batch, args=[objects, recipe, released]
        )
        return future

    def finished(batch: Batch, future: Future[list[Outcome]]) -> list[Outcome]:
        try:
            return future.result()
        except ProcessExpired as end:
            reason = "too-slow" if end.exitcode == -signal.SIGALRM else "decoder-crashed"
        if len(batch) == 1:
            return [Outcome("unreadable", reason)]
        return [outcome for one in batch for outcome in finished([one], scheduled([one]))]

    waiting: deque[tuple[Batch, Future[list[Outcome]]]] = deque()
    in_flight = 0
    try:
        for batch in _batches(objects):
            size = _carried(batch)
            while waiting and (
                len(waiting) >= _IN_FLIGHT * workers or in_flight + size > _BYTES_IN_FLIGHT
            ):
                done, future = waiting.popleft()
                in_flight -= _carried(done)
                yield from zip(done, finished(done, future), strict=True)
            in_flight += size
            waiting.append((batch, scheduled(batch)))
        while waiting:
            done, future = waiting.popleft()
            yield from zip(done, finished(done, future), strict=True)
    finally:
        pool.stop()
        pool.join()


def process_batch(
    objects: Sequence[tuple[bytes | None, str, str | None, int]], recipe: Recipe, released: str
) -> list[Outcome]:
    """In the worker: outcomes of (content, path, problem, size_bytes). Raises OutOfSpace."""
    found = []
    for content, path, problem, size_bytes in objects:
        if problem:
            found.append(Outcome("unreadable", problem))
            continue
        try:
            with at_most(recipe.limits.timeout_s(size_bytes)):
                found.append(process(content, path, recipe, released))
        except MemoryError:
            found.append(Outcome("unreadable", "too-much-memory"))
    return found


def _batches(objects: Iterable[SourceObject]) -> Iterator[Batch]:
    """Small objects together: handing one over takes a fifth of the time that it takes itself."""
    batch: Batch = []
    size = 0
    for source in objects:
        if batch and (len(batch) >= _BATCH or size + source.size_bytes > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(source)
        size += source.size_bytes
    if batch:
        yield batch


def _carried(batch: Batch) -> int:
    return sum(len(source.content or b"") for source in batch)


def _prepare(memory_bytes: int) -> None:
    """In the worker: its limits, and silence."""
    cv2.setNumThreads(1)  # a worker is a core's
    _keep_large_blocks()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends a worker whose time is over
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    logging.disable(logging.CRITICAL)  # libraries' log lines quote values, and codecs' messages
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        used = pages * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold pixels and names


def _keep_large_blocks() -> None:
    """Let malloc reuse images' memory: glibc gives each back to the kernel, which then clears every
    page anew, a sixth of an import's time.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 2**25)
        libc.mallopt(_TRIM_THRESHOLD, 2**27)
