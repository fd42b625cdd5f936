"""Annotations read into the ledger, as much as there is time for; one that cannot be read is left.

Tasks that cannot be read are kept under the figures "unreadable": {task: how often it was tried}.
Such a task counts as read until it changes, and is tried again a few times before it is given up: a
server that is out of order for a moment must not cost a record for good.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from ..auto_annotations import figures_of
from ..label_studio import LabelStudioDown, LabelStudioError
from ..settings import Settings
from ..store import Store, StoreError
from ..survey import Survey
from .ledger import Kept, Ledger
from .reading import RecordReader, Source
from .records import Record

log = logging.getLogger(__name__)

UNREADABLE = "unreadable"
_CHUNK = 20  # tasks read before what was found is kept: a second or so
_ONE_BY_ONE_S = 2.0  # for the tasks of a chunk that cannot be read at once
_TRIES = 3
_NOT_OF_A_TASK = (401, 403, 429, 502, 503, 504)  # no right, or too busy: every task would fail


def refresh_records(
    label_studio: Source,
    store: Store,
    project_id: int,
    found: Survey,
    settings: Settings,
    until: float = float("inf"),
) -> int:
    """Record the annotations that are new, changed or gone; how many tasks remain to be read.

    Tasks are read, with their drafts, until the moment `until` of time.monotonic(), some in any
    case. Killed in between, it goes on where it was. Annotations that Quorum made by itself, and
    nobody has changed, are left out. Raises LabelStudioError if no task is to blame, StoreError.
    """
    ledger = Ledger.read(store)
    seen = ledger.seen()
    now = {
        task.id: task.changed
        for task in found.tasks
        if task.annotations > 0 and task.id not in found.automatic
    }
    for task_id in seen.keys() - now.keys():
        ledger.remove(task_id)
    due = [task_id for task_id, changed in now.items() if seen.get(task_id) != changed]
    kept = store.figures(UNREADABLE).get("tasks") or {}
    unread = {int(task_id): int(tries) for task_id, tries in kept.items()}
    # What has changed since is begun anew.
    failed = {t: n for t, n in unread.items() if t in now and seen.get(t) == now[t]}
    again = [task_id for task_id, tries in failed.items() if tries < _TRIES]
    reader = RecordReader(
        label_studio,
        project_id,
        found.config,
        settings,
        cache(lambda version: _drafted(store, version, settings.drafts_ahead)),
        figures_of(store),
    )
    wanted, done = [*due, *again], 0
    try:
        while done < len(wanted) and (done == 0 or time.monotonic() < until):
            chunk = wanted[done : done + _CHUNK]
            before = {task_id: ledger.of_task(task_id) for task_id in chunk}
            for task_id, records in _read(reader, before, until):
                done += 1
                if records is None:
                    failed[task_id] = failed.get(task_id, 0) + 1
                else:
                    failed.pop(task_id, None)
                kept_now = before[task_id] if records is None else records
                ledger.replace(task_id, now[task_id], kept_now)
            ledger.save(store)
    finally:
        value = {str(task_id): tries for task_id, tries in failed.items()}
        if value != kept:
            store.keep_figures(UNREADABLE, {"tasks": value})
    ledger.save(store)
    _number(store, ledger)
    return max(0, len(due) - done)


def is_to_be_tried(store: Store) -> bool:
    """Whether a task that could not be read is not yet given up. Raises StoreError."""
    kept = store.figures(UNREADABLE).get("tasks") or {}
    return any(int(tries) < _TRIES for tries in kept.values())


def _read(
    reader: RecordReader, before: Mapping[int, Sequence[Record]], until: float
) -> Iterator[tuple[int, Sequence[Record] | None]]:
    """The records of each task; None where it alone cannot be read. Raises as refresh_records.

    Read one by one they take longer: once time is up the rest of them is left out.
    """
    try:
        yield from reader.read(before).items()
        return
    except (LabelStudioError, StoreError) as error:
        if _of_no_task(error):
            raise
    except Exception as error:
        log.info("some annotations cannot be read at once: %s", type(error).__name__)
    until = max(until, time.monotonic() + _ONE_BY_ONE_S)
    for task_id, own in before.items():
        if time.monotonic() >= until:
            return
        try:
            records = reader.read({task_id: own})[task_id]
        except (LabelStudioError, StoreError) as error:
            if _of_no_task(error):
                raise
            log.warning("task %d has no record: %s", task_id, error)
            yield task_id, None
        except Exception as error:  # what people draw with may hold anything
            log.warning("task %d has no record: %s", task_id, type(error).__name__)
            yield task_id, None
        else:
            yield task_id, records


def _of_no_task(error: LabelStudioError | StoreError) -> bool:
    if isinstance(error, StoreError | LabelStudioDown):
        return True
    return error.status is None or error.status < 400 or error.status in _NOT_OF_A_TASK


def _drafted(store: Kept, version: str, ahead: int) -> frozenset[int]:
    """The slices that a version's round gave drafts, but for those held back; none if unknown."""
    try:
        if not store.metadata(version).get("training"):
            return frozenset()
    except StoreError:
        return frozenset()  # long gone: nothing is known of it
    return frozenset(store.noted(version, "order").get("tasks", [])[:ahead])


def _number(store: Kept, ledger: Ledger) -> None:
    """Give each annotator a number of his own that stays, for pages without names."""
    kept = store.figures("annotators").get("numbers")
    numbers = dict(kept) if isinstance(kept, dict) else {}
    new = sorted(ledger.annotators() - {int(who) for who in numbers})
    for who in new:
        numbers[str(who)] = max(numbers.values(), default=0) + 1
    if new:
        store.keep_figures("annotators", {"numbers": numbers})
