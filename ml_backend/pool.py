"""The pool of open slices: scored in shards, put into the labelling order, drafts to push."""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .gathering import Grey, Problem, read_images
from .label_studio import LabelStudio, Task
from .learning.committee import Committee, Score
from .learning.strategies import STRATEGIES, Candidates
from .masks import BrushConfig, to_regions
from .order import Ids, over_all, queue_positions, select_ids
from .settings import Settings
from .survey import Survey

SCALARS = ("uncertainty", "entropy", "bald", "mc_dropout")
_COLUMNS = (*SCALARS, "shares")
_NO_DRAFT = np.zeros((0, 0), dtype=np.uint8)

# (step, how many are done, of how many)
Progress = Callable[[str, int, int], None]


class Draft:
    """A label map kept compressed: a pool of 10,000 slices of 512² would take 2.6 GB plain."""

    __slots__ = ("packed", "shape")

    def __init__(self, shape: tuple[int, int], packed: bytes) -> None:
        self.shape = shape
        self.packed = packed

    @classmethod
    def of(cls, label_map: Grey) -> Draft:
        """The draft of a label map, (H, W) uint8."""
        height, width = label_map.shape
        return cls((height, width), zlib.compress(label_map.tobytes(), level=1))

    def label_map(self) -> Grey:
        """The label map, (H, W) uint8."""
        return np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8).reshape(self.shape)


@dataclass(frozen=True)
class ScoredPool:
    """N slices with what the committee says of each; descriptors and drafts may be kept apart."""

    task_ids: Ids  # (N,)
    columns: Mapping[str, npt.NDArray[Any]]  # SCALARS, (N,) each, and shares, (N, C)
    descriptors: npt.NDArray[np.float32]  # (N, D), or (0, D) if they are elsewhere
    drafts: Mapping[int, Draft]  # by task id

    @property
    def uncertainty(self) -> npt.NDArray[np.floating[Any]]:
        """(N,) what the queue behind the selected batch is ordered by."""
        return self.columns["uncertainty"]

    def scores(self) -> dict[str, npt.NDArray[Any]]:
        """All but descriptors and drafts: a few numbers a slice."""
        return {"task_ids": self.task_ids, **self.columns}

    @classmethod
    def of_scores(cls, shards: Sequence[Mapping[str, npt.NDArray[Any]]]) -> ScoredPool:
        """The pool of several shards' scores(), without descriptors and drafts."""
        filled = [shard for shard in shards if len(shard["task_ids"])]
        if not filled:
            return unscored([])
        every = {name: np.concatenate([shard[name] for shard in filled]) for name in filled[0]}
        ids = every.pop("task_ids")
        return cls(ids, every, np.zeros((0, 1), np.float32), {})

    def read(self, task_ids: Ids) -> npt.NDArray[np.float32]:
        """Descriptors of some slices, (R, D)."""
        row = {int(task_id): index for index, task_id in enumerate(self.task_ids)}
        return self.descriptors[[row[int(task_id)] for task_id in task_ids]]


def scored_tasks(
    label_studio: LabelStudio,
    committee: Committee,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    *,
    entropies: bool = True,
) -> Iterator[tuple[int, Score]]:
    """Ids of the tasks whose image can be read, with what the committee says of each.

    The next images are read while the members are at those before. Raises as read_images() does.
    """
    readable: list[int] = []

    def images() -> Iterator[Grey]:
        for task, image in read_images(label_studio, tasks, config, problems):
            readable.append(task.id)
            yield image

    for index, scored in enumerate(committee.score(images(), entropies=entropies)):
        if not (np.isfinite(scored.uncertainty) and np.isfinite(scored.descriptor).all()):
            problems.append(Problem(readable[index], "the network gives no number for it"))
            continue
        yield readable[index], scored


def score_pool(
    label_studio: LabelStudio,
    committee: Committee,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    progress: Progress,
) -> ScoredPool:
    """Score slices one after another; only their compressed drafts are kept in memory."""
    readable: list[int] = []
    scores: list[Score] = []
    drafts: dict[int, Draft] = {}
    for task_id, scored in scored_tasks(label_studio, committee, tasks, config, problems):
        readable.append(task_id)
        drafts[task_id] = Draft.of(scored.draft)
        scores.append(replace(scored, draft=_NO_DRAFT))
        progress("score", len(scores), len(tasks))
    return of_scored(readable, scores, drafts)


