"""Tabs of Label Studio's Data Manager: what comes next, and what a reviewer should see."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..label_studio import LabelStudioError
from .context import Context

log = logging.getLogger(__name__)

NEXT_TAB = "Next batch"
ADJUDICATE_TAB = "Adjudicate"


def show_next(context: Context) -> None:
    """Show the next k slices as they will be served: the first of the current version's order.

    Of a project without an order nothing is shown.
    """
    current = context.store.current()
    if current is None:
        return
    tasks = context.store.noted(current, "order").get("tasks", [])
    show_tab(context, NEXT_TAB, tasks[: context.settings.k], "tasks:predictions_score")


def show_tab(
    context: Context, title: str, task_ids: Sequence[int], ordering: str | None = None
) -> bool:
    """Show slices in a tab, in place of those it showed; whether Label Studio took it.

    A failure is logged: it harms nothing.
    """
    try:
        context.label_studio.show_tab(context.project_id, title, task_ids, ordering)
    except LabelStudioError as error:
        log.warning("project %d: the tab %s was not made: %s", context.project_id, title, error)
        return False
    return True
