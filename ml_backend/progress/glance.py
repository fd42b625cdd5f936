"""What the page says of its panels at a glance: the parts of a project, a round's phases, concerns.

Panels are read as they are; nothing is computed over tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .charts import Scale, bounds, known

# A round's steps, as the queue names them, in the three phases that people are shown. The page
# hands these and STEPS to page.js.
PHASES = (
    ("train", "Train", ("gather", "encode", "train", "further", "evaluate", "publish")),
    ("score", "Score", ("score", "order")),
    ("push", "Push", ("push",)),
)
STEPS: Mapping[str, str] = {
    "gather": "Reading the labels",
    "encode": "Learning features of the images",
    "train": "Training the committee",
    "further": "Training the committee further",
    "evaluate": "Measuring quality on held-out slices",
    "publish": "Publishing the version",
    "score": "Scoring the pool",
    "order": "Choosing the next slices",
    "push": "Sending drafts and the order to Label Studio",
}
_SILENT_S = 120.0
_MOST_PEOPLE = 50  # with a row of their own
ATTENDANT = "attendant"  # the device of a worker for short jobs alone


def parts(counts: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """A project's slices as disjoint parts that add up: (class, name, count)."""

    def of(name: str) -> int:
        return int(counts[name]) if known(counts.get(name)) else 0

    auto, partly = of("auto"), of("partly")
    by_hand = max(0, of("labelled") - auto - partly)
    held_out = max(0, of("waiting") - of("pool"))
    found = [
        ("labelled", "labelled", by_hand),
        ("partly", "partly labelled", partly),
        ("auto", "by the committee", auto),
        ("pool", "in the pool", of("pool")),
        ("held", "held out, no label yet", held_out),
        ("skipped", "skipped", of("skipped")),
    ]
    rest = of("slices") - sum(count for _, _, count in found)
    return [*found, *([("other", "closed without a label", rest)] if rest > 0 else [])]


