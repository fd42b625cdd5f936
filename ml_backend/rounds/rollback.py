"""Back to an older version, on a person's word."""

from __future__ import annotations

from ..masks import BrushConfig
from ..store import Store, StoreError
from ..survey import survey
from .context import Context
from .extend import extend, repair


def refuse_unusable(store: Store, version: str) -> None:
    """Find out whether a version can be gone back to, before anything is changed for it.

    Raises StoreError if there is no such version, its round never came to an order, or its weights
    are damaged.
    """
    if version not in store.versions():
        raise StoreError(f"there is no version {version}: choose one that the page lists")
    if not store.noted(version, "order"):
        raise StoreError(
            f"the round of {version} was stopped before it made an order: start training, which "
            "ends it, or choose another version"
        )
    store.states(version)


def refuse_other_labels(context: Context, version: str) -> None:
    """The same of its labels. Raises StoreError, LabelStudioError, MaskError."""
    project = context.label_studio.project(context.project_id)
    config = BrushConfig.parse(str(project["label_config"]))
    if tuple(context.store.metadata(version)["labels"]) != config.labels:
        # The next look would find that it cannot be served, and begin a round.
        raise StoreError(
            f"version {version} was trained for other labels than the project has now: choose "
            "another version, or give the project its former labels back"
        )


def roll_back(context: Context, version: str) -> None:
    """Draft and order with an older version again, until labels come that no version has seen.

    Label Studio gets back what was cleaned up of its predictions before it follows them.
    Raises as refuse_unusable() and refuse_other_labels() do.
    """
    store = context.store
    refuse_unusable(store, version)
    refuse_other_labels(context, version)
    found = survey(context.label_studio, context.project_id, context.settings)
    # Without this the next look would find labels the old version has not seen, and undo it.
    seen = {str(task_id): list(value) for task_id, value in found.seen().items()}
    store.note(version, "kept", {"seen": seen})
    repair(context, found, version)
    extend(context, found, version)
    if found.open_tasks():
        context.label_studio.serve_order_of(context.project_id, version)
    store.point_to(version)
