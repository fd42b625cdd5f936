"""How "annotate the rest" stands, as the page shows it: kept under the figures "rest"."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..store import Store

REST = "rest"
# What may be gone on with; anything else begins anew.
_OPEN = ("running", "failed", "cancelled")


@dataclass
class Report:
    """One run, however often it was interrupted."""

    store: Store
    made_as: str
    state: str = "running"
    version: str = ""
    done: int = 0
    total: int = 0
    error: str | None = None
    began_at: str = ""
    touched: int = 0  # annotations that undo left, because a person had changed them
    undoes: bool = False  # what is counted is what was taken back
    problems: list[dict[str, Any]] = field(default_factory=list)  # slices without a mask, and why

    @classmethod
    def begin(cls, store: Store, made_as: str, version: str) -> Report:
        """Go on with a run of the same kind that has not ended, or begin one. Raises StoreError."""
        kept = store.figures(REST)
        goes_on = kept.get("state") in _OPEN and kept.get("as") == made_as
        if goes_on and not kept.get("undoes"):
            report = cls.read(store)
        else:
            now = datetime.now(timezone.utc).isoformat()
            report = cls(store, made_as, version=version, began_at=now)
        report.state, report.error = "running", None
        report.keep()
        return report

    @classmethod
    def read(cls, store: Store) -> Report:
        """As it was kept last. Raises StoreError."""
        kept = store.figures(REST)
        known = set(cls.__dataclass_fields__) - {"store", "made_as"}
        values = {name: value for name, value in kept.items() if name in known}
        return cls(store, str(kept.get("as", "predictions")), **values)

    def keep(self) -> dict[str, Any]:
        """Write it down; what was written. Raises StoreError."""
        names = [name for name in self.__dataclass_fields__ if name not in ("store", "made_as")]
        value = {"as": self.made_as, **{name: getattr(self, name) for name in names}}
        self.store.keep_figures(REST, value)
        return value

    def end(self, state: str, error: str | None = None) -> dict[str, Any]:
        """Note how it ended; what was written. Raises StoreError."""
        self.state, self.error = state, error
        return self.keep()