def phases(found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A round's three phases: {"name", "title", "state": done, now or ahead, "share"}.

    `share` is how far a phase is, 0 to 1; None while it runs and its end is not known.
    """
    step = (found or {}).get("step")
    running = (found or {}).get("job_status") == "started"
    at = next((n for n, (_, _, steps) in enumerate(PHASES) if step in steps), 0)
    listed = []
    for index, (name, title, _) in enumerate(PHASES):
        state, share = "ahead", 0.0 if not running or index != at else None
        if running and index < at:
            state, share = "done", 1.0
        elif running and index == at:
            state = "now"
            # The committee's own steps are most of the first phase.
            if step in (name, "further"):
                share = _ratio((found or {}).get("done"), (found or {}).get("total"))
        listed.append({"name": name, "title": title, "state": state, "share": share})
    return listed


def concerns(
    now: Mapping[str, Any], people: Mapping[str, Any], data: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What somebody should look at, worst first: {"grave": bool, "text", "remedy", "to"}."""
    found: list[dict[str, Any]] = []

    def add(grave: bool, text: str, to: str, remedy: str | None = None) -> None:
        found.append({"grave": grave, "text": text, "remedy": remedy, "to": to})

    round_ = now.get("round") or {}
    if now.get("trouble"):
        add(True, f"The project could not be read: {now['trouble']}", "now", now.get("remedy"))
    if round_.get("error"):
        runs = round_.get("job_status") == "started"
        what = "The round is trying again" if runs else "The last round failed"
        add(not runs, f"{what}: {round_['error']}", "now", round_.get("remedy"))
    rest = now.get("rest") or {}
    if rest.get("state") == "failed":
        add(True, f"Annotating the rest failed: {rest.get('error') or 'see the log'}", "rest")
    back = now.get("rollback") or {}
    if back.get("state") == "failed":
        version = back.get("version") or "another version"
        add(
            True, f"Going back to {version} failed: {back.get('error') or 'see the log'}", "quality"
        )
    workers = now.get("workers") or []
    start = "Start one: ./quorum up"
    silent = [w for w in workers if known(w.get("silent_s")) and w["silent_s"] > _SILENT_S]
    told = now.get("updated_at") and not now.get("redis_away")
    if told and not workers:
        add(True, "No worker is running", "workers", start)
    elif told and not trainers(workers):
        add(True, "No worker that trains is running", "workers", start)
    elif silent:
        add(False, f"{_several(len(silent), 'worker is', 'workers are')} silent", "workers")
    suspects = [p for p in people.get("people") or [] if p.get("suspected")]
    if suspects:
        count = _several(len(suspects), "annotator draws", "annotators draw")
        add(False, f"{count} unlike the others", "people")
    adjudicate = people.get("adjudicate") or []
    if adjudicate:
        add(
            False,
            f"{_several(len(adjudicate), 'slice waits', 'slices wait')} for a reviewer",
            "people",
        )
    problems = now.get("problems") or []
    if problems:
        every = len(problems) + (now.get("problems_left_out") or 0)
        count = _several(every, "slice was", "slices were")
        add(False, f"{count} left out of the last round", "problems")
    held = (data.get("quarantined") or {}).get("held")
    if held:
        add(False, f"{_several(held, 'object waits', 'objects wait')} in quarantine", "data")
    if now.get("paused"):
        add(False, "Rounds are paused", "actions")
    return sorted(found, key=lambda concern: not concern["grave"])


def trainers(workers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The workers that train and score; attendants only look after what is short."""
    return [worker for worker in workers if worker.get("device") != ATTENDANT]


def first_people(
    people: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Who has a row of their own, and the rest: suspects come first where not all have one."""
    if len(people) <= _MOST_PEOPLE:
        return list(people), []
    ordered = sorted(people, key=lambda person: not person.get("suspected"))
    return ordered[:_MOST_PEOPLE], ordered[_MOST_PEOPLE:]


def outline(now: Mapping[str, Any]) -> dict[str, Any]:
    """What of the panel "now" decides how the page is built, in the panel's own form.

    page.js compares it with the first answer that it gets: what has changed in between is shown.
    """

    def some(found: Mapping[str, Any], *names: str) -> dict[str, Any]:
        return {name: found.get(name) for name in names}

    round_, rest, back = now.get("round"), now.get("rest"), now.get("rollback")
    return {
        "round": some(round_, "job_status", "version", "error", "waits") if round_ else None,
        "next": [some(slice_, "task", "picture") for slice_ in now.get("next") or []],
        "rest": some(rest, "state") if rest else None,
        "rollback": some(back, "state", "version", "error") if back else None,
        "others": now.get("others"),
        "paused": now.get("paused"),
        "trouble": now.get("trouble"),
        "counts": dict(now.get("counts") or {}),
        "problems": [some(problem, "task_id") for problem in now.get("problems") or []],
        "workers": [some(w, "name", "doing", "silent_s") for w in now.get("workers") or []],
    }


def goal(forecast: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    """What the forecast at the top is to: the target, or the budget, or every slice."""
    for name in ("target", "budget"):
        if forecast.get(name):
            return name, forecast[name]
    return "all", forecast.get("all")


def ratio_scale(intervals: Sequence[Mapping[str, Any] | None]) -> Scale:
    """A logarithmic scale about 1, at least from a half to the double, that holds all of them."""
    widest = 2.0
    for interval in intervals:
        for value in bounds(interval):
            if value is not None and value > 0:
                widest = max(widest, value, 1 / value)
    return Scale(1 / min(widest * 1.05, 20.0), min(widest * 1.05, 20.0), logarithmic=True)


def highest(intervals: Sequence[Mapping[str, Any] | None]) -> float:
    """The highest value among intervals, 1 if there is none: where a scale from 0 ends."""
    values = [v for interval in intervals for v in bounds(interval) if v is not None]
    return max([*values, 0.0]) or 1.0


def class_curves(versions: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    """A class's IoU in each version, oldest first; None where it was not measured."""
    return [
        next((c.get("iou") for c in v.get("classes") or [] if c.get("name") == name), None)
        for v in versions
    ]


def _ratio(done: Any, total: Any) -> float | None:
    return min(1.0, max(0.0, done / total)) if known(done) and known(total) and total else None


def _several(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
