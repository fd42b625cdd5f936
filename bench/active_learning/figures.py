"""Quality of a published committee on the test set, beyond what a round stores itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml_backend.committees import load
from ml_backend.gathering import read_image
from ml_backend.learning.metrics import confusion, foreground_mean, iou
from ml_backend.settings import Settings
from ml_backend.store import Store

from .project import PROJECT_ID, InMemoryProject

# A GPU may round differently from one pass to the next; more than this is another committee.
_TOLERANCE = 0.005


class FiguresError(RuntimeError):
    """The stored figures and those measured here do not agree."""


def measured_quality(settings: Settings, project: InMemoryProject, version: str) -> dict[str, Any]:
    """A version's stored quality, each class's HD95 in pixels with it, and the confusion matrix.

    The committee is loaded from the store as the serving code does. HD95 is the mean over the test
    slices where the reference or the draft holds the class; where only one of them does it is the
    slice's diagonal (see metrics.hd95).
    Raises FiguresError if the IoU of the loaded committee is not the stored one.
    """
    store = Store(settings.store_root, PROJECT_ID)
    quality: dict[str, Any] = store.metadata(version)["quality"]
    data = project.data
    committee = load(store, version, data.class_names, settings.device, settings.network)
    held_out = [task for task in project.tasks(PROJECT_ID) if data.slices[task.id - 1].test]
    scores = committee.score(read_image(project, task, project.config) for task in held_out)
    classes = len(data.class_names) + 1
    counts = np.zeros((classes, classes), dtype=np.int64)
    for task, score in zip(held_out, scores, strict=True):
        reference = data.slices[task.id - 1].label_map
        counts += confusion(reference, score.draft, classes)
    _agree(quality, counts)
    return {**quality, "confusion": counts.tolist()}


def _agree(quality: dict[str, Any], counts: npt.NDArray[np.int64]) -> None:
    measured = foreground_mean(iou(counts))
    if quality["mean_iou"] is None:
        raise FiguresError("the test slices hold no foreground, and none was drafted: bring others")
    if abs(measured - quality["mean_iou"]) > _TOLERANCE:
        raise FiguresError(
            f"the round stored a mean IoU of {quality['mean_iou']:.4f}, but the committee loaded "
            f"from the store reaches {measured:.4f}: its version is not what was evaluated"
        )
