"""Predictions of older versions that nobody needs any more, removed bit by bit."""

from __future__ import annotations

from collections.abc import Collection

from ..store import is_version, number_of
from .context import Context

# Label Studio keeps a slice for whoever has it open for a day, and refuses what is submitted from a
# prediction that is gone. Served first come first: nobody has opened what lies behind these of an
# order, unless it was by hand. More versions than rounds are made during a long break.
_FRONT, _SPARED = 100, 10


def clean_predictions(context: Context, at_most: int) -> int:
    """Remove some predictions of versions older than those that are to stay; how many.

    Of slices without a label alone: of the others Label Studio would say that they have changed.
    And not of those that somebody may still have open, see _perhaps_open(). Raises
    LabelStudioError, StoreError.
    """
    server, current = context.label_studio, context.store.current()
    if current is None:
        return 0
    # Those that Label Studio holds: the store may have let go of them long ago. Later ones than the
    # current are being pushed, or were gone back from.
    held = filter(is_version, server.prediction_counts(context.project_id))
    older = sorted((v for v in held if number_of(v) < number_of(current)), key=number_of)
    older = older[: max(0, len(older) - context.settings.keep_predictions)]
    # Newest first: of most others only labelled slices' predictions are left. They stay for good,
    # and to find that nothing can be removed takes several calls a version, each time.
    older.reverse()
    unlabelled: set[int] | None = None
    removed = 0
    for place, version in enumerate(older):
        if unlabelled is None:
            listed = server.tasks(context.project_id)
            unlabelled = {task.id for task in listed if not task.annotations and not task.skipped}
        spared = _perhaps_open(context, version, unlabelled) if place < _SPARED else set()
        removed += server.delete_predictions(
            context.project_id, version, at_most=at_most - removed, task_ids=unlabelled - spared
        )
        if removed >= at_most:
            break
    return removed


def _perhaps_open(context: Context, version: str, unlabelled: Collection[int]) -> set[int]:
    """Slices that somebody may have begun with a version's draft: the first without a label."""
    order = context.store.noted(version, "order").get("tasks", [])
    return set([task_id for task_id in order if task_id in unlabelled][:_FRONT])
