"""The records of all annotations: kept in the store in pieces, brought up to date bit by bit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from sys import intern
from typing import Any, Protocol

from .records import Record

SHARD = "records-"
ROWS = 500  # of one shard: what a new label makes be written again
# Raised whenever the same annotation makes another record: what was recorded before is read again
# once, and stands until then. 2: what was imported has no time.
MEANING = 2
_FIELDS = [field.name for field in fields(Record)]
_CREATED, _UPDATED = _FIELDS.index("created_at"), _FIELDS.index("updated_at")
_ALIKE = (_FIELDS.index("arm"), _FIELDS.index("draft_version"))


class Kept(Protocol):
    """What is asked of a project's store."""

    def figures(self, name: str) -> dict[str, Any]: ...
    def keep_figures(self, name: str, value: Mapping[str, Any]) -> None: ...
    def figure_names(self) -> list[str]: ...
    def metadata(self, version: str) -> dict[str, Any]: ...
    def noted(self, version: str, name: str) -> dict[str, Any]: ...


class Ledger:
    """The records by task, each task in one shard; a shard is written only if it differs."""

    def __init__(self) -> None:
        self._shards: list[dict[int, tuple[str, list[Record]]]] = []
        self._where: dict[int, int] = {}
        self._sizes: list[int] = []
        self._dirty: set[int] = set()

    @classmethod
    def read(cls, store: Kept) -> Ledger:
        """The ledger of a store. What is damaged or of another release counts as not there."""
        ledger = cls()
        names = {name for name in store.figure_names() if name.startswith(SHARD)}
        numbers = [int(n) for name in names if (n := name.removeprefix(SHARD)).isdecimal()]
        for number in range(max(numbers, default=-1) + 1):
            ledger._add(store.figures(_name(number)) if _name(number) in names else {})
        return ledger

    def records(self) -> list[Record]:
        """Every record, in the order of the annotations."""
        rows = [r for shard in self._shards for _, own in shard.values() for r in own]
        return sorted(rows, key=lambda record: record.annotation)

    def annotators(self) -> set[int]:
        """Everybody who has a record."""
        return {r.annotator for shard in self._shards for _, own in shard.values() for r in own}

    def of_task(self, task_id: int) -> list[Record]:
        """A task's records."""
        where = self._where.get(task_id)
        return [] if where is None else list(self._shards[where][task_id][1])

    def seen(self) -> dict[int, str]:
        """Task.changed of every task as it was recorded."""
        return {t: changed for shard in self._shards for t, (changed, _) in shard.items()}

    def replace(self, task_id: int, changed: str, records: Sequence[Record]) -> None:
        """Keep these records of a task instead of those there were."""
        where = self._where.get(task_id)
        if where is None:
            full = (n for n, size in enumerate(self._sizes) if size < ROWS)
            where = next(full, len(self._shards))
            if where == len(self._shards):
                self._shards.append({})
                self._sizes.append(0)
        else:
            self._sizes[where] -= _weight(self._shards[where][task_id][1])
        self._shards[where][task_id] = (changed, list(records))
        self._sizes[where] += _weight(records)
        self._where[task_id] = where
        self._dirty.add(where)

    def remove(self, task_id: int) -> None:
        """Forget a task."""
        where = self._where.pop(task_id, None)
        if where is not None:
            _, own = self._shards[where].pop(task_id)
            self._sizes[where] -= _weight(own)
            self._dirty.add(where)

    def save(self, store: Kept) -> list[str]:
        """Write the shards that differ; their names. Raises StoreError."""
        written = []
        for number in sorted(self._dirty):
            shard = self._shards[number]
            value = {
                "fields": _FIELDS,
                "meaning": MEANING,
                "tasks": {str(task_id): changed for task_id, (changed, _) in shard.items()},
                "rows": [astuple(record) for _, own in shard.values() for record in own],
            }
            store.keep_figures(_name(number), value)
            written.append(_name(number))
        self._dirty.clear()
        return written

    def _add(self, value: Mapping[str, Any]) -> None:
        shard: dict[int, tuple[str, list[Record]]] = {}
        number = len(self._shards)
        self._shards.append(shard)
        self._sizes.append(0)
        if value.get("fields") != _FIELDS:
            return
        rows: dict[int, list[Record]] = defaultdict(list)
        try:
            for row in value["rows"]:
                record = Record(*_shared(row))
                rows[record.task].append(record)
            tasks = {int(task_id): str(changed) for task_id, changed in value["tasks"].items()}
            if value.get("meaning") != MEANING:
                tasks = dict.fromkeys(tasks, "")  # as no task is that has an annotation
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            return
        for task_id, changed in tasks.items():
            if task_id in self._where:  # two processes recorded it at once: the first stands
                self._dirty.add(number)
                continue
            shard[task_id] = (changed, rows[task_id])
            self._sizes[number] += _weight(rows[task_id])
            self._where[task_id] = number


def _shared(row: list[Any]) -> list[Any]:
    """A row with what many have in common held once: of 100,000 it is a quarter of the memory."""
    if row[_UPDATED] == row[_CREATED]:
        row[_UPDATED] = row[_CREATED]
    for place in _ALIKE:
        if isinstance(row[place], str):
            row[place] = intern(row[place])
    return row


def _weight(records: Sequence[Record]) -> int:
    return max(1, len(records))  # a task without any takes room, too


def _name(number: int) -> str:
    return f"{SHARD}{number:04d}"
