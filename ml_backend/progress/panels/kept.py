"""The panels of what rounds and looks have kept: the page computes nothing over tasks.

A panel whose figures are not there yet has all its keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...figures.data import CLASSES, data, quarantined
from ...figures.forecast import forecast
from ...figures.quality import BASELINE, QUALITY, quality
from ...figures.standing import STATISTICS
from .now import Panel
from .project import Project

_NOTHING: Mapping[str, Any] = {"mean": None, "low": None, "high": None}
_LABELLED = {"slices": 0, "median_s": None}
_EMPTY: Mapping[str, Panel] = {
    "people": {"pseudonymous": False, "people": [], "adjudicate": [], "unreadable": 0},
    "trial": {
        "share": None,
        "with": _LABELLED,
        "without": _LABELLED,
        "time_ratio": _NOTHING,
        "saved_s": _NOTHING,
        "saved_h": _NOTHING,
        "agreement": {"with": _NOTHING, "without": _NOTHING},
        "area_ratio": _NOTHING,
        "verdict": None,
    },
    "history": {"actions": []},
}


def quality_panel(project: Project) -> Panel:
    """What held-out patients say of every version, against the target and the budget."""
    settings = project.settings
    return quality(
        project.store.figures(QUALITY),
        project.store.current(),
        target=settings.target_mean_iou or None,
        budget=settings.label_budget or None,
        random=project.store.figures(BASELINE).get("points"),
    )


def forecast_panel(project: Project) -> Panel:
    """How many labels, and how long, until the target or the budget is reached."""
    store, settings = project.store, project.settings
    return forecast(
        store.figures("standing"),
        # After going back, the newest is not the one that serves.
        quality_panel(project)["versions"],
        store.figures("pace"),
        target=settings.target_mean_iou or None,
        budget=settings.label_budget or None,
    )


def trial_panel(project: Project) -> Panel:
    """What pre-annotations save, as it is kept."""
    return {**_EMPTY["trial"], **project.store.figures("trial")}


def history_panel(project: Project) -> Panel:
    """What people did, as it is kept."""
    return {**_EMPTY["history"], **project.store.figures("history")}


def data_panel(project: Project) -> Panel:
    """What the slices are, and what the importer set aside."""
    store = project.store
    set_aside = quarantined(project.common.data_dir, project.project_id)
    panel = data(store.figures("standing"), store.figures(CLASSES), set_aside)
    empty: Panel = {key: [] for key in STATISTICS}
    return {**panel, "by": {**empty, **panel["by"]}}


def people_panel(project: Project) -> Panel:
    """Who annotates, and how they agree."""
    store = project.store
    panel = {**_EMPTY["people"], **store.figures("people")}
    if not project.settings.pseudonymous or panel["pseudonymous"]:
        return panel
    # Hidden from the moment somebody asks for it: the next look keeps a panel without names.
    numbers = store.figures("annotators").get("numbers") or {}
    rows = []
    for row in panel["people"]:
        number = numbers.get(str(row.get("annotator")))
        rows.append({**row, "annotator": number, "name": f"Annotator {number or '?'}"})
    return {**panel, "pseudonymous": True, "people": rows}
