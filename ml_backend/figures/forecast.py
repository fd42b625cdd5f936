"""Labels and hours left: to the target, to the budget, and to everything; with ranges.

What cannot be said is said so in plain words; no number stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from .learning_curve import LEAST_POINTS, Curve, fit

Interval = dict[str, float | None]

# Of the draws: a range of 90 %. Beyond so many times the labels there are, a fit says nothing.
_LOW, _HIGH = 5.0, 95.0
_FAR = 10.0
_UNREAD = "the project has not been read yet"
_Z = 1.96  # standard errors from a mean to its 95 % bound


def forecast(
    standing: Mapping[str, Any],
    versions: Sequence[Mapping[str, Any]],
    pace: Mapping[str, Any],
    *,
    target: float | None = None,
    budget: int | None = None,
) -> dict[str, Any]:
    """The panel. `versions` are the quality panel's, `pace` the figures "pace".

    `target` is the held-out mean IoU that the lower bound must reach, `budget` the labels that may
    be spent; None if it is not set. Hours are those in which people label: at the present pace, and
    with as many of them at work as now. Labels that Quorum made by itself count as none. With
    several readers a slice, what its first ones have left is to be done, too.
    """
    counts = standing.get("counts") or {}
    if not counts.get("slices", counts):
        return _of_nothing("there are no slices yet" if counts else _UNREAD, pace, target, budget)
    labels = max(0, int(counts.get("labelled", 0)) - int(counts.get("auto", 0)))
    untouched = int(counts.get("waiting", 0)) + int(counts.get("auto", 0))
    left = ceil(untouched + float(counts.get("lacking") or 0))
    to_target = None
    if target is not None:
        to_target = _with_hours(_to_target(versions, labels, untouched, target), pace)
    to_budget = None
    if budget is not None:
        to_budget = _with_hours(_to_budget(labels, untouched, budget), pace)
    done = None if left else _all_labelled(int(counts.get("skipped") or 0))
    everything = _with_hours(_left(left, left, left, done), pace)
    saved_h, says = _saved(left, to_target, to_budget, pace)
    return {
        "labels": labels,
        "labels_per_hour": _interval(pace.get("labels_per_hour")),
        "window_h": pace.get("window_h"),
        "target": to_target,
        "budget": to_budget,
        "all": everything,
        "saved_h": saved_h,
        "says": says,
    }


def _of_nothing(
    says: str, pace: Mapping[str, Any], target: float | None, budget: int | None
) -> dict[str, Any]:
    """The panel of a project without slices, or that no look has read yet: nothing is known."""
    part = _with_hours(_unknown(says), {})
    return {
        "labels": None,
        "labels_per_hour": _interval(pace.get("labels_per_hour")),
        "window_h": pace.get("window_h"),
        "target": None if target is None else part,
        "budget": None if budget is None else part,
        "all": part,
        "saved_h": _nothing(),
        "says": says,
    }


def _all_labelled(skipped: int) -> str:
    if not skipped:
        return "every slice is labelled"
    return (
        f"every slice is labelled but {skipped:,} that {'was' if skipped == 1 else 'were'} skipped"
    )


def _to_target(
    versions: Sequence[Mapping[str, Any]], labels: int, left: int, target: float
) -> dict[str, Any]:
    measured = [v for v in versions if v["mean_iou"]["mean"] is not None and v["labels"] > 0]
    if not measured:
        return _unknown("no version has been measured on held-out slices yet")
    serving = next((v for v in measured if v.get("current")), measured[-1])
    last = serving["mean_iou"]
    if last["low"] is None:
        return _unknown(
            "the target is reached once the lower bound of the mean IoU is, and there is no bound "
            "yet: fewer than 5 held-out patients have labels"
        )
    if last["low"] >= target:
        return _left(0, 0, 0, "the target is reached")
    # Of other classes, or measured on slabs of a patient and not on patients: another curve.
    alike = [v for v in measured if _measures(v) == _measures(serving)]
    usable = [v for v in alike if v["mean_iou"]["low"] is not None]
    points = {int(v["labels"]): v["mean_iou"] for v in usable}  # of equal ones the newest
    if len(points) < LEAST_POINTS:
        return _unknown(
            f"too early to say: {len(points)} of the {LEAST_POINTS} versions that a learning curve "
            "needs are there"
        )
    curve = fit(
        list(points),
        [float(p["mean"]) for p in points.values()],
        [_standard_error(p) for p in points.values()],
    )
    # The bound must reach the target: the mean then lies above it by as much as it does now.
    needed = target + float(last["mean"]) - float(last["low"])
    return _reached(curve, needed, target, labels, left)


def _reached(curve: Curve, needed: float, target: float, labels: int, left: int) -> dict[str, Any]:
    fitted, draws = curve.labels_for(needed)
    if not np.isfinite(fitted) or np.isinf(draws).mean() > 0.5:
        return _unknown(
            f"not within reach by the curve so far: it levels off at a mean IoU of {curve.a:.2f}, "
            f"and {needed:.2f} is needed for a lower bound of {target:.2f}. More labels of the "
            "same kind will hardly do it: look at the classes, the labels' agreement and the "
            "network's size"
        )
    now = max(1, labels)
    if np.median(draws) > _FAR * now:
        return _unknown(
            f"too far ahead to say: the curve so far needs more than {_FAR:.0f} times the labels "
            "there are"
        )
    low, middle, high = np.percentile(np.minimum(draws, 1e12), [_LOW, 50, _HIGH])
    # Beyond what a fit can say there is no upper end.
    open_end = high > 10 * _FAR * now
    more = [max(0, round(float(n)) - labels) for n in (low, middle, high)]
    says = None
    if more[1] > left:
        says = (
            f"more labels than the {left:,} slices that are left: import more, or lower the target"
        )
    elif more[1] == 0:
        says = "by the curve enough is labelled already: the next round should show it"
    elif open_end:
        says = "the upper end is open: the curve might level off before the target"
    return _left(more[0], more[1], None if open_end else more[2], says)


def _to_budget(labels: int, left: int, budget: int) -> dict[str, Any]:
    rest = max(0, budget - labels)
    if rest == 0:
        return _left(0, 0, 0, "the budget is spent")
    if rest > left:
        return _left(left, left, left, "the budget is for more slices than are left")
    return _left(rest, rest, rest, None)


def _with_hours(part: dict[str, Any], pace: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the hours that its labels take."""
    labels, rate = part["labels"], _interval(pace.get("labels_per_hour"))
    hours: Interval = {
        "mean": _ratio(labels["mean"], rate["mean"]),
        "low": _ratio(labels["low"], rate["high"]),
        "high": _ratio(labels["high"], rate["low"]),
    }
    says = part["says"]
    if says is None and labels["mean"] is not None and hours["mean"] is None:
        says = "no pace is known yet: hours are said once slices have been labelled for a while"
    return {"labels": labels, "hours": hours, "says": says}


