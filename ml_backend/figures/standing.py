"""How a project stands: how much of it is labelled, and what its slices are of.

Kept under the figures "standing" at every look, which has read all tasks anyway: the page shows
what was kept, and reads no task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..label_studio import Task
from ..survey import Survey

# What statistics are by: the keys of a task's data that the importer writes.
STATISTICS = ("modality", "body_part", "series", "patient")
OTHERS = "others"

_MOST_VALUES = 50
_MOST_PROBLEMS = 100
_MOST_CHARACTERS = 64  # of a value: tasks of other importers may hold anything


def standing(
    found: Survey,
    title: str | None = None,
    *,
    auto: Collection[int] | None = None,
    problems: Sequence[Mapping[str, Any]] = (),
    at: datetime | None = None,
) -> dict[str, Any]:
    """What the page shows of a survey, JSON-able and below 100 kB however large the project is.

    `title` and `auto`, the ids of tasks that Quorum alone has annotated, are the survey's own
    unless they are given; `problems` are the last round's, each {"task_id", "reason"}, of which
    the first 100 are kept. Times are ISO 8601 in UTC.
    """
    moment = at or datetime.now(timezone.utc)
    made = found.automatic if auto is None else frozenset(auto)
    return {
        "project_id": found.project_id,
        "title": found.title if title is None else title,
        "updated_at": moment.astimezone(timezone.utc).isoformat(timespec="seconds"),
        "counts": counts(found, made),
        "overlap": found.overlap,
        "held_out_unit": found.held_out_unit,
        "by": {key: statistics(found.tasks, _value_of(key), made) for key in STATISTICS},
        "problems": [dict(problem) for problem in problems[:_MOST_PROBLEMS]],
        "problems_left_out": max(0, len(problems) - _MOST_PROBLEMS),
    }


def counts(found: Survey, auto: Collection[int] = ()) -> dict[str, float]:
    """Slices of a project, by what has become of them.

    slices: all of them
    labelled: with a submitted annotation, whoever made it
    partly: labelled by people, but by fewer than the project's overlap asks for
    lacking: what annotations those still lack, in slices: one of three readers leaves 0.67
    pool: what rounds choose from: open, not held out, neither labelled nor skipped by anybody
    held_out: never trained on, labelled or not
    evaluation: held out and labelled, as the newest version's quality would be measured with
    skipped: skipped by somebody and labelled by nobody
    auto: labelled by Quorum alone (`auto`), which nobody has looked at yet; among `labelled`
    waiting: neither labelled nor skipped, held out or not: all that is left to do
    """
    own = set(auto)
    tally: Counter[str] = Counter()
    lacking = 0.0
    for task, held_out in zip(found.tasks, found.held_out.tolist(), strict=True):
        labelled = task.annotations > 0
        waiting = not (labelled or task.skipped or task.is_labeled)
        tally["labelled"] += labelled
        partly = labelled and task.id not in own and task.annotations < found.overlap
        tally["partly"] += partly
        if partly and not task.is_labeled:  # what is served no more is not left to do
            lacking += 1 - task.annotations / found.overlap
        tally["pool"] += waiting and not held_out
        tally["held_out"] += held_out
        tally["skipped"] += bool(task.skipped and not labelled)
        tally["auto"] += labelled and task.id in own
        tally["waiting"] += waiting
    tally["slices"] = len(found.tasks)
    tally["evaluation"] = len(found.labelled(held_out=True))
    return {name: round(lacking, 2) if name == "lacking" else tally[name] for name in COUNTS}


# What counts() counts, by name.
COUNTS = (
    "slices",
    "labelled",
    "partly",
    "lacking",
    "pool",
    "held_out",
    "evaluation",
    "skipped",
    "auto",
    "waiting",
)


def statistics(
    tasks: Sequence[Task],
    value_of: Callable[[Task], str | None],
    auto: Collection[int] = (),
) -> list[dict[str, Any]]:
    """Slices and those that people labelled by a value, most slices first; None where it has none.

    `auto` are tasks that Quorum alone has annotated: they are not labelled here.
    Beyond 50 values the rest is one entry, "others", that says how many values it stands for.
    """
    slices: Counter[str | None] = Counter()
    labelled: Counter[str | None] = Counter()
    for task in tasks:
        value = value_of(task)
        slices[value] += 1
        labelled[value] += task.annotations > 0 and task.id not in auto
    # Of equally many the names decide, that a look changes nothing without need.
    ordered = sorted(slices, key=lambda value: (-slices[value], value is None, value or ""))
    shown = [
        {"value": value, "slices": slices[value], "labelled": labelled[value]}
        for value in ordered[:_MOST_VALUES]
    ]
    rest = ordered[_MOST_VALUES:]
    if rest:
        shown.append(
            {
                "value": OTHERS,
                "slices": sum(slices[value] for value in rest),
                "labelled": sum(labelled[value] for value in rest),
                "values": len(rest),
            }
        )
    return shown


def _value_of(key: str) -> Callable[[Task], str | None]:
    def value_of(task: Task) -> str | None:
        value = task.data.get(key)
        return None if value in (None, "") else str(value)[:_MOST_CHARACTERS]

    return value_of
