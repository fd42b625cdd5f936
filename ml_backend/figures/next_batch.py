"""The slices that annotators get next, and why each of them.

A round keeps in its note "order" what only it knows: how uncertain the committee is about the first
slices of the order, and how new each selected one is. What is next then follows from the order and
the tasks as they are at a look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..label_studio import Task
from ..survey import Survey

NEXT = "next"
COLD_START = "cold start"

_KEPT = 500  # slices of an order whose uncertainty is kept


def about_order(
    tasks: Sequence[int],
    selected: Sequence[int],
    strategy: str,
    scored: tuple[npt.NDArray[np.int64], npt.NDArray[np.floating[Any]]] | None = None,
    descriptors: npt.NDArray[np.floating[Any]] | None = None,
) -> dict[str, Any]:
    """What a round is to keep of its order, JSON-able and small, in the note "order" under "next".

    `tasks` is the order, `selected` the batch in the order chosen, `strategy` its name or
    COLD_START. `scored` are the pool's task ids and uncertainties, both (N,), None where nothing
    was scored; `descriptors`, (R, D), are those of the selected.
    """
    ahead = list(tasks[:_KEPT])
    known: dict[int, float] = {}
    if scored is not None:
        wanted = np.isin(scored[0], [*ahead, *selected]) & np.isfinite(scored[1])
        known = dict(zip(scored[0][wanted].tolist(), scored[1][wanted].tolist(), strict=True))
    new = novelty(descriptors) if descriptors is not None and len(descriptors) else []
    return {
        "tasks": len(tasks),
        "strategy": strategy,
        "uncertainty": {str(task): float(f"{value:.10g}") for task, value in known.items()},
        "novelty": {
            str(task): None if value is None else round(value, 6)
            for task, value in zip(selected, new, strict=False)
        },
    }


def novelty(descriptors: npt.NDArray[np.floating[Any]]) -> list[float | None]:
    """1 - each one's highest cosine similarity to those before it, of (R, D); None for the first.

    A descriptor of zeros is like no other.
    """
    rows = np.asarray(descriptors, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    alike = np.clip(rows @ rows.T, -1.0, 1.0)
    return [None if n == 0 else float(1 - alike[n, :n].max()) for n in range(len(rows))]


def share_below(uncertainty: float, quantiles: Sequence[float]) -> float | None:
    """Share of the pool, 0 to 1, that is less uncertain, from its quantiles; None without any."""
    if len(quantiles) < 2:
        return None
    place = int(np.searchsorted(np.asarray(quantiles), uncertainty, side="left"))
    if place == 0 or place == len(quantiles):
        return float(place > 0)
    below, above = quantiles[place - 1], quantiles[place]
    return (place - 1 + (uncertainty - below) / (above - below)) / (len(quantiles) - 1)


@dataclass(frozen=True)
class Waiting:
    """A task that is served soon."""

    task: Task
    asked: bool  # to be labelled to evaluate with
    held_out: bool


def next_tasks(found: Survey, order: Mapping[str, Any], k: int) -> list[Waiting]:
    """The k tasks that are served next.

    Those that somebody has skipped are passed over: they come again, but nobody waits for them.
    """
    count = (order.get(NEXT) or {}).get("tasks", len(order.get("tasks", [])))
    ranks = {task_id: rank for rank, task_id in enumerate(order.get("tasks", []))}
    sides = zip(found.tasks, found.evaluation.tolist(), found.held_out.tolist(), strict=True)
    waiting = []
    for task, evaluation, held_out in sides:
        if task.is_labeled or task.skipped or task.id not in ranks:
            continue
        rank, asked = ranks[task.id], bool(evaluation) and task.annotations == 0
        # What came after the order was made goes behind it, or before all if it is to evaluate.
        first = 0 if asked and rank >= count else 1
        waiting.append(((first, rank), Waiting(task, asked, bool(held_out))))
    waiting.sort(key=lambda entry: entry[0])
    return [entry for _, entry in waiting[:k]]


def entries(
    found: Survey,
    order: Mapping[str, Any],
    version: str,
    k: int,
    *,
    url: str,
    adjudicate: Sequence[int] = (),
) -> list[dict[str, Any]]:
    """The next k slices of a version's order, without pictures.

    `order` is the note of that name, `adjudicate` are ids of slices whose annotators disagree, and
    `url` is Label Studio's address.
    """
    about = order.get(NEXT) or {}
    uncertainty, new = about.get("uncertainty", {}), about.get("novelty", {})
    selected, disputed = set(order.get("selected", [])), set(adjudicate)
    listed = []
    for rank, entry in enumerate(next_tasks(found, order, k), start=1):
        task = entry.task
        value = uncertainty.get(str(task.id))
        share = None if value is None else share_below(value, order.get("quantiles", []))
        strategy = about.get("strategy") if task.id in selected else None
        if entry.asked:
            why = f"It measures quality on {_UNITS[found.held_out_unit]} never trained on."
        elif task.id in disputed:
            why = "Its annotators disagree: another opinion is needed."
        elif task.annotations:
            why = f"It has {task.annotations} of {found.overlap} annotations: another is needed."
        elif entry.held_out:
            why = "It is held out and not needed to measure quality: it comes last."
        else:
            why = reason(strategy, share, first=[task.id] == order.get("selected", [])[:1])
        listed.append(
            {
                "task": task.id,
                "address": f"{url}/projects/{found.project_id}/data?task={task.id}",
                "rank": rank,
                "version": version,
                "uncertainty": value,
                "uncertainty_share": share,
                "novelty": new.get(str(task.id)),
                "reason": why,
                "picture": None,
            }
        )
    return listed


_UNITS = {
    "patient": "patients that are",
    "slab": "parts of the patient that are",
    "slice": "slices that are",
}
_DIVERSE = "; of such slices it is among the least like those chosen before it"
_BY_UNCERTAINTY = ("uncertainty", "entropy", "bald", "mc-dropout", "power")


def reason(strategy: str | None, share: float | None, first: bool = False) -> str:
    """Why a slice stands where it does, in one sentence for people.

    `strategy` is what selected it, COLD_START before there was any label, None if it only follows
    the selected batch; `share` is the share of the pool that is less uncertain; `first` says that
    nothing was chosen before it.
    """
    if strategy == COLD_START:
        if first:
            return "It was chosen first; no label exists yet."
        return "It is unlike what was chosen before it; no label exists yet."
    unsure = "the committee's networks disagree about it"
    if share is not None and share >= 0.995:
        unsure += " more than about any other slice"
    elif share is not None:
        unsure += f" more than about {share:.0%} of the unlabelled slices"
    if strategy is None:
        known = share is not None
        return f"It is next in line{f': {unsure}' if known else '; its uncertainty is not known'}."
    if strategy == "random":
        return "It was drawn at random."
    sentence = unsure[0].upper() + unsure[1:]
    if strategy in _BY_UNCERTAINTY:
        return f"{sentence}."
    if strategy == "two-stage-coverage":
        return f"{sentence}, and many other slices are like it."
    if strategy.startswith("two-stage"):
        return f"{sentence}{'' if first else _DIVERSE}."
    return f"The strategy '{strategy}' chose it."
