"""What is known of one submitted annotation, in a few numbers that can be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..learning.metrics import confusion, dice, foreground_mean
from ..masks import BrushConfig, LabelMap

WITH, WITHOUT = "with", "without"  # the arms of a trial of drafts
_MOST_PIXELS = 8192 * 8192  # what a region says of its image may be anything


class Submitted(Protocol):
    """What is read of an annotation; ml_backend.label_studio.Annotation is one."""

    @property
    def id(self) -> int: ...
    @property
    def task_id(self) -> int: ...
    @property
    def annotator(self) -> int: ...
    @property
    def created_at(self) -> str: ...
    @property
    def updated_at(self) -> str: ...
    @property
    def lead_time_s(self) -> float | None: ...
    @property
    def ground_truth(self) -> bool: ...


@dataclass(frozen=True, slots=True)  # a large project has 100,000
class Record:
    """One annotation. Times are ISO 8601; None is what is not known."""

    annotation: int
    task: int
    annotator: int  # 0: Label Studio does not say who
    created_at: str
    updated_at: str
    # From opening to submitting, with whatever pauses there were: a tab left open for a night is
    # in it. None where nobody drew it here: it was imported, or submitted by a script.
    lead_time_s: float | None = None
    arm: str | None = None  # WITH or WITHOUT a draft; None: nothing was drafted yet
    draft_version: str | None = None  # the version that was served then, in both arms
    changed: float | None = None  # 1 - foreground Dice of draft and result; None without a draft
    areas: Mapping[str, float] | None = None  # share of the image by class; None: not readable
    dice: float | None = None  # with a ground truth, or the others on this slice
    ground_truth: bool = False
    # Made by "annotate the rest" and changed by a person since: looked through, not drawn. Then
    # the annotator is that person, and created_at when it was changed.
    reviewed: bool = False

    @property
    def area(self) -> float | None:
        """Share of the image that is not background."""
        return None if self.areas is None else sum(self.areas.values())


def record_of(
    annotation: Submitted,
    result: LabelMap | None,
    draft: LabelMap | None,
    config: BrushConfig,
    *,
    arm: str | None = None,
    draft_version: str | None = None,
    agreement: float | None = None,
    reviewed: bool = False,
) -> Record:
    """The record of an annotation, its label map and that of the draft it began with, both (H, W).

    `result` is None if its regions cannot be read, `draft` if there was none.
    """
    lead_time_s = annotation.lead_time_s
    timed = lead_time_s is not None and np.isfinite(lead_time_s) and lead_time_s > 0
    return Record(
        annotation=annotation.id,
        task=annotation.task_id,
        annotator=annotation.annotator,
        created_at=annotation.updated_at if reviewed else annotation.created_at,
        updated_at=annotation.updated_at,
        lead_time_s=round(float(lead_time_s), 3) if lead_time_s is not None and timed else None,
        arm=arm,
        draft_version=draft_version,
        changed=changed(draft, result, len(config.labels) + 1),
        areas=None if result is None else areas(result, config),
        dice=None if agreement is None or np.isnan(agreement) else round(agreement, 6),
        ground_truth=annotation.ground_truth,
        reviewed=reviewed,
    )


def changed(draft: LabelMap | None, result: LabelMap | None, classes: int) -> float | None:
    """How much of a draft was changed: 1 - mean foreground Dice, 0 where both are empty.

    None without a draft or a result, or where the two are of different sizes.
    """
    if draft is None or result is None or draft.shape != result.shape:
        return None
    same = foreground_mean(dice(confusion(draft, result, classes)))
    return 0.0 if np.isnan(same) else round(1.0 - same, 6)


def areas(label_map: LabelMap, config: BrushConfig) -> dict[str, float]:
    """Share of the image that each class covers, by its name."""
    counts = np.bincount(label_map.ravel(), minlength=len(config.labels) + 1)
    shares = counts[1:] / max(1, label_map.size)
    return {name: float(f"{s:.6g}") for name, s in zip(config.labels, shares, strict=True)}


def size_of(results: Iterable[Sequence[Mapping[str, Any]] | None]) -> tuple[int, int]:
    """Height and width of the image that regions were drawn on, by the first that says.

    (1, 1) where none does: without a region every size is as good. So no image need be read.
    """
    for regions in results:
        for region in regions or ():
            if isinstance(region, Mapping):
                height, width = region.get("original_height"), region.get("original_width")
                if type(height) is not int or type(width) is not int:
                    continue
                if height > 0 and width > 0 and height * width <= _MOST_PIXELS:
                    return height, width
    return 1, 1
