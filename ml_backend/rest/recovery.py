"""What was made, as Label Studio has it: where what is noted is lost, or Label Studio miscounts."""

from __future__ import annotations

from collections.abc import Sequence

from ..auto_annotations import (
    Entry,
    Made,
    changed_alone,
    figures_of,
    is_lost,
    is_unseen,
    marked_version,
)
from ..rounds.context import Context


def what_was_made(context: Context) -> Made:
    """The figures "rest-made"; should they be lost, what of it nobody has touched is found again.

    Raises LabelStudioError, StoreError.
    """
    store, server, project = context.store, context.label_studio, context.project_id
    figures = figures_of(store)
    made = Made.read(figures)
    if not is_lost(figures):
        return made
    changed = {t.id: changed_alone(t) for t in server.tasks(project) if t.annotations}
    for annotation in server.annotations(project, sorted(changed)):
        if is_unseen(figures, annotation) and annotation.task_id not in made.tasks:
            made.annotations[annotation.id] = annotation.updated_at
            made.tasks[annotation.task_id] = Entry(
                annotation.id,
                0.0,  # nobody knows any more: it is reviewed among the first
                changed[annotation.task_id],
                marked_version(annotation) or "",
                annotation.annotator,
            )
    made.keep(store)
    return made


def still_there(context: Context, made: Made, task_ids: Sequence[int]) -> set[int]:
    """Which of these tasks hold the annotation that was made, whatever Label Studio counts.

    It makes annotations first and counts them then: on a locked database the count is never made.
    """
    if not task_ids:
        return set()
    found = context.label_studio.annotations(context.project_id, task_ids)
    return {a.task_id for a in found if a.id == made.tasks[a.task_id].annotation}
