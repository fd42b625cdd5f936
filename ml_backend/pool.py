"""The pool of open slices: scored, put into the labelling order, and pushed with drafts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .label_studio import LabelStudio, Task
from .learning.committee import Committee, Score
from .learning.strategies import STRATEGIES, Candidates, queue_order
from .masks import BrushConfig, to_regions
from .settings import Settings
from .survey import Grey, Problem, Survey, read_images

_BY_SLICE = ("uncertainty", "entropy", "bald", "mc_dropout", "descriptors", "shares")
_NO_DRAFT = np.zeros((0, 0), dtype=np.uint8)

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
    """N slices with what the committee says of each."""

    tasks: list[Task]
    candidates: Candidates
    drafts: list[Draft]

    @property
    def uncertainty(self) -> npt.NDArray[np.floating[Any]]:
        """(N,) what the queue behind the selected batch is ordered by."""
        return self.candidates.uncertainty

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
    seed: int = 0,
) -> ScoredPool:
    """Score slices one after another; only their compressed drafts are kept in memory."""
    readable: list[Task] = []

    def images() -> Iterator[Grey]:
        for task, image in read_images(label_studio, tasks, config, problems):
            readable.append(task)
            yield image

    scores: list[Score] = []
    drafts: list[Draft] = []
    for scored in committee.score(images()):
        drafts.append(Draft(scored.draft))
        scores.append(replace(scored, draft=_NO_DRAFT))
        progress("score", len(drafts), len(tasks))
    return ScoredPool(readable, candidates_of(scores, seed), drafts)


def candidates_of(scores: Sequence[Score], seed: int) -> Candidates:
    """What strategies may look at, from the committee's scores of N slices."""

    def column(name: str) -> npt.NDArray[np.float64]:
        return np.array([getattr(score, name) for score in scores], dtype=np.float64)

    def rows(name: str) -> npt.NDArray[np.float32]:
        stacked = [getattr(score, name) for score in scores]
        return np.stack(stacked).astype(np.float32) if stacked else np.zeros((0, 1), np.float32)

    descriptors = rows("descriptor")
    return Candidates(
        uncertainty=column("uncertainty"),
        entropy=column("entropy"),
        bald=column("bald"),
        mc_dropout=column("mc_dropout"),
        descriptors=descriptors,
        shares=rows("shares"),
        labelled=np.zeros((0, descriptors.shape[1]), dtype=np.float32),
        foreground=None,
        seed=seed,
    )


def unscored(tasks: Sequence[Task]) -> ScoredPool:
    """Slices of which no committee knows anything yet, all alike."""
    count = len(tasks)
    nothing, none = np.zeros(count), np.zeros((count, 1), dtype=np.float32)
    candidates = Candidates(
        uncertainty=nothing,
        entropy=nothing,
        bald=nothing,
        mc_dropout=nothing,
        descriptors=none,
        shares=none,
        labelled=none[:0],
        foreground=None,
        seed=0,
    )
    return ScoredPool(list(tasks), candidates, [])


def select(
    found: Survey,
    pool: ScoredPool,
    settings: Settings,
    labelled: npt.NDArray[np.float32] | None = None,
) -> list[int]:
    """Ids of the tasks selected for labelling, in order.

    Held-out slices are no candidates, nor are those that have a label or were skipped. `labelled`
    are the descriptors, (L, D), of slices with a label, for strategies that keep away from them.
    """
    out = dict(zip((task.id for task in found.tasks), found.held_out, strict=True))
    open_ = [
        index
        for index, task in enumerate(pool.tasks)
        if not out[task.id] and task.annotations == 0 and task.skipped == 0
    ]
    if not open_:
        return []
    every = pool.candidates
    candidates = replace(
        every,
        **{name: getattr(every, name)[open_] for name in _BY_SLICE},
        labelled=every.labelled if labelled is None else labelled,
    )
    # Of a small pool the first stage keeps half: if it kept all, uncertainty would decide nothing.
    kept = max(settings.k, min(settings.K, len(open_) // 2))
    chosen = STRATEGIES[settings.strategy].select(candidates, kept, settings.k)
    return [pool.tasks[open_[index]].id for index in chosen]


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
