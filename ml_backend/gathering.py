"""Labelled slices as arrays: images read, and annotators' regions made into one target each."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .caches.labels import Drawn, LabelCache, Slice
from .images import ImageError
from .images import read_image as decode_image
from .label_studio import Annotation, LabelStudio, LabelStudioDown, LabelStudioError, Task
from .learning.geometry import fit, fit_labels
from .masks import BrushConfig
from .masks.targets import target_of_masks
from .readers import Reading, readings
from .spacing import Spacing, picture_spacing
from .survey import unit_of

Grey = npt.NDArray[np.uint8]

_CHUNK = 50  # tasks whose annotations are in memory at once, as Label Studio wrote them
_AT_ONCE = 4  # pictures under way: annotators are to find Label Studio's other threads free
_Read = TypeVar("_Read")
_TROUBLE = frozenset({401, 403, 429, 502, 503, 504})


@dataclass(frozen=True)
class Problem:
    """A task that could not be used, and why; the round goes on without it."""

    task_id: int
    reason: str


class Unread(Problem):
    """A task whose picture is not there: it may be the next time."""


def read_image(label_studio: LabelStudio, task: Task, config: BrushConfig) -> Grey:
    """A task's image, (H, W) or (H, W, 3) uint8. Raises LabelStudioError or ImageError."""
    url = task.data.get(config.image_key)
    if not isinstance(url, str) or not url:
        raise ImageError(
            f"the task has no image under '{config.image_key}' in its data: import it again"
        )
    if any("\ud800" <= character <= "\udfff" for character in url):
        raise ImageError("the image's address holds half a character: import the task again")
    # A task that Label Studio has not stored yet has no number (predict).
    return decode_image(label_studio.image(url, task.id if task.id > 0 else None))


def read_images(
    label_studio: LabelStudio,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
) -> Iterator[tuple[Task, Grey]]:
    """Images one after another; a task whose image is gone goes to the problems instead."""

    def read(task: Task) -> Grey | ImageError | LabelStudioError:
        try:
            return read_image(label_studio, task, config)
        except (ImageError, LabelStudioError) as error:
            return error

    for task, found in _some_ahead(read, tasks):
        try:
            if isinstance(found, Exception):
                raise found
            yield task, found
        except ImageError as error:
            problems.append(Problem(task.id, str(error)))
        except LabelStudioError as error:
            # The server is in trouble, or refuses us: no fault of the image. (A file that is gone
            # from its disk makes Label Studio answer 500.)
            if isinstance(error, LabelStudioDown) or error.status in _TROUBLE:
                raise
            problems.append(Unread(task.id, str(error)))


def _some_ahead(
    read: Callable[[Task], _Read], tasks: Sequence[Task]
) -> Iterator[tuple[Task, _Read]]:
    """Tasks with what is read of each, in their order; a few are read at once, ahead of time."""
    if len(tasks) < 2:
        yield from ((task, read(task)) for task in tasks)
        return
    coming: deque[tuple[Task, Future[_Read]]] = deque()
    with ThreadPoolExecutor(min(_AT_ONCE, len(tasks))) as pool:
        try:
            for task in tasks:
                coming.append((task, pool.submit(read, task)))
                if len(coming) >= 2 * _AT_ONCE:
                    first, future = coming.popleft()
                    yield first, future.result()
            for first, future in coming:
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def reduced(image: Grey, side_px: int) -> Grey:
    """What a network sees of a slice: as it lies in its square, without the padding.

    Fitted into a square of that side once more it is the same, so a whole project's slices can be
    held reduced until they are.
    """
    square, where = fit(image, side_px)
    return square[: where.rows, : where.columns].copy()


@dataclass(frozen=True)
class LabelledSet:
    """Slices with their label maps, ready to train on or to evaluate with."""

    task_ids: list[int]
    images: list[Grey]  # each (H, W) or (H, W, 3)
    label_maps: list[Grey]  # each (H, W), 0 background, n the n-th label
    groups: list[str]  # each one's patient
    fingerprint: str  # of the annotations used and when they were last changed
    # How far annotators agree on each slice, for who stands out; not kept with the set.
    readings: Mapping[int, Sequence[Reading]] = field(default_factory=dict)
    disagreement: Mapping[int, float] = field(default_factory=dict)  # where several have drawn
    # Each one's pixels as they lie here; nothing at all in what an earlier release has kept.
    spacings: Sequence[Spacing | None] = ()


