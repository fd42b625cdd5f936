"""What annotators could see at any moment: is the order that Label Studio serves whole?

Label Studio's database is read beside it (SQLite, read-only, one snapshot a look): over its API a
look would be no snapshot, would cost it 20 requests a second, and would end when it is killed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from ml_backend.store import Store, StoreError, number_of

_EVERY_S = 0.05
_MISSING = """
SELECT count(*) FROM task t WHERE t.project_id = ? AND NOT t.is_labeled AND NOT EXISTS
(SELECT 1 FROM prediction p WHERE p.task_id = t.id AND p.model_version = ?)
"""


class Watch:
    """Looks at one project in a thread until it is closed, and keeps what was half."""

    def __init__(self, database: Path, store_dir: Path, project_id: int) -> None:
        self.looks = 0
        self.served = ""  # the version whose order was served at the last look
        self.first_served: dict[str, float] = {}  # version → monotonic time of its first look
        self.steps_back: list[str] = []  # an older order served after a newer one, in words
        self._halves: dict[str, str] = {}
        self.store_is_there = True  # False while a fault keeps it away: nothing can be read then
        self._database, self._store_dir, self._project_id = database, store_dir, project_id
        self._loaded: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def halves(self) -> list[str]:
        """Each half version that was visible, in words."""
        return list(self._halves.values())

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        address = f"file:{self._database}?mode=ro"
        while not self._ended.wait(_EVERY_S):
            try:
                with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as database:
                    self._look_at_order(database)
            except sqlite3.Error:
                continue  # being written, or left in the middle of it by a kill
            self._look_at_store()

    def _look_at_order(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN")
        found = database.execute(
            "SELECT model_version FROM project WHERE id = ?", (self._project_id,)
        ).fetchone()
        served = str(found[0] or "") if found else ""
        missing = 0
        if served:
            missing = database.execute(_MISSING, (self._project_id, served)).fetchone()[0]
        self.looks += 1
        before, self.served = self.served, served
        if not served:
            return
        newest = max(self.first_served, key=number_of, default=served)
        if number_of(served) < number_of(newest) and served != before:
            self.steps_back.append(f"after the order of {newest} that of {served} was served")
        self.first_served.setdefault(served, time.monotonic())
        if missing:
            words = f"{served} was served while {missing} open slices lacked its prediction"
            self._halves.setdefault(f"{served} in Label Studio", words)

    def _look_at_store(self) -> None:
        """Every version that the store lists, or Label Studio serves, must load."""
        if not self.store_is_there:
            return
        store = Store(self._store_dir, self._project_id)
        for version in {*store.versions(), self.served} - self._loaded - {""}:
            try:
                store.metadata(version)
                store.states(version)
                self._loaded.add(version)
            except StoreError:
                if self.store_is_there:  # it may have been taken away during the look
                    where = "served" if version == self.served else "listed"
                    words = f"{version} was {where}, but the store could not load it"
                    self._halves.setdefault(f"{version} in the store", words)
