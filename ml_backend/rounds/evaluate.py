"""How good a committee is on the held-out slices: overlap, and distances between outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..gathering import LabelledSet
from ..learning.committee import Committee
from ..learning.metrics import (
    Counts,
    Floats,
    confusion,
    hd95,
    mean_by_class,
    mean_iou_by,
    report,
)


@dataclass(frozen=True)
class Measured:
    """The committee's drafts of the held-out slices against their labels, slice by slice."""

    counts: list[Counts]  # each (C, C)
    distances: list[Floats]  # each (C,), see metrics.hd95
    unit: Literal["mm", "px"]  # of the distances; mm where it is known of every slice

    def quality(self, class_names: Sequence[str]) -> dict[str, Any] | None:
        """Figures for a version's metadata, JSON-able; None without a held-out slice."""
        if not self.counts:
            return None
        total = sum(self.counts[1:], self.counts[0])
        return report(total, class_names, {f"hd95_{self.unit}": mean_by_class(self.distances)})

    def of_patients(self, evaluation: LabelledSet, held_out_unit: str) -> list[float]:
        """The mean IoU of each held-out patient, as stopping.decide() takes them.

        By patient, be it one alone: slices of one are no independent values. Only where slabs or
        slices of the project's one patient are held out there is nothing else, and the bound speaks
        of it.
        """
        groups = evaluation.groups
        if held_out_unit != "patient" and len(set(groups)) == 1:
            groups = [str(task_id) for task_id in evaluation.task_ids]
        return list(mean_iou_by(groups, self.counts).values())


def evaluate(committee: Committee, evaluation: LabelledSet) -> Measured:
    """Hold the committee's draft of each held-out slice against its label."""
    classes = len(committee.class_names) + 1
    spacings = evaluation.spacings
    in_mm = bool(spacings) and all(spacings)
    measured = Measured([], [], "mm" if in_mm else "px")
    scores = committee.score(evaluation.images)
    for index, (label_map, scored) in enumerate(zip(evaluation.label_maps, scores, strict=True)):
        measured.counts.append(confusion(label_map, scored.draft, classes))
        spacing = spacings[index] if in_mm else None
        measured.distances.append(hd95(label_map, scored.draft, classes, spacing))
    return measured
