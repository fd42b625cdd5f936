"""Predictions of older versions that nobody needs any more, removed bit by bit."""

from __future__ import annotations

from ..store import is_version, number_of
from .context import Context


def clean_predictions(context: Context, at_most: int) -> int:
    """Remove some predictions of versions older than those that are to stay; how many.

    Of slices without a label alone: of the others Label Studio would say that they have changed.
    Raises LabelStudioError.
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
    for version in older:
        if unlabelled is None:
            listed = server.tasks(context.project_id)
            unlabelled = {task.id for task in listed if not task.annotations and not task.skipped}
        removed += server.delete_predictions(
            context.project_id, version, at_most=at_most - removed, task_ids=unlabelled
        )
        if removed >= at_most:
            break
    return removed
