"""The annotations of one task made into the one label map that a committee learns from.

Skipped annotations and drafts never come here: the round reads submitted ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar

import numpy as np

from ..learning.consensus import disagreement, majority, staple
from ..moments import moment
from .arrays import LabelMap
from .brush import MaskError
from .config import BrushConfig
from .regions import to_label_map

CONSENSUS = {"majority": majority, "staple": staple}

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class Submitted(Protocol):
    """What is read of an annotation, beside its mask."""

    @property
    def id(self) -> int: ...
    @property
    def annotator(self) -> int: ...  # 0: Label Studio does not say who
    @property
    def updated_at(self) -> str: ...  # ISO 8601
    @property
    def ground_truth(self) -> bool: ...


class Encoded(Submitted, Protocol):
    """One with its regions; ml_backend.label_studio.Annotation is one."""

    @property
    def regions(self) -> Sequence[Mapping[str, Any]]: ...


Read = TypeVar("Read", bound=Submitted)


@dataclass(frozen=True)
class Target:
    """What a task's annotations say together."""

    label_map: LabelMap  # (H, W), 0 background, n the n-th label
    used: list[tuple[int, str]]  # (annotation id, updated_at) of those that made the label map
    # Each annotator's own, (H, W), whether it was used or not; see target_of() for the keys.
    by_annotator: dict[int, LabelMap]
    # 1 - mean foreground Dice between each two who count; NaN with one, 0 if a ground truth settles
    disagreement: float
    ground_truth: bool = False  # whether one settles it


def target_of(
    annotations: Sequence[Encoded],
    config: BrushConfig,
    height: int,
    width: int,
    *,
    consensus: str = "majority",
    weights: Mapping[int, float] | None = None,
) -> tuple[Target | None, list[str]]:
    """A task's target from annotations with their regions, as target_of_masks() makes it."""
    return target_of_masks(
        annotations,
        lambda annotation: to_label_map(annotation.regions, config, height, width),
        len(config.labels) + 1,
        consensus=consensus,
        weights=weights,
    )


def target_of_masks(
    annotations: Sequence[Read],
    mask_of: Callable[[Read], LabelMap],
    classes: int,
    *,
    consensus: str = "majority",
    weights: Mapping[int, float] | None = None,
) -> tuple[Target | None, list[str]]:
    """A task's target, and complaints for people about its annotations.

    `mask_of` gives an annotation's label map (H, W), or raises MaskError saying why it cannot be
    used; `classes` counts the background.
    A ground truth alone is the target, of several the newest. Else each annotator's newest
    annotation counts once, and `consensus`, "majority" or "staple", makes one of them; `weights`
    are by annotator, 1 for who is not named. Who weighs 0 counts neither in the label map nor in
    the disagreement, unless nobody else has drawn the slice. An annotation that cannot be used is
    left out with a complaint (an older one of the same annotator then stands in); if none can be
    used there is no target. One without any region says that there is nothing: an empty mask.
    Annotations of nobody known (annotator 0) count each for itself, under minus their own id.
    Raises KeyError for another consensus, ValueError for a negative weight.
    """
    combine = CONSENSUS[consensus]
    complaints: list[str] = []
    decoded: dict[int, LabelMap | None] = {}

    def usable(annotation: Read) -> bool:
        if annotation.id not in decoded:
            try:
                decoded[annotation.id] = mask_of(annotation)
            except MaskError as error:
                decoded[annotation.id] = None
                complaints.append(f"annotation {annotation.id} is left out: {error}")
        return decoded[annotation.id] is not None

    newest: dict[int, Read] = {}
    truths: list[Read] = []
    for annotation in sorted(annotations, key=_age, reverse=True):
        who = annotation.annotator or -annotation.id
        if annotation.ground_truth and usable(annotation):
            truths.append(annotation)
        if who not in newest and usable(annotation):
            newest[who] = annotation
    maps = {id_: label_map for id_, label_map in decoded.items() if label_map is not None}
    if not maps:
        return None, complaints
    by_annotator = {who: maps[newest[who].id] for who in sorted(newest)}

    if truths:
        annotation = truths[0]
        if len(truths) > 1:
            complaints.append(
                f"{len(truths)} annotations are marked as ground truth: annotation "
                f"{annotation.id}, the newest, counts; take the mark off the others"
            )
        used = [(annotation.id, annotation.updated_at)]
        return Target(maps[annotation.id], used, by_annotator, 0.0, ground_truth=True), complaints

    weight = {who: (weights or {}).get(who, 1.0) for who in by_annotator}
    if not any(weight.values()):
        complaints.append(
            "only annotators of weight 0 have drawn it, and theirs is used: let another annotate it"
        )
        weight = dict.fromkeys(weight, 1.0)
    who_counts = [who for who in by_annotator if weight[who]]
    label_maps = np.stack([by_annotator[who] for who in who_counts])
    return Target(
        combine(label_maps, [weight[who] for who in who_counts]),
        [(newest[who].id, newest[who].updated_at) for who in who_counts],
        by_annotator,
        disagreement(label_maps, classes),
    ), complaints


def _age(annotation: Submitted) -> tuple[datetime, int]:
    """What sorts annotations from the oldest to the newest."""
    # Text would not sort, for fractions of a second may be missing.
    return moment(annotation.updated_at) or _LONG_AGO, annotation.id