def of_scored(
    task_ids: Sequence[int], scores: Sequence[Score], drafts: Mapping[int, Draft]
) -> ScoredPool:
    """The pool of slices with their scores, in the same order."""

    def rows(name: str) -> npt.NDArray[np.float32]:
        stacked = [getattr(score, name) for score in scores]
        return np.stack(stacked).astype(np.float32) if stacked else np.zeros((0, 1), np.float32)

    columns: dict[str, npt.NDArray[Any]] = {
        name: np.array([getattr(score, name) for score in scores], dtype=np.float64)
        for name in SCALARS
    }
    columns["shares"] = rows("shares")
    return ScoredPool(np.array(task_ids, dtype=np.int64), columns, rows("descriptor"), drafts)


def unscored(task_ids: Sequence[int], seed: int = 0) -> ScoredPool:
    """Slices of which no committee knows anything yet: in their queue they come at random.

    Alike they would come by their ids: a volume's slices, much alike, one after another.
    """
    count = len(task_ids)
    columns: dict[str, npt.NDArray[Any]] = {name: np.zeros(count) for name in SCALARS}
    columns["uncertainty"] = np.random.default_rng(seed).random(count)
    columns["shares"] = np.zeros((count, 1), dtype=np.float32)
    ids = np.array(task_ids, dtype=np.int64)
    return ScoredPool(ids, columns, np.zeros((0, 1), np.float32), {})


def select(
    found: Survey,
    pool: ScoredPool,
    settings: Settings,
    *,
    read: Callable[[Ids], npt.NDArray[np.floating[Any]]] | None = None,
    labelled: npt.NDArray[np.float32] | None = None,
    seed: int = 0,
) -> list[int]:
    """Ids of the tasks selected for labelling, in order.

    Held-out slices are no candidates, nor are those that have a label or were skipped. `read` gives
    descriptors, (R, D), by task id, of those slices alone that the strategy looks at; `labelled`
    are the descriptors, (L, D), of slices with a label, for strategies that keep away from them.
    """
    if not found.tasks:
        return []
    ids = _ids(found)
    of_pool: dict[str, Any] = {
        name: over_all(ids, pool.task_ids, pool.columns[name]) for name in _COLUMNS
    }
    bare = np.array([t.annotations == 0 for t in found.tasks], dtype=bool)
    skipped = np.array([t.skipped > 0 for t in found.tasks], dtype=bool)
    free = bare & ~skipped & ~found.held_out & ~np.isnan(of_pool["uncertainty"])
    # What the committee annotated is nobody's label: see Survey.labelled().
    made = np.array([t.id in found.automatic for t in found.tasks], dtype=bool)
    with_label = int((~bare & ~made & ~found.held_out).sum())
    without = int((free | (made & ~found.held_out)).sum())
    candidates = Candidates(
        **of_pool,
        descriptors=np.zeros((0, 1), np.float32),
        labelled=np.zeros((0, 1), np.float32) if labelled is None else labelled,
        depths=found.depths(),
        labelled_share=with_label / max(1, with_label + without),
        seed=seed,
    )
    chosen = select_ids(
        STRATEGIES[settings.strategy],
        ids,
        free,
        candidates,
        settings.K,
        settings.k,
        lambda which: (read or pool.read)(ids[which]),
    )
    return [int(task_id) for task_id in chosen]


def queue(found: Survey, pool: ScoredPool, selected: Sequence[int]) -> list[int]:
    """Ids of every open task in the order it is to be served: see queue_positions()."""
    if not found.tasks:
        return []
    ids = _ids(found)
    unlabelled = np.array([task.annotations == 0 for task in found.tasks], dtype=bool)
    ordered = queue_positions(
        ids,
        open_=np.array([not task.is_labeled for task in found.tasks], dtype=bool),
        wanted=found.evaluation & unlabelled,
        held_out=found.held_out,
        uncertainty=over_all(ids, pool.task_ids, pool.uncertainty),
        selected=selected,
    )
    return [int(task_id) for task_id in ordered]


def _ids(found: Survey) -> Ids:
    return np.array([task.id for task in found.tasks], dtype=np.int64)


def held_back(settings: Settings, task_id: int) -> bool:
    """Whether a slice is of those that never get a draft, to learn what drafts do.

    By a keyed hash of the task: neither the annotator nor the committee has a say in it, and a
    larger share only adds slices. Readers of one slice are in the same arm.
    """
    if settings.hold_drafts_back <= 0:
        return False
    message = f"draft held back/{task_id}".encode()
    digest = hmac.digest(settings.split_key.encode(), message, "sha256")
    return int.from_bytes(digest[:8], "big") < settings.hold_drafts_back * 2**64


def prediction(
    version: str, task_id: int, score: float, drafts: Mapping[int, Draft], config: BrushConfig
) -> dict[str, Any]:
    """A prediction for Label Studio; a task without a draft gets an empty one."""
    draft = drafts.get(task_id)
    return {
        "task": task_id,
        "result": to_regions(draft.label_map(), config) if draft else [],
        "score": score,
        "model_version": version,
    }
