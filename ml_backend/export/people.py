"""Annotators as numbers that stay: those by which the progress page, too, calls them."""

from __future__ import annotations

from ..store import Store

_NAME = "annotators"


class Numbers:
    """A project's numbers of annotators, by Label Studio's user; new ones are kept at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers: dict[str, int] = {}

    def of(self, user: int) -> int:
        """An annotator's number, from 1. Raises StoreError."""
        if str(user) not in self._numbers:
            kept = self._store.figures(_NAME).get("numbers")
            self._numbers = dict(kept) if isinstance(kept, dict) else {}
        if str(user) not in self._numbers:
            self._numbers[str(user)] = max(self._numbers.values(), default=0) + 1
            self._store.keep_figures(_NAME, {"numbers": self._numbers})
        return self._numbers[str(user)]
