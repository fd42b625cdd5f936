"""Rows of a benchmark: one JSON object a line, appended as each round finishes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class RowsError(RuntimeError):
    """A results folder that cannot be used; the message says why."""


class Rows:
    """``rows.jsonl`` of a results folder; several processes may append at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "rows.jsonl"

    def read(self) -> list[Row]:
        """All rows in the order they were written; a last line cut short by a crash is not one.

        Raises RowsError for a damaged line elsewhere.
        """
        if not self.path.exists():
            return []
        *lines, _torn = self.path.read_text().split("\n")
        try:
            return [json.loads(line) for line in lines if line]
        except ValueError:
            raise RowsError(f"{self.path} holds a damaged line: remove it") from None

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row: whole or, if the process is killed meanwhile, not at all."""
        with self.path.open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            self._drop_torn(stream.fileno())
            stream.write((json.dumps(dict(row)) + "\n").encode())
            stream.flush()

    def _drop_torn(self, handle: int) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self.path.open("r+b") as stream:
                stream.truncate(whole)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of this folder, for two would measure the same rows twice.

        Raises RowsError if another run is at work.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RowsError(
                    f"another run is writing to {self._folder}: wait for it, "
                    "or choose another --out"
                ) from None
            yield
