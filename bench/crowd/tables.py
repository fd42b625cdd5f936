"""The tables that bench crowd prints."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..pages import hardware, markdown_table
from .checks import Check, expected, without_a_task_s
from .recording import SKIPPED, SUBMITTED, Asked, Published, Recording
from .timeline import CRITERION, Timeline, first_handouts

_SHOWN = 5  # faults named for each claim


def report(recording: Recording, checks: Sequence[Check]) -> str:
    """Everything for people: claims with their counts, rounds, waiting, and how it was judged."""
    parts = [_claims(checks), _rounds(recording), _waiting(recording), CRITERION.strip()]
    facts = [f"{name}: {value}" for name, value in recording.facts.items()]
    parts.append("\n".join([*facts, hardware()]))
    broken = [
        f"NOT HELD: {check.claim}: {fault}" for check in checks for fault in check.broken[:_SHOWN]
    ]
    return "\n\n".join([*parts, *(["\n".join(broken)] if broken else [])])


def _claims(checks: Sequence[Check]) -> str:
    rows: list[Sequence[object]] = [("claim", "looked at", "violations", "")]
    for check in checks:
        held = "held" if not check.broken else "NOT HELD"
        rows.append((check.claim, f"{check.looked_at} {check.of}", len(check.broken), held))
    return markdown_table(rows)


def _rounds(recording: Recording) -> str:
    timeline = Timeline(recording)
    handouts = first_handouts(recording)
    begin = min((asked.begun for asked in recording.asked), default=0.0)
    heads = (
        "version, gathered s, served from s, labels in set, of labels due, selected, "
        "out before, served, left, first hand-outs, in exact order"
    )
    rows: list[Sequence[object]] = [heads.split(", ")]
    for version in recording.published:
        own = [a for a in handouts if timeline.possible(a) == [version]]
        chosen = _batch(version, handouts, timeline)
        due = expected(recording, version) if version.training_tasks else set()
        used = set(version.training_tasks)
        live = timeline.first_seen[version.version] - begin
        rows.append(
            (
                version.version,
                f"{version.gathered_at - begin:.0f}",
                f"{live:.0f}" if timeline.was_live(version.version) else "never",
                len(used),
                f"{len(due & used)} of {len(due)}",
                len(version.selected),
                *chosen,
                len(own),
                _exact(version, own),
            )
        )
    return markdown_table(rows)


def _batch(
    version: Published, handouts: Sequence[Asked], timeline: Timeline
) -> tuple[int, int, int]:
    """Of the selected batch: how much was out before the version, served by it, and left.

    What is left was taken over by the next version's order, or the run ended.
    """
    possible = {a.task: timeline.possible(a) for a in handouts}
    served = sum(version in possible.get(task, []) for task in version.selected)
    left = sum(
        task not in possible or possible[task][0].version > version.version
        for task in version.selected
    )
    return len(version.selected) - served - left, served, left


def _exact(version: Published, handouts: Sequence[Asked]) -> str:
    """How many first hand-outs follow the one answered before: no allowance for overlap in time."""
    places = {task: place for place, task in enumerate(version.tasks[: version.made])}
    served = [places[a.task] for a in handouts if a.task in places]
    pairs = list(itertools.pairwise(served))
    return f"{sum(a < b for a, b in pairs)} of {len(pairs)}"


def _waiting(recording: Recording) -> str:
    rows: list[Sequence[object]] = [("waiting", "requests", "p50 s", "p95 s", "p99 s", "max s")]
    rows.append(_row("for the next task", [a.ended - a.begun for a in recording.asked]))
    for how, name in ((SUBMITTED, "for Submit"), (SKIPPED, "for Skip")):
        rows.append(_row(name, [a.ended - a.begun for a in recording.answered if a.how == how]))
    joined = ", ".join(f"{seconds:.0f} s" for seconds in recording.joined_s) or "none"
    return (
        f"{markdown_table(rows)}\n\n"
        f"Annotators without a task: {without_a_task_s(recording):.0f} s altogether. "
        f"Imported tasks were all queued after: {joined}."
    )


def _row(name: str, seconds: Sequence[float]) -> Sequence[Any]:
    if not seconds:
        return (name, 0, "–", "–", "–", "–")
    shown = [f"{value:.2f}" for value in np.percentile(seconds, (50, 95, 99, 100))]
    return (name, len(seconds), *shown)
