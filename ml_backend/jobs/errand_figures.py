"""How an errand stands, kept in the store for the page."""

from __future__ import annotations

import logging
from contextlib import suppress

from ..settings import Settings
from ..store import Store, StoreError

log = logging.getLogger(__name__)

ROLLBACK, REST, EXPORT = "rollback", "rest", "export"  # the slots

# The figures that tell how what is in a slot stands.
FIGURES = {REST: "rest", EXPORT: "export", ROLLBACK: "rollback"}


def note_stopped(settings: Settings, project_id: int, slot: str) -> None:
    """Keep that what a slot was under way with is stopped, where no worker is left to tell it.

    Raises StoreError: what is kept as under way is asked for again by the timer.
    """
    store = Store(settings.store_root, project_id)
    known = store.figures(FIGURES[slot])
    if known.get("state") in ("running", "undoing"):
        store.keep_figures(FIGURES[slot], {**known, "state": "cancelled"})


def note_failure(settings: Settings, project_id: int, slot: str, error: str, **more: str) -> None:
    """Keep for the page why what was in a slot failed; what was known of it stays."""
    log.warning("project %d: %s failed: %s", project_id, slot, error)
    with suppress(StoreError):
        store = Store(settings.store_root, project_id)
        known = store.figures(FIGURES[slot])
        store.keep_figures(FIGURES[slot], {**known, **more, "state": "failed", "error": error})
