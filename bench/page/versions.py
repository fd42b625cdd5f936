"""Versions of a committee that was never trained, the quality of each, and the newest's order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ml_backend.figures.next_batch import about_order
from ml_backend.learning.metrics import Counts, iou, mean_iou_by, report
from ml_backend.learning.stopping import decide
from ml_backend.order import quantiles
from ml_backend.settings import Settings
from ml_backend.store import Store
from ml_backend.survey import Survey

from .annotations import SHARES
from .slices import LABELS

# Labels that each version was made with, as shares of the slices: twelve versions, a day apart.
SPENT = (0, 0.006, 0.011, 0.018, 0.027, 0.038, 0.05, 0.064, 0.078, 0.093, 0.108, 0.124)
_PLATEAU, _GAIN, _RATE = 0.9, 1.9, 0.45  # quality = plateau - gain * labels ** -rate
_FARTHEST_MM = 60.0  # how far apart borders are where nothing overlaps
_EASE = (0.05, -0.09, -0.02)  # how much better than the mean a class is drawn


def publish_versions(
    store: Store,
    found: Survey,
    labelled: Sequence[int],
    settings: Settings,
    moment: datetime,
    generator: np.random.Generator,
) -> list[str]:
    """Twelve versions, a day apart, each better than the last but for chance; their names."""
    held_out = dict(zip((t.id for t in found.tasks), found.held_out.tolist(), strict=True))
    patient_of = {task.id: str(task.data["patient"]) for task in found.tasks}
    ease = {name: float(generator.normal(0, 0.035)) for name in sorted(set(patient_of.values()))}
    names = []
    for number, share in enumerate(SPENT):
        made_of = labelled[: round(share * len(found.tasks))]
        evaluation = [task for task in made_of if held_out[task]]
        training = [task for task in made_of if not held_out[task]]
        at = moment - timedelta(hours=2 + 24 * (len(SPENT) - 1 - number))
        metadata: dict[str, Any] = {
            "version": f"r{number:04d}-{int(generator.integers(16**6)):06x}",
            "labels": list(LABELS),
            "training": {},
            "training_tasks": training,
            "evaluation_tasks": evaluation,
            "held_out_unit": found.held_out_unit,
            "seen": {},
            "gathered_at": (at - timedelta(minutes=6)).isoformat(timespec="seconds"),
            "quality": None,
            "published_at": at.isoformat(timespec="seconds"),
        }
        if made_of:
            mean = _PLATEAU - _GAIN * len(made_of) ** -_RATE + float(generator.normal(0, 0.004))
            groups = [patient_of[task] for task in evaluation]
            counts = [_confusion(mean + ease[group], generator) for group in groups]
            total = sum(counts[1:], counts[0])
            metadata["quality"] = report(
                total, LABELS, {"hd95_mm": _FARTHEST_MM * (1 - iou(total))}
            )
            metadata["stopping"] = decide(
                list(mean_iou_by(groups, counts).values()),
                len(made_of),
                target=settings.target_mean_iou or None,
                budget=settings.label_budget or None,
            ).figures()
        store.publish(metadata["version"], [], metadata)
        names.append(metadata["version"])
    outcome = {"train_s": 212.0, "score_s": 148.0, "select_s": 1.1, "reorder_s": 24.0}
    store.note(names[-1], "round", {"did": "trained", "version": names[-1], **outcome})
    return names


def _confusion(mean_iou: float, generator: np.random.Generator) -> Counts:
    """Of one slice, drawn about as well as that."""
    counts = np.zeros((len(LABELS) + 1,) * 2, dtype=np.int64)
    counts[0, 0] = 50_000
    for index, ease in enumerate(_EASE, start=1):
        size = 60_000 * SHARES[index - 1]
        value = float(np.clip(mean_iou + ease + generator.normal(0, 0.03), 0.02, 0.98))
        # As much is missed as is drawn too much.
        missed = round(size * (1 - value) / (1 + value))
        counts[index, index] = round(size) - missed
        counts[index, 0] = counts[0, index] = missed
    return counts


def keep_order(
    store: Store,
    version: str,
    found: Survey,
    settings: Settings,
    generator: np.random.Generator,
) -> None:
    """The order that the newest version would have made."""
    open_ids = np.array([task.id for task in found.tasks if not task.is_labeled and
                         not task.annotations], dtype=np.int64)  # fmt: skip
    uncertainty = generator.gamma(2.0, 0.01, len(open_ids))
    by_uncertainty = open_ids[np.argsort(-uncertainty)].tolist()
    pool = {t.id for t, out in zip(found.tasks, found.held_out, strict=True) if not out}
    candidates = [task for task in by_uncertainty if task in pool][: settings.K]
    selected = [candidates[n] for n in generator.permutation(len(candidates))[: settings.k]]
    selected.sort(key=candidates.index)
    chosen = set(selected)
    tasks = [*selected, *(task for task in by_uncertainty if task not in chosen)]
    descriptors = generator.exponential(0.5, (len(selected), 64)) ** 2
    about = about_order(tasks, selected, settings.strategy, (open_ids, uncertainty), descriptors)
    note = {
        "tasks": tasks,
        "first_free_score": len(selected) / max(1, len(tasks)),
        "quantiles": quantiles(uncertainty),
        "selected": selected,
        "next": about,
    }
    store.note(version, "order", note)
