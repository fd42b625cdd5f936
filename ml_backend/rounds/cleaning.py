"""Predictions of older versions that nobody needs any more, removed bit by bit."""

from __future__ import annotations

from .context import Context


def clean_predictions(context: Context, at_most: int) -> int:
    """Remove some predictions of versions older than those that are to stay; how many.

    Of slices without a label alone: of the others Label Studio would say that they have changed.
    Raises LabelStudioError.
    """
    store, server = context.store, context.label_studio
    current = store.current()
    held = server.prediction_counts(context.project_id)
    older = [v for v in store.versions() if v in held and v != current]
    older = older[: max(0, len(older) - context.settings.keep_predictions)]
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
