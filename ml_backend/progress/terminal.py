"""A project in a few lines, for a terminal: what the panels "now" and "quality" hold.

Nothing is computed here; a line that has nothing to say is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .glance import STEPS, trainers

Panel = Mapping[str, Any]

_SHOWN = 5  # of the complaints
_ENDED = {
    "trained": "the last one trained {version}",
    "ordered": "the last one made the first order, {version}",
    "nothing": "the last one found nothing new to train on",
}


def in_lines(now: Panel, quality: Panel) -> list[str]:
    """Lines such as ``round     Training the committee: 124 of 500 (r0002-6b9212)``."""
    title = now["title"] or "project"
    lines = [f"{title} (project {now['project_id']})"]
    lines += [f"{name:<9} {text}" for name, text in _told(now, quality) if text]
    return lines


def _told(now: Panel, quality: Panel) -> Iterator[tuple[str, str]]:
    yield "slices", _slices(now["counts"])
    yield "round", _round(now)
    for text in _errors(now):
        yield "", text
    yield "drafts", _drafts(quality)
    yield "goal", ((quality.get("stopping") or {}).get("reason") or "")
    yield "rest", _rest(now["rest"])
    yield "rollback", _rollback(now["rollback"])
    if not now.get("redis_away") and not trainers(now["workers"]):
        yield "workers", "none that trains is running: start one with ./quorum up"
    problems = now["problems"]
    for problem in problems[:_SHOWN]:
        yield "left out", f"task {problem['task_id']}: {problem['reason']}"
    more = len(problems) - _SHOWN + (now.get("problems_left_out") or 0)
    if more > 0:
        yield "", f"{more:,} more complaints are on the progress page"


def _slices(counts: Panel) -> str:
    if counts.get("slices") is None:
        return "not read yet"
    auto = counts.get("auto") or 0
    by_hand = (counts.get("labelled") or 0) - auto
    parts = [f"{by_hand:,} of {counts['slices']:,} labelled"]
    if auto:
        parts.append(f"{auto:,} more by the committee")
    if counts.get("skipped"):
        parts.append(f"{counts['skipped']:,} skipped")
    parts.append(f"{counts.get('waiting') or 0:,} wait")
    held_out = f"{counts.get('evaluation') or 0:,} held-out labels to measure with"
    return ", ".join(parts) + f"; {held_out}"


def _round(now: Panel) -> str:
    found = now["round"]
    paused = "; paused: none begins by itself" if now["paused"] else ""
    if not found or not found["job_status"]:
        return f"none yet{paused}"
    waits = "; another waits behind it" if found["waits"] else ""
    if found["job_status"] == "started":
        step = STEPS.get(found["step"], found["step"]) or "Beginning"
        far = f": {found['done']:,} of {found['total']:,}" if found["total"] else ""
        version = f" ({found['version']})" if found["version"] else ""
        return f"{step}{far}{version}{waits}"
    if found["job_status"] == "queued":
        return "waits for a worker"
    ended = {
        "finished": _ENDED.get(found["did"], "the last one has ended"),
        "failed": "the last one failed",
        "canceled": "the last one was stopped",
    }.get(found["job_status"], found["job_status"])
    return ended.format(version=found["version"]) + (waits or paused)


def _errors(now: Panel) -> Iterator[str]:
    """Each on lines of its own: they are sentences."""
    found = now["round"] or {}
    for error, remedy in (
        (found.get("error"), found.get("remedy")),
        (now["trouble"], now["remedy"]),
    ):
        if error:
            yield str(error)
        if error and remedy:
            yield str(remedy)


def _drafts(quality: Panel) -> str:
    serving = next((row for row in quality["versions"] if row["current"]), None)
    if serving is None:
        return "no version yet"
    if not serving["training"]:
        return f"none: {serving['version']} is an order alone"
    interval = serving["mean_iou"]
    if interval["mean"] is None:
        measured = "not measured"
    else:
        measured = f"mean IoU {interval['mean']:.3f}"
        if interval["low"] is not None and interval["high"] is not None:
            measured += f" ({interval['low']:.3f} to {interval['high']:.3f})"
        measured += f" on {serving['evaluation']:,} held-out slices"
    return f"by {serving['version']}, trained on {serving['training']:,} slices; {measured}"


def _rest(rest: Panel | None) -> str:
    if not rest or not rest["state"]:
        return ""
    far = f", {rest['done']:,} of {rest['total']:,}" if rest["total"] else ""
    why = f": {rest['error']}" if rest["error"] else ""
    return f"{rest['state']}{far}, as {rest['as']}{why}"


def _rollback(back: Panel | None) -> str:
    if not back or back["state"] not in ("running", "failed"):
        return ""
    why = f": {back['error']}" if back["error"] else ""
    return f"to {back['version']}, {back['state']}{why}"
