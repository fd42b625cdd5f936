"""Files that wait under other names until the object they are of has been judged as a whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Staged:
    """Files for one folder: kept together, or none of them.

    What is there under a file's own name is never touched before keep(); what a killed process
    leaves behind is removed by the next import (journal.py). None is synced here, which would take
    longer than to make it: the journal syncs many at once.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Path, Path]] = []

    def add(self, file: Path, content: bytes) -> None:
        """Write a file that is not to be seen yet. Raises OSError."""
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        self._parts.append((part, file))
        part.write_bytes(content)

    def keep(self) -> None:
        """Give all files their names, in the place of older ones. Raises OSError."""
        for part, file in self._parts:
            os.replace(part, file)
        self._parts.clear()

    def __enter__(self) -> Staged:
        return self

    def __exit__(self, *failure: object) -> None:
        for part, _ in self._parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
