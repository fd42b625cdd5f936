"""What a project holds now: its slices, which are held out, and whether a round is due."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .auto_annotations import auto_tasks
from .label_studio import LabelStudio, Task
from .learning.depths import relative_depths
from .learning.held_out import Division, Unit, divide, evaluation_subset
from .masks import BrushConfig
from .settings import Settings
from .store import Store

_MEETINGS = 5  # with others that write the division at the same moment, more than ever happen

# A labelled task as a version saw it: how many annotations it had, and Task.changed.
Seen = Mapping[int, tuple[int, str]]


@dataclass(frozen=True)
class Survey:
    """A project's tasks in the order of their ids, and how they are divided."""

    project_id: int
    config: BrushConfig
    tasks: list[Task]
    division: Division
    evaluation: npt.NDArray[np.bool_]  # (N,) held out, and labelled or asked to be
    held_out_unit: str  # "patient", "slab" or "slice": what evaluation slices are held out by
    overlap: int = 1  # annotations that a task is to get
    title: str = ""
    # Tasks whose only annotations are those that "annotate the rest" made and nobody has changed.
    automatic: frozenset[int] = frozenset()

    @property
    def held_out(self) -> npt.NDArray[np.bool_]:
        """(N,) never trained on."""
        return self.division.held_out

    def labelled(self, held_out: bool) -> list[Task]:
        """Tasks that a person has annotated: those to evaluate with, or those to train on."""
        side = self.evaluation if held_out else ~self.held_out
        return [
            task
            for task, flag in zip(self.tasks, side, strict=True)
            if flag and task.annotations > 0 and task.id not in self.automatic
        ]

    def open_tasks(self) -> list[Task]:
        """Tasks that annotators can still be served."""
        return [task for task in self.tasks if not task.is_labeled]

    def depths(self) -> npt.NDArray[np.float64]:
        """(N,) places in their series from 0 to 1, NaN where not known (relative_depths)."""
        return relative_depths([unit_of(task) for task in self.tasks])

    def seen(self) -> dict[int, tuple[int, str]]:
        """The training tasks with labels as they are now, for fresh() later."""
        return {t.id: (t.annotations, t.changed) for t in self.labelled(held_out=False)}

    def fresh(self, seen: Seen) -> float:
        """Labels that are new, changed or gone since, in slices.

        With several annotators a slice, each one's mask is that part of a slice's label.
        """
        now = self.seen()
        parts = 0
        for task_id in now.keys() | seen.keys():
            before, after = seen.get(task_id), now.get(task_id)
            if before != after:
                parts += max(1, abs((after or (0,))[0] - (before or (0,))[0]))
        return parts / self.overlap

    def due(self, seen: Seen, settings: Settings, *, after: int | None = None) -> bool:
        """Whether enough labels are new since `seen`, and one is there to evaluate with.

        Enough are `after`, or as the settings say; when nothing is left to label, any. Where none
        to evaluate with is asked for, none is waited for: nothing can be held out (slices of one
        spot of one patient), or all that is held out was skipped.
        """
        wanted = settings.due_after if after is None else after
        enough = wanted if self._is_left_to_label() else 1 / self.overlap
        measurable = bool(self.labelled(held_out=True)) or not self.evaluation.any()
        return self.fresh(seen) >= enough and measurable

    def _is_left_to_label(self) -> bool:
        """Whether labels are to come: of held-out slices only those asked for ever may."""
        return any(
            # Slices that the committee annotated are still to be reviewed: they are left, too.
            (not task.is_labeled or task.id in self.automatic) and (asked or not out)
            for task, out, asked in zip(self.tasks, self.held_out, self.evaluation, strict=True)
        )


def survey(label_studio: LabelStudio, project_id: int, settings: Settings) -> Survey:
    """Read a project. Raises LabelStudioError, or MaskError for an unusable label config."""
    project = label_studio.project(project_id)
    config = BrushConfig.parse(str(project["label_config"]))
    store = Store(settings.store_root, project_id)
    tasks = list(label_studio.tasks(project_id))
    automatic = auto_tasks(label_studio, store, project_id, tasks)
    units = [unit_of(task) for task in tasks]
    division = divide(
        units,
        settings.split_key.encode(),
        settings.held_out_fraction,
        settings.slab_mm,
        store.sides(),
    )
    labelled = np.array(
        [task.annotations > 0 and task.id not in automatic for task in tasks], dtype=bool
    )
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
        made = np.array([task.id in automatic for task in tasks], dtype=bool)
        free = wanted & ~labelled & ~skipped & ~made
        evaluation |= evaluation_subset(units, free, limit=lacking)
    return Survey(
        project_id,
        config,
        tasks,
        division,
        evaluation,
        _unit_name(units, by_patient),
        max(1, int(project.get("maximum_annotations") or 1)),
        str(project.get("title") or ""),
        frozenset(automatic),
    )


def remembered(found: Survey, label_studio: LabelStudio, settings: Settings) -> Survey:
    """A survey whose division is kept, so that nobody changes sides later.

    A look, a round and an export read the project by themselves while patients are imported. Who
    was met by another one first stays where that put him: the project is then read again.
    Raises as survey() does.
    """
    store = Store(settings.store_root, found.project_id)
    for _ in range(_MEETINGS):
        store.keep_sides(found.division.sides)
        kept = store.sides()
        if all(kept.get(name) is side for name, side in found.division.sides.items()):
            break
        found = survey(label_studio, found.project_id, settings)
    return found


def _unit_name(units: Sequence[Unit], by_patient: bool) -> str:
    if by_patient:
        return "patient" if any(unit.patient for unit in units) else "slice"
    return "slice" if any(unit.position_mm is None for unit in units) else "slab"


def unit_of(task: Task) -> Unit:
    """Where a task's slice comes from, in pseudonyms."""

    def text(key: str) -> str | None:
        value = task.data.get(key)
        return str(value) if value not in (None, "") else None

    return Unit(
        slice_id=text("slice") or str(task.id),
        patient=text("patient"),
        series=text("series"),
        position_mm=finite(task.data.get("slice_position_mm")),
    )


def finite(value: object) -> float | None:
    """A number of a task's data; None for what is none, is not finite, or is beyond any float."""
    if not isinstance(value, int | float):
        return None
    # Compared, not converted: a whole number in JSON may be larger than any float.
    return float(value) if abs(value) <= sys.float_info.max else None
