"""The Data Manager tab of what the committee annotated and nobody has reviewed."""

from __future__ import annotations

from ..auto_annotations import SEEN, Made
from ..gathering import fingerprint
from ..label_studio.connecting import MOST_IN_TAB
from ..rounds.context import Context
from ..rounds.tabs import show_tab

REVIEW_TAB = "Auto-annotated to review"
_SHOWN = "rest-shown"


def show_review(context: Context) -> None:
    """Show what nobody has touched of what was annotated, the least certain first, 500 at most.

    Nothing is asked of Label Studio while the list is as it was. The Data Manager cannot sort by
    a confidence: annotations are made in that order, and the tab is sorted by their time.
    """
    made, seen = Made.of(context.store), context.store.figures(SEEN)
    people = {int(task_id) for task_id, (_, ours) in seen.items() if not ours}
    waiting = sorted(
        (entry.confidence, task_id)
        for task_id, entry in made.tasks.items()
        if task_id not in people
    )
    ids = [task_id for _, task_id in waiting[:MOST_IN_TAB]]
    digest = fingerprint(ids)
    shown = context.store.figures(_SHOWN).get("digest")
    if shown == digest or (shown is None and not ids):
        return
    if show_tab(context, REVIEW_TAB, ids, "tasks:completed_at"):
        context.store.keep_figures(_SHOWN, {"digest": digest})
