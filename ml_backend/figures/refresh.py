"""All figures of a project brought up to date, with the tasks that a look has just read.

A look has annotators waiting for its order: what is done here is bounded, and goes on at the next
one. Where nothing has changed since the last time nothing is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ..gathering import read_image
from ..label_studio import LabelStudio, LabelStudioError
from ..moments import moment
from ..rounds.context import complaints
from ..settings import Settings
from ..store import Store
from ..survey import Survey
from .data import CLASSES, areas_by_slice, class_figures
from .ledger import MEANING, Ledger
from .next_pictures import refresh_next
from .pace import pace
from .people import people
from .quality import refresh_quality
from .recording import UNREADABLE, is_to_be_tried, refresh_records
from .standing import standing
from .trial import trial

log = logging.getLogger(__name__)

STANDING = "standing"
_LEAST_S, _MOST_S = 2.0, 10.0  # for annotations in one look
_ANEW_S = 60.0  # how old the figures may be while there are annotations to read


def refresh(
    label_studio: LabelStudio,
    store: Store,
    found: Survey,
    settings: Settings,
    budget_s: float = _LEAST_S,
) -> int:
    """Bring the figures up to date; how many annotated tasks are still to be read.

    Annotations are read for `budget_s`, within 2 to 10 s: for as long as the look took, so that a
    backlog costs no more looks than it must, each of which lists the whole project. What cannot be
    had now is left as it was, for the next look: figures never fail a look. Raises StoreError.
    """
    current = store.current()
    readers = store.noted(current, "readers") if current else {}
    store.keep_figures(STANDING, standing(found, problems=complaints(store)))
    refresh_quality(store)
    remaining = 0
    state = _state_of(found, settings, current)
    kept = store.figures("people")
    if kept.get("state") != state or is_to_be_tried(store):
        until = time.monotonic() + min(max(budget_s, _LEAST_S), _MOST_S)
        remaining = _attempt(
            found,
            lambda: refresh_records(label_studio, store, found.project_id, found, settings, until),
        )
        # Over 100,000 annotations this takes seconds: not at each step of a backlog.
        if not remaining or _age_s(store.figures("people").get("at")) >= _ANEW_S:
            names = _names(label_studio, found, settings)
            _people(store, found, settings, readers, names, None if remaining else state)
    elif kept.get("nameless"):
        names = _names(label_studio, found, settings)
        if names is not None:
            _people(store, found, settings, readers, names, state)
    _attempt(
        found,
        lambda: refresh_next(
            label_studio,
            store,
            found,
            settings,
            lambda task: read_image(label_studio, task, found.config),
        ),
    )
    return remaining


def _attempt(found: Survey, read: Callable[[], Any]) -> int:
    """What it gives if that is a number; all if Label Studio refuses now."""
    try:
        given = read()
    except LabelStudioError as error:
        log.warning("project %d: figures wait for the next look: %s", found.project_id, error)
        return -1
    return given if isinstance(given, int) else 0


def _people(
    store: Store,
    found: Survey,
    settings: Settings,
    readers: Mapping[str, Any],
    names: Mapping[int, str] | None,
    state: str | None,
) -> None:
    """What follows from the records of annotations; without `names` until they can be had."""
    records = Ledger.read(store).records()
    store.keep_figures(CLASSES, class_figures(found.config.labels, areas_by_slice(records)))
    store.keep_figures("pace", pace(records, overlap=found.overlap))
    store.keep_figures("trial", trial(records, share=settings.hold_drafts_back))
    panel = people(
        records,
        readers,
        address=lambda task: (
            f"{settings.public_url}/projects/{found.project_id}/data?task={int(task)}"
        ),
        names=names,
        numbers=store.figures("annotators").get("numbers"),
        pseudonymous=settings.pseudonymous,
    )
    # Last: with its state nothing of this is made again until something changes.
    unreadable = len(store.figures(UNREADABLE).get("tasks") or {})
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    told = {"unreadable": unreadable, "at": now, "state": state, "nameless": names is None}
    store.keep_figures("people", {**panel, **told})


def _age_s(at: str | None) -> float:
    """Seconds since a moment; very many if it is none, or still to come."""
    when = moment(at)
    age_s = (datetime.now(timezone.utc) - when).total_seconds() if when else -1.0
    return age_s if age_s >= 0 else float("inf")


def _names(label_studio: LabelStudio, found: Survey, settings: Settings) -> dict[int, str] | None:
    """Names by annotator, none where none are wanted; None where they cannot be had now."""
    if settings.pseudonymous:
        return {}
    try:
        return label_studio.people()
    except LabelStudioError as error:
        log.warning("project %d: people stay without names: %s", found.project_id, error)
        return None


def _state_of(found: Survey, settings: Settings, current: str | None) -> str:
    """A hash of all that people's figures follow from."""
    annotated = {
        task.id: task.changed
        for task in found.tasks
        if task.annotations and task.id not in found.automatic
    }
    of = [annotated, current, settings.pseudonymous, settings.hold_drafts_back, found.overlap]
    of.append(MEANING)
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]
