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
    outstanding = outstanding_of(new)
    listed = []
    for rank, entry in enumerate(next_tasks(found, order, k), start=1):
        task = entry.task
        value = uncertainty.get(str(task.id))
        share = None if value is None else share_below(value, order.get("quantiles", []))
        strategy = about.get("strategy") if task.id in selected else None
        if entry.asked:
            why = f"Measures quality: {_UNITS[found.held_out_unit]} is never trained on."
        elif task.id in disputed:
            why = "Its annotators disagree."
        elif task.annotations:
            why = f"Has {task.annotations} of {found.overlap} annotations."
        elif entry.held_out:
            why = "Held out and not needed: it comes last."
        else:
            unlike = task.id in outstanding
            why = reason(strategy, share, unlike)
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


_UNITS = {"patient": "its patient", "slab": "its part of the patient", "slice": "it"}
_BY_UNCERTAINTY = ("uncertainty", "entropy", "bald", "mc-dropout", "power")


def outstanding_of(values: Mapping[str, float | None]) -> set[int]:
    """Of a batch's novelties, by task as text, the ids of the half that is newest.

    They follow the first: those are there for being unlike it, the others for being uncertain.
    """
    known = {int(task): value for task, value in values.items() if value is not None}
    middle = float(np.median(list(known.values()))) if known else 0.0
    return {task for task, value in known.items() if value > 0 and value >= middle}


def reason(strategy: str | None, share: float | None, unlike: bool = False) -> str:
    """Why a slice stands where it does, in one short sentence beside its picture and its bars.

    `strategy` is what selected it, COLD_START before there was any label, None if it only follows
    the selected batch; `share` is the share of the pool that is less uncertain; `unlike` says that
    it is of the newest of its batch.
    """
    if strategy == COLD_START:
        return "No label yet: chosen by where slices lie and what they look like."
    if strategy == "random":
        return "Drawn at random."
    unsure = _unsure(share)
    if strategy is None:
        return f"Next in line: {unsure}." if unsure else "Next in line."
    sentence = f"{unsure[0].upper()}{unsure[1:]}." if unsure else "The networks disagree about it."
    # By depth, a batch is not chosen for being unlike: it may be, and that is not why.
    if strategy in (*_BY_UNCERTAINTY, "two-stage-depth", "two-stage-narrowing"):
        return sentence
    if strategy == "two-stage-coverage":
        return "It stands for many slices that the networks disagree about."
    if strategy.startswith("two-stage"):
        return "Unlike those before it." if unlike else sentence
    return f"Chosen by the strategy '{strategy}'."


def _unsure(share: float | None) -> str | None:
    """How uncertain a slice is among those without a label."""
    if share is None:
        return None
    if share < 0.5:
        return "the networks rather agree about it"
    top = max(1, round(100 * (1 - share)))
    return f"among the {top} % the networks disagree about most"
