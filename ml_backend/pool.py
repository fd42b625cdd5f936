"""The pool of open slices: scored, put into the labelling order, and pushed with drafts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .label_studio import LabelStudio, Task
from .learning.committee import Committee
from .learning.strategies import STRATEGIES, queue_order
from .masks import BrushConfig, to_regions
from .settings import Settings
from .survey import Grey, Problem, Survey, read_images

# (step, how many are done, of how many)
Progress = Callable[[str, int, int], None]


class Draft:
    """A label map kept compressed: a pool of 10,000 slices of 512² would take 2.6 GB plain."""

    __slots__ = ("_packed", "_shape")

    def __init__(self, label_map: Grey) -> None:
        self._shape = label_map.shape
        self._packed = zlib.compress(label_map.tobytes(), level=1)

    def label_map(self) -> Grey:
        """The label map, (H, W) uint8."""
        return np.frombuffer(zlib.decompress(self._packed), dtype=np.uint8).reshape(self._shape)


@dataclass(frozen=True)
class ScoredPool:
    """Slices with what the committee says of each; N slices, D-dimensional descriptors."""

    tasks: list[Task]
    uncertainty: npt.NDArray[np.float64]  # (N,)
    descriptors: npt.NDArray[np.float32]  # (N, D)
    drafts: list[Draft]

    def draft_of(self) -> dict[int, Draft]:
        """Drafts by task id."""
        return {task.id: draft for task, draft in zip(self.tasks, self.drafts, strict=True)}


def score_pool(
    label_studio: LabelStudio,
    committee: Committee,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    progress: Progress,
) -> ScoredPool:
    """Score slices one after another; only their compressed drafts are kept in memory."""
    readable: list[Task] = []

    def images() -> Iterator[Grey]:
        for task, image in read_images(label_studio, tasks, config, problems):
            readable.append(task)
            yield image

    uncertainty: list[float] = []
    descriptors: list[npt.NDArray[np.float32]] = []
    drafts: list[Draft] = []
    for scored in committee.score(images()):
        uncertainty.append(scored.uncertainty)
        descriptors.append(scored.descriptor)
        drafts.append(Draft(scored.draft))
        progress("score", len(drafts), len(tasks))
    return ScoredPool(
        readable,
        np.asarray(uncertainty, dtype=np.float64),
        np.stack(descriptors) if descriptors else np.zeros((0, 1), dtype=np.float32),
        drafts,
    )


def select(found: Survey, pool: ScoredPool, settings: Settings) -> list[int]:
    """Ids of the tasks selected for labelling, in order.

    Held-out slices are no candidates, nor are those that have a label or were skipped.
    """
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    candidates = [
        index
        for index, task in enumerate(pool.tasks)
        if not out[task.id] and task.annotations == 0 and task.skipped == 0
    ]
    if not candidates:
        return []
    chosen = STRATEGIES[settings.strategy](
        pool.uncertainty[candidates], pool.descriptors[candidates], settings.K, settings.k
    )
    return [pool.tasks[candidates[index]].id for index in chosen]


def queue(found: Survey, pool: ScoredPool, selected: Sequence[int]) -> list[Task]:
    """Every open task in the order it is to be served.

    Evaluation slices without a label come first (the score depends on them), then the selected
    batch, then the rest of the pool by falling uncertainty, then held-out slices that nobody
    needs to label, then those whose image cannot be read.
    """
    open_tasks = {task.id: task for task in found.open_tasks()}
    flags = zip(found.tasks, found.held_out, found.evaluation, strict=True)
    wanted = {t.id for t, _, asked in flags if asked and t.annotations == 0}
    held_out = {t.id for t, out in zip(found.tasks, found.held_out, strict=True) if out}
    position = {task.id: index for index, task in enumerate(pool.tasks)}
    by_uncertainty = (
        [
            pool.tasks[index].id
            for index in queue_order(
                pool.uncertainty, np.array([position[i] for i in selected], dtype=np.int64)
            )
        ]
        if pool.tasks
        else []
    )
    ordered = [
        *(i for i in open_tasks if i in wanted),
        *selected,
        *(i for i in by_uncertainty if i not in held_out),
        *by_uncertainty,
        *open_tasks,
    ]
    return [open_tasks[i] for i in dict.fromkeys(ordered) if i in open_tasks]


def predictions(
    version: str,
    tasks: Sequence[Task],
    scores: Sequence[float],
    drafts: dict[int, Draft],
    config: BrushConfig,
) -> list[dict[str, Any]]:
    """Predictions for Label Studio, one a task; a task without a draft gets an empty one."""
    pushed = []
    for task, score in zip(tasks, scores, strict=True):
        draft = drafts.get(task.id)
        pushed.append(
            {
                "task": task.id,
                "result": to_regions(draft.label_map(), config) if draft else [],
                "score": score,
                "model_version": version,
            }
        )
    return pushed
