"""The figures "next", and a picture of each slice in it with its draft drawn in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from ..images import ImageError
from ..label_studio import LabelStudioDown, LabelStudioError, Task
from ..label_studio.drafts import StoredPrediction
from ..masks import MaskError, to_label_map
from ..settings import Settings
from ..store import Store
from ..survey import Survey
from .next_batch import NEXT, entries
from .thumbnail import Grey, legend, thumbnail

log = logging.getLogger(__name__)

_PICTURE = "next-"


class Source(Protocol):
    """What is asked of Label Studio."""

    url: str

    def stored_predictions(self, task_id: int) -> Sequence[StoredPrediction]: ...


def refresh_next(
    label_studio: Source,
    store: Store,
    found: Survey,
    settings: Settings,
    read_image: Callable[[Task], Grey],
) -> dict[str, Any]:
    """Keep the figures "next" of the current version, with pictures of the slices that are new.

    To be called after a look, with the survey that it made: it asks Label Studio for one draft and
    one image of each slice that has come up since, at most k of them, and nothing if none has.
    Drafts are the predictions that Label Studio stores, which outlast the round's work area.
    `read_image` gives a task's image, and raises LabelStudioError or ImageError. A slice whose
    picture cannot be made is listed without. Raises StoreError.
    """
    version = store.current()
    if version is None:
        return {}
    listed = entries(
        found,
        store.noted(version, "order"),
        version,
        settings.k,
        url=settings.public_url,
        adjudicate=store.noted(version, "readers").get("adjudicate", []),
    )
    there = {name for name in store.picture_names() if name.startswith(_PICTURE)}
    tasks = {task.id: task for task in found.tasks}
    names = {entry["task"]: f"{_PICTURE}{version}-{entry['task']}" for entry in listed}
    try:
        for task_id, name in names.items():
            if name not in there:
                content = _picture(label_studio, found, tasks[task_id], version, read_image)
                if content is not None:
                    store.keep_picture(name, content)
                    there.add(name)
    except LabelStudioDown as error:
        log.warning("project %d: no pictures are made: %s", found.project_id, error)
    for entry in listed:
        name = names[entry["task"]]
        entry["picture"] = name if name in there else None
    figures = {"version": version, "next": listed, "classes": legend(found.config.labels)}
    kept = store.figures(NEXT)
    if figures != {name: value for name, value in kept.items() if name != "at"}:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        store.keep_figures(NEXT, {**figures, "at": now})
    # Last: the page never names a picture that is gone.
    for name in there - set(names.values()):
        store.remove_picture(name)
    return figures


def _picture(
    label_studio: Source,
    found: Survey,
    task: Task,
    version: str,
    read_image: Callable[[Task], Grey],
) -> bytes | None:
    """A slice with its draft; None if it cannot be read or Label Studio has no prediction of it.

    Raises LabelStudioDown.
    """
    try:
        stored = [p for p in label_studio.stored_predictions(task.id) if p.version == version]
        if not stored:
            return None
        regions = max(stored, key=lambda prediction: prediction.id).regions
        image = read_image(task)
        draft = to_label_map(regions, found.config, *image.shape[:2]) if regions else None
        return thumbnail(image, draft, found.config.labels)
    except LabelStudioDown:
        raise
    except (LabelStudioError, ImageError, MaskError) as error:
        log.warning("task %d has no picture: %s", task.id, error)
        return None