def _saved(
    left: int,
    to_target: Mapping[str, Any] | None,
    to_budget: Mapping[str, Any] | None,
    pace: Mapping[str, Any],
) -> tuple[Interval, str]:
    """Hours of work that need not be done, against labelling everything, and a sentence."""
    nothing = _nothing()
    for goal, name in ((to_target, "target"), (to_budget, "budget")):
        if goal is None or goal["labels"]["mean"] is None:
            continue
        labels = goal["labels"]
        # An open end saves nothing for sure.
        spared = {
            "mean": max(0, left - labels["mean"]),
            "low": max(0, left - (left if labels["high"] is None else labels["high"])),
            "high": max(0, left - labels["low"]),
        }
        each = _interval(pace.get("work_s_per_label"))
        saved: Interval = {
            bound: None if each[bound] is None else spared[bound] * float(each[bound] or 0) / 3600
            for bound in ("mean", "low", "high")
        }
        if saved["mean"] is None:
            return saved, (
                f"{spared['mean']:,} of {left:,} slices need no label if you stop at the {name}; "
                "hours are said once the time of a label is known"
            )
        return saved, (
            f"about {_in_words(saved['mean'])} of labelling are spared if you stop at the {name}: "
            f"{spared['mean']:,} of the {left:,} slices that are left need no label"
        )
    if to_target is not None:
        return nothing, f"what is spared is not known yet: {to_target['says']}"
    return nothing, "set a target or a budget to see what is spared against labelling everything"


def _in_words(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 10 else f"{hours:,.0f} hours"


def _left(low: int, mean: int, high: int | None, says: str | None) -> dict[str, Any]:
    return {"labels": {"mean": mean, "low": low, "high": high}, "says": says}


def _unknown(says: str) -> dict[str, Any]:
    return {"labels": _nothing(), "says": says}


def _nothing() -> Interval:
    return {"mean": None, "low": None, "high": None}


def _interval(value: Mapping[str, Any] | None) -> Interval:
    return {bound: (value or {}).get(bound) for bound in ("mean", "low", "high")}


def _ratio(labels: float | None, rate: float | None) -> float | None:
    if labels is None or (labels > 0 and not rate):
        return None
    return labels / rate if labels and rate else 0.0


def _measures(version: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """What a version's figure is of: held-out units, and classes."""
    classes = [str(each["name"]) for each in version.get("classes", [])]
    return version.get("held_out_unit"), classes


def _standard_error(interval: Mapping[str, Any]) -> float:
    if interval["low"] is None or interval["high"] is None:
        return 0.0
    return max(0.0, float(interval["high"]) - float(interval["low"])) / (2 * _Z)
