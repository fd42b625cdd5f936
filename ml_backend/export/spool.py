"""Long JSON lists written as they come: a data set's annotations need not fit into memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class Spool:
    """JSON objects in a file, one a line with commas between, to be joined to a document."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("w+b")
        self.count = 0

    def add(self, value: Mapping[str, Any]) -> int:
        """Add an object; its length in bytes."""
        content = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
        self._stream.write((b",\n" if self.count else b"") + content)
        self.count += 1
        return len(content)

    def into(self, target: Any) -> None:
        """Append the list, with its brackets, to a binary file."""
        self._stream.flush()
        self._stream.seek(0)
        target.write(b"[")
        shutil.copyfileobj(self._stream, target)
        target.write(b"]")

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._path.unlink(missing_ok=True)
