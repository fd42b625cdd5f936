"""Back to an older version, on a person's word."""

from __future__ import annotations

from ..store import Store, StoreError
from ..survey import survey
from .context import Context
from .extend import extend, repair


def refuse_unusable(store: Store, version: str) -> None:
    """Find out whether a version can be gone back to, before anything is changed for it.

    Raises StoreError if there is no such version or its weights are damaged.
    """
    if version not in store.versions():
        raise StoreError(f"there is no version {version}: choose one that the page lists")
    store.states(version)


def roll_back(context: Context, version: str) -> None:
    """Draft and order with an older version again, until labels come that no version has seen.

    Label Studio gets back what was cleaned up of its predictions before it follows them.
    Raises StoreError if there is no such version or it is damaged, LabelStudioError.
    """
    store = context.store
    refuse_unusable(store, version)
    found = survey(context.label_studio, context.project_id, context.settings)
    # Without this the next look would find labels the old version has not seen, and undo it.
    seen = {str(task_id): list(value) for task_id, value in found.seen().items()}
    store.note(version, "kept", {"seen": seen})
    repair(context, found, version)
    extend(context, found, version)
    if found.open_tasks():
        context.label_studio.serve_order_of(context.project_id, version)
    store.point_to(version)
