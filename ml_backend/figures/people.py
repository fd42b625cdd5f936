"""The panel of who has labelled what, how fast, and how far people agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np

from .intervals import mean_interval, unknown
from .records import Record

_MOST_TO_ADJUDICATE = 500


def people(
    records: Sequence[Record],
    readers: Mapping[str, Any],
    *,
    address: Callable[[int], str],
    names: Mapping[int, str] | None = None,
    numbers: Mapping[str, int] | None = None,
    pseudonymous: bool = False,
) -> dict[str, Any]:
    """The panel. `readers` is a round's note of that name, `address` that of a task.

    `names` are by annotator; `numbers`, by annotator as text, are those that the ledger keeps. In a
    pseudonymous panel the number stands for the name and for Label Studio's id. Times are medians
    and quartiles, which a tab left open for a night does not move. `slices`, times and change are
    of what was drawn; `reviewed` are slices that "annotate the rest" made and this person changed.
    To adjudicate are those of the round's that are still there and have no ground truth since.
    """
    by_annotator: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_annotator[record.annotator].append(record)
    measured = {int(r["annotator"]): r for r in readers.get("readers", [])}
    suspected = {int(s["annotator"]): str(s["reason"]) for s in readers.get("suspects", [])}
    everyone = sorted(by_annotator.keys() | {who for who in measured if who > 0})
    number = _numbered(everyone, numbers or {})
    rows = [
        {
            "annotator": number[who] if pseudonymous else who,
            "name": _name(who, number[who], None if pseudonymous else names),
            **_work(by_annotator.get(who, [])),
            **_agreement(measured.get(who)),
            "suspected": suspected.get(who),
        }
        for who in everyone
    ]
    rows.sort(key=lambda row: (-row["slices"], -row["reviewed"], row["annotator"]))
    disagreement = readers.get("disagreement", {})
    decided = {record.task for record in records if record.ground_truth}
    open_tasks = {record.task for record in records} - decided
    disputed = [t for task in readers.get("adjudicate", []) if (t := int(task)) in open_tasks]
    return {
        "pseudonymous": pseudonymous,
        "people": rows,
        "adjudicate": [
            {
                "task": task,
                "address": address(task),
                "disagreement": disagreement.get(str(task)),
            }
            for task in disputed[:_MOST_TO_ADJUDICATE]
        ],
    }


def _numbered(everyone: Sequence[int], numbers: Mapping[str, int]) -> dict[int, int]:
    """A number for each; those kept stay as they are."""
    given = {who: int(numbers[str(who)]) for who in everyone if str(who) in numbers}
    last = max(numbers.values(), default=0)
    for who in everyone:
        if who not in given:
            last += 1
            given[who] = last
    return given


def _name(who: int, number: int, names: Mapping[int, str] | None) -> str:
    known = (names or {}).get(who)
    if known:
        return known
    return f"Annotator {number}" if who > 0 else "unknown (deleted account)"


def _work(everything: Sequence[Record]) -> dict[str, Any]:
    own = [record for record in everything if not record.reviewed]
    times = [r.lead_time_s for r in own if r.lead_time_s is not None]
    quartiles = np.quantile(times, [0.25, 0.5, 0.75]).tolist() if times else [None] * 3
    by_task: dict[int, list[float]] = defaultdict(list)
    for record in own:
        if record.changed is not None and record.lead_time_s:  # else nobody drew it here
            by_task[record.task].append(record.changed)
    shares = [sum(values) / len(values) for values in by_task.values()]
    return {
        "slices": len({record.task for record in own}),
        "reviewed": len({record.task for record in everything if record.reviewed}),
        "q1_s": quartiles[0],
        "median_s": quartiles[1],
        "q3_s": quartiles[2],
        "changed": mean_interval(shares),
        "drafts": len(shares),
        "last_at": max((r.created_at for r in everything if r.created_at), default=None),
    }


def _agreement(reader: Mapping[str, Any] | None) -> dict[str, Any]:
    dice = (reader or {}).get("dice") or unknown()
    return {
        "dice": {name: _known(value) for name, value in dice.items()},
        "kappa": _known((reader or {}).get("kappa")),
    }


def _known(value: float | None) -> float | None:
    """A number; None for NaN, with which a reader's figures say the same."""
    return None if value is None or isnan(value) else value
