"""What a project holds now: its slices, which are held out, and the label maps made of them."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .images import ImageError
from .images import read_image as decode_image
from .label_studio import Annotation, LabelStudio, LabelStudioDown, LabelStudioError, Task
from .learning.consensus import majority, staple
from .learning.held_out import Division, Unit, divide, evaluation_subset
from .masks import BrushConfig, MaskError, to_label_map
from .settings import Settings
from .store import Store

Grey = npt.NDArray[np.uint8]

_CONSENSUS = {"majority": majority, "staple": staple}
_TROUBLE = frozenset({401, 403, 429, 502, 503, 504})


@dataclass(frozen=True)
class Problem:
    """A task that could not be used, and why; the round goes on without it."""

    task_id: int
    reason: str


@dataclass(frozen=True)
class Survey:
    """A project's tasks in the order of their ids, and how they are divided."""

    project_id: int
    config: BrushConfig
    tasks: list[Task]
    division: Division
    evaluation: npt.NDArray[np.bool_]  # (N,) held out, and labelled or asked to be
    held_out_unit: str  # "patient", "slab" or "slice": what evaluation slices are held out by

    @property
    def held_out(self) -> npt.NDArray[np.bool_]:
        """(N,) never trained on."""
        return self.division.held_out

    def labelled(self, held_out: bool) -> list[Task]:
        """Tasks with a submitted annotation: those to evaluate with, or those to train on."""
        side = self.evaluation if held_out else ~self.held_out
        chosen = zip(self.tasks, side, strict=True)
        return [task for task, flag in chosen if task.annotations > 0 and flag]

    def open_tasks(self) -> list[Task]:
        """Tasks that annotators can still be served."""
        return [task for task in self.tasks if not task.is_labeled]

    def due(self, trained: Iterable[int], settings: Settings) -> bool:
        """Whether enough new training labels are there, and one to evaluate with.

        When nothing is left to label, any new label is enough.
        """
        new = {task.id for task in self.labelled(held_out=False)} - set(trained)
        enough = settings.due_after if self.open_tasks() else 1
        return len(new) >= enough and bool(self.labelled(held_out=True))


def survey(label_studio: LabelStudio, project_id: int, settings: Settings) -> Survey:
    """Read a project. Raises LabelStudioError, or MaskError for an unusable label config."""
    config = BrushConfig.parse(str(label_studio.project(project_id)["label_config"]))
    tasks = list(label_studio.tasks(project_id))
    units = [_unit(task) for task in tasks]
    division = divide(
        units,
        settings.split_key.encode(),
        settings.held_out_fraction,
        settings.slab_mm,
        Store(settings.store_dir, project_id).sides(),
    )
    labelled = np.array([task.annotations > 0 for task in tasks], dtype=bool)
    skipped = np.array([task.skipped > 0 for task in tasks], dtype=bool)
    # Slabs are second best: evaluated with only until a label of a whole patient is there.
    whole = division.whole
    wanted = whole if whole.any() else division.held_out
    by_patient = bool(
        (whole & labelled).any() or not (~wanted & division.held_out & labelled).any()
    )
    by_patient = by_patient and bool(whole.any())
    evaluation = (whole if by_patient else division.held_out) & labelled
    # Only what the budget still lacks is asked for, and nothing that an annotator has skipped.
    lacking = settings.evaluation_slices - int((wanted & labelled).sum())
    if lacking > 0:
        evaluation |= evaluation_subset(units, wanted & ~labelled & ~skipped, limit=lacking)
    return Survey(project_id, config, tasks, division, evaluation, _unit_of(units, by_patient))


def _unit_of(units: Sequence[Unit], by_patient: bool) -> str:
    if by_patient:
        return "patient" if any(unit.patient for unit in units) else "slice"
    return "slice" if any(unit.position_mm is None for unit in units) else "slab"


def _unit(task: Task) -> Unit:
    def text(key: str) -> str | None:
        value = task.data.get(key)
        return str(value) if value not in (None, "") else None

    position = task.data.get("slice_position_mm")
    return Unit(
        slice_id=text("slice") or str(task.id),
        patient=text("patient"),
        series=text("series"),
        position_mm=float(position) if isinstance(position, int | float) else None,
    )


def read_image(label_studio: LabelStudio, task: Task, config: BrushConfig) -> Grey:
    """A task's image, (H, W) or (H, W, 3) uint8. Raises LabelStudioError or ImageError."""
    url = task.data.get(config.image_key)
    if not isinstance(url, str) or not url:
        raise ImageError(f"the task has no image under '{config.image_key}' in its data")
    return decode_image(label_studio.image(url))


def read_images(
    label_studio: LabelStudio,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
) -> Iterator[tuple[Task, Grey]]:
    """Images one after another; a task whose image is gone goes to the problems instead."""
    for task in tasks:
        try:
            yield task, read_image(label_studio, task, config)
        except ImageError as error:
            problems.append(Problem(task.id, str(error)))
        except LabelStudioError as error:
            # The server is in trouble, or refuses us: no fault of the image. (A file that is gone
            # from its disk makes Label Studio answer 500.)
            if isinstance(error, LabelStudioDown) or error.status in _TROUBLE:
                raise
            problems.append(Problem(task.id, str(error)))


@dataclass(frozen=True)
class LabelledSet:
    """Slices with their label maps, ready to train on or to evaluate with."""

    task_ids: list[int]
    images: list[Grey]  # each (H, W) or (H, W, 3)
    label_maps: list[Grey]  # each (H, W), 0 background, n the n-th label
    groups: list[str]  # each one's patient
    fingerprint: str  # of the annotations used and when they were last changed


def gather(
    label_studio: LabelStudio,
    project_id: int,
    tasks: Sequence[Task],
    config: BrushConfig,
    problems: list[Problem],
    consensus: str = "majority",
) -> LabelledSet:
    """Read annotations and images of labelled tasks; several masks of a task become one.

    `consensus` is "majority" or "staple".
    """
    by_task: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in label_studio.annotations(project_id, [task.id for task in tasks]):
        by_task[annotation.task_id].append(annotation)
    annotated = [task for task in tasks if task.id in by_task]
    ids: list[int] = []
    images: list[Grey] = []
    label_maps: list[Grey] = []
    groups: list[str] = []
    used: list[tuple[int, str]] = []
    for task, image in read_images(label_studio, annotated, config, problems):
        maps = []
        for annotation in by_task[task.id]:
            try:
                maps.append(to_label_map(annotation.regions, config, *image.shape[:2]))
            except MaskError as error:
                problems.append(Problem(task.id, str(error)))
                continue
            used.append((annotation.id, annotation.updated_at))
        if maps:
            ids.append(task.id)
            images.append(image)
            label_maps.append(maps[0] if len(maps) == 1 else _CONSENSUS[consensus](np.stack(maps)))
            groups.append(_unit(task).name)
    return LabelledSet(ids, images, label_maps, groups, fingerprint([consensus, sorted(used)]))


def fingerprint(value: Any) -> str:
    """Hex SHA-256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