def gather(
    label_studio: LabelStudio,
    project_id: int,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    consensus: str = "majority",
    weights: Mapping[int, float] | None = None,
    leave_out: Callable[[Annotation], bool] = lambda annotation: False,
    cache: LabelCache | None = None,
    side_px: int | None = None,
) -> LabelledSet:
    """Read annotations and images of labelled tasks; several masks of a task become one.

    `consensus` is "majority" or "staple"; `weights` count an annotator's mask for less. What
    `leave_out` says yes to is no label, such as a mask that no person has seen. What the `cache`
    holds of tasks that have not changed is not read again. With `side_px`, slices and label maps
    are kept as they lie in a square of that side, to train on: a project's pictures at their own
    sizes may not fit into memory.
    """
    classes = len(config.labels) + 1
    made: dict[int, tuple[Grey, Grey]] = {}
    used: list[tuple[int, str]] = []
    read: dict[int, Sequence[Reading]] = {}
    disagreement: dict[int, float] = {}
    for task, found in _slices(label_studio, project_id, tasks, config, problems, cache, leave_out):
        target, complaints = target_of_masks(
            found.drawn, Drawn.mask, classes, consensus=consensus, weights=weights
        )
        problems += [Problem(task.id, complaint) for complaint in complaints]
        if target is None:
            continue
        image, label_map = found.image, target.label_map
        used += target.used
        read[task.id] = readings(
            target.by_annotator, classes, label_map if target.ground_truth else None
        )
        if len(target.by_annotator) > 1:
            disagreement[task.id] = target.disagreement
        if side_px is not None:
            image = reduced(image, side_px)
            height, width = image.shape[:2]
            label_map = fit_labels(label_map, side_px)[:height, :width].copy()
        made[task.id] = image, label_map
    there = [task for task in tasks if task.id in made]
    weighed = sorted((weights or {}).items())
    decided = [consensus, sorted(used), *([weighed] if weighed else [])]
    return LabelledSet(
        [task.id for task in there],
        [made[task.id][0] for task in there],
        [made[task.id][1] for task in there],
        [unit_of(task).name for task in there],
        fingerprint(decided),
        {task.id: read[task.id] for task in there},
        {task.id: disagreement[task.id] for task in there if task.id in disagreement},
        [picture_spacing(task.data, *made[task.id][1].shape) for task in there],
    )


def _slices(
    label_studio: LabelStudio,
    project_id: int,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    cache: LabelCache | None,
    leave_out: Callable[[Annotation], bool],
) -> Iterator[tuple[Task, Slice]]:
    """Labelled tasks as arrays, one at a time; those left without an annotation are no labels."""

    def by_people(found: Slice) -> Slice:
        return Slice(found.image, [d for d in found.drawn if not leave_out(d.annotation)])

    for start in range(0, len(tasks), _CHUNK):
        unknown: list[Task] = []
        for task in tasks[start : start + _CHUNK]:
            kept = cache.get(task, config) if cache else None
            if kept is None:
                unknown.append(task)
            elif (found := by_people(kept)).drawn:
                yield task, found
        for task, new in _read(label_studio, project_id, unknown, config, problems, leave_out):
            if cache:
                cache.keep(task, config, new)
            if (found := by_people(new)).drawn:
                yield task, found


def _read(
    label_studio: LabelStudio,
    project_id: int,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    leave_out: Callable[[Annotation], bool],
) -> Iterator[tuple[Task, Slice]]:
    if not tasks:
        return
    by_task: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in label_studio.annotations(project_id, [task.id for task in tasks]):
        by_task[annotation.task_id].append(annotation)
    wanted = [task for task in tasks if not all(map(leave_out, by_task[task.id]))]
    for task, image in read_images(label_studio, wanted, config, problems):
        height, width = image.shape[:2]
        drawn = [Drawn.of(each, config, height, width) for each in by_task.pop(task.id)]
        yield task, Slice(image, drawn)


def fingerprint(value: Any) -> str:
    """Hex SHA-256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
