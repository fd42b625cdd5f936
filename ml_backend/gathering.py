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

from .images import ImageError
from .images import read_image as decode_image
from .label_cache import Drawn, LabelCache, Slice
from .label_studio import Annotation, LabelStudio, LabelStudioDown, LabelStudioError, Task
from .masks import BrushConfig
from .survey import unit_of
from .targets import Target, target_of_masks

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


def read_image(label_studio: LabelStudio, task: Task, config: BrushConfig) -> Grey:
    """A task's image, (H, W) or (H, W, 3) uint8. Raises LabelStudioError or ImageError."""
    url = task.data.get(config.image_key)
    if not isinstance(url, str) or not url:
        raise ImageError(f"the task has no image under '{config.image_key}' in its data")
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
            problems.append(Problem(task.id, str(error)))


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


@dataclass(frozen=True)
class LabelledSet:
    """Slices with their label maps, ready to train on or to evaluate with."""

    task_ids: list[int]
    images: list[Grey]  # each (H, W) or (H, W, 3)
    label_maps: list[Grey]  # each (H, W), 0 background, n the n-th label
    groups: list[str]  # each one's patient
    fingerprint: str  # of the annotations used and when they were last changed
    # What each annotator drew of a slice, for how far they agree; not kept with the set.
    targets: Mapping[int, Target] = field(default_factory=dict)


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
) -> LabelledSet:
    """Read annotations and images of labelled tasks; several masks of a task become one.

    `consensus` is "majority" or "staple"; `weights` count an annotator's mask for less. What
    `leave_out` says yes to is no label, such as a mask that no person has seen. What the `cache`
    holds of tasks that have not changed is not read again.
    """
    ids: list[int] = []
    images: list[Grey] = []
    groups: list[str] = []
    targets: dict[int, Target] = {}
    for task, found in _slices(label_studio, project_id, tasks, config, problems, cache, leave_out):
        target, complaints = target_of_masks(
            found.drawn, Drawn.mask, len(config.labels) + 1, consensus=consensus, weights=weights
        )
        problems += [Problem(task.id, complaint) for complaint in complaints]
        if target is not None:
            ids.append(task.id)
            images.append(found.image)
            targets[task.id] = target
            groups.append(unit_of(task).name)
    used = sorted(pair for target in targets.values() for pair in target.used)
    weighed = sorted((weights or {}).items())
    decided = [consensus, used, weighed] if weighed else [consensus, used]
    maps = [targets[task_id].label_map for task_id in ids]
    return LabelledSet(ids, images, maps, groups, fingerprint(decided), targets)


def _slices(
    label_studio: LabelStudio,
    project_id: int,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    cache: LabelCache | None,
    leave_out: Callable[[Annotation], bool],
) -> Iterator[tuple[Task, Slice]]:
    """Labelled tasks as arrays, in their order; those left without an annotation are no labels."""
    for start in range(0, len(tasks), _CHUNK):
        part = tasks[start : start + _CHUNK]
        known = {task.id: kept for task in part if cache and (kept := cache.get(task, config))}
        unknown = [task for task in part if task.id not in known]
        for task, found in _read(label_studio, project_id, unknown, config, problems, leave_out):
            known[task.id] = found
            if cache:
                cache.keep(task, config, found)
        for task in part:
            if task.id not in known:
                continue
            image, drawn = known[task.id].image, known[task.id].drawn
            people = [each for each in drawn if not leave_out(each.annotation)]
            if people:
                yield task, Slice(image, people)


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
