"""What the data is: how large the classes are where annotators drew them, and what was imported."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

CLASSES = "classes"

# Ten bins of equal ratio, from a ten-thousandth of the image (26 pixels of 512 x 512) to all of it.
EDGES = tuple(float(f"{edge:.4g}") for edge in np.geomspace(1e-4, 1.0, 11))
_MOST_BYTES = 4 * 2**20  # of an import's counts: tens of thousands of imports
_COUNTED = ("held", "released", "refused")


class Recorded(Protocol):
    """What is read of an annotation's record; records.Record is one."""

    @property
    def task(self) -> int: ...
    @property
    def ground_truth(self) -> bool: ...
    @property
    def areas(self) -> Mapping[str, float] | None: ...


def class_figures(labels: Sequence[str], areas: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    """How large each class is where it was drawn; to be kept under the figures "classes".

    `areas` has an entry for each annotated slice: the share of the image, 0 to 1, that each class
    fills, absent classes left out or 0. Quartiles are of the slices where a class was drawn; the
    histogram counts them by EDGES, what is smaller in the first bin. A class that is drawn nowhere
    has None for its quartiles.
    """
    drawn: dict[str, list[float]] = {name: [] for name in labels}
    annotated = empty_masks = 0
    for entry in areas:
        annotated += 1
        found = [(name, float(share)) for name, share in entry.items() if share > 0]
        empty_masks += not found
        for name, share in found:
            if name in drawn:  # not one of an older label config
                drawn[name].append(share)
    return {
        "classes": [_of_class(name, shares, annotated) for name, shares in drawn.items()],
        "edges": list(EDGES),
        "empty_masks": empty_masks,
        "annotated": annotated,
    }


def areas_by_slice(records: Iterable[Recorded]) -> list[Mapping[str, float]]:
    """What class_figures() takes, from records of annotations: the mean of a slice's several.

    Of a slice with a ground truth that alone counts. What could not be read is left out.
    """
    by_task: dict[int, list[Recorded]] = {}
    for record in records:
        if record.areas is not None:
            by_task.setdefault(record.task, []).append(record)
    found: list[Mapping[str, float]] = []
    for own in by_task.values():
        counted = [r.areas or {} for r in own if r.ground_truth] or [r.areas or {} for r in own]
        names = {name for areas in counted for name in areas}
        found.append(
            {name: sum(areas.get(name, 0.0) for areas in counted) / len(counted) for name in names}
        )
    return found


def _of_class(name: str, shares: Sequence[float], annotated: int) -> dict[str, Any]:
    quartiles: list[float | None] = [None, None, None]
    if shares:
        quartiles = [float(f"{q:.6g}") for q in np.quantile(shares, [0.25, 0.5, 0.75])]
    histogram, _ = np.histogram(np.clip(shares, EDGES[0], EDGES[-1]), bins=np.asarray(EDGES))
    return {
        "name": name,
        "slices": len(shares),
        "empty": annotated - len(shares),
        "q1_share": quartiles[0],
        "median_share": quartiles[1],
        "q3_share": quartiles[2],
        "histogram": [int(count) for count in histogram],
    }


def quarantined(data_dir: Path, project_id: int) -> dict[str, Any] | None:
    """What the importer set aside for a person, from the counts it leaves on the same machine.

    None where it leaves none: it may well run on another machine. `held` are objects that still
    wait, `released` and `refused` those that a person has decided; `reasons` are of all that were
    ever set aside or could not be read. A line that is damaged counts for nothing.
    """
    path = data_dir / "imports" / f"{int(project_id)}.jsonl"
    try:
        with path.open("rb") as stream:
            lines = stream.read(_MOST_BYTES).splitlines()
    except OSError:
        return None
    total: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for line in lines:
        try:
            entry = json.loads(line)
            counted = {name: int(entry.get(name) or 0) for name in _COUNTED}
            why = {str(k)[:80]: int(n) for k, n in (entry.get("reasons") or {}).items()}
        except (ValueError, TypeError, AttributeError):
            continue
        total.update(counted)
        reasons.update(why)
    return {
        "held": max(0, total["held"] - total["released"] - total["refused"]),
        "released": total["released"],
        "refused": total["refused"],
        "reasons": [{"reason": name, "objects": n} for name, n in reasons.most_common()],
    }


def data(
    standing: Mapping[str, Any],
    classes: Mapping[str, Any],
    set_aside: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The panel: `standing` and `classes` are figures of these names, the rest quarantined()'s."""
    return {
        "by": standing.get("by", {}),
        "classes": classes.get("classes", []),
        "edges": classes.get("edges", list(EDGES)),
        "empty_masks": classes.get("empty_masks", 0),
        "annotated": classes.get("annotated", 0),
        "quarantined": dict(set_aside) if set_aside is not None else None,
    }
