"""Is the draft a help? Slices whose draft was held back by chance, compared with all others.

Chance decides by slice, so the slices of both arms are alike; who labels them is not evened out by
it, and people differ more than drafts do. Each annotator is therefore compared with himself, see
within.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .intervals import Interval, capped, mean_interval
from .records import WITH, WITHOUT, Record
from .within import Values, within

LEAST = 10  # slices of an arm below which nothing is claimed


def trial(records: Sequence[Record], *, share: float, seed: int = 0) -> dict[str, Any]:
    """The panel. `share` is the setting: of the slices, how many are held back.

    Only annotations from when drafts were there count, in both arms, and of these only those that
    somebody drew: what has no time was imported, or submitted by a script. Ratios are with /
    without, of geometric means; seconds are means, with times far off an annotator's usual ones
    brought back.
    """
    known = [r for r in records if r.arm in (WITH, WITHOUT) and r.lead_time_s]
    times = _times(known)
    drawn = _of(known, lambda r: float(np.log(r.area)) if r.area else None)
    log_times = Values(times.tasks, times.annotators, times.arms, np.log(times.values).tolist())
    ratio = _exponential(within(log_times, seed))
    area_ratio = _exponential(within(drawn, seed + 1))
    saved_s = _negative(within(times, seed))
    drafts = sum(record.arm == WITH for record in known)
    agreement = {arm: _agreement(known, arm, seed) for arm in (WITH, WITHOUT)}
    counted = times.slices()
    areas = min(drawn.slices().values())
    return {
        "share": share,
        **{arm: _arm(known, arm) for arm in (WITH, WITHOUT)},
        "time_ratio": ratio,
        "saved_s": saved_s,
        "saved_h": {k: None if v is None else v * drafts / 3600 for k, v in saved_s.items()},
        "agreement": agreement,
        "area_ratio": area_ratio,
        "verdict": " ".join(
            [
                *_of_time(known, share, counted, ratio, saved_s),
                *(_of_area(area_ratio) if min(*counted.values(), areas) >= LEAST else []),
            ]
        ),
    }


def _times(known: Sequence[Record]) -> Values:
    by_annotator: dict[int, list[Record]] = defaultdict(list)
    for record in known:
        by_annotator[record.annotator].append(record)
    found = Values([], [], [], [])
    for who, own in sorted(by_annotator.items()):
        # Both arms by one fence: two of their own could move them apart.
        bounded = capped(np.array([r.lead_time_s for r in own], dtype=np.float64))
        found.tasks.extend(r.task for r in own)
        found.annotators.extend([who] * len(own))
        found.arms.extend(str(r.arm) for r in own)
        found.values.extend(bounded.tolist())
    return found


def _of(known: Sequence[Record], value: Callable[[Record], float | None]) -> Values:
    rows = [(r, v) for r in known if (v := value(r)) is not None]
    return Values(
        [r.task for r, _ in rows],
        [r.annotator for r, _ in rows],
        [str(r.arm) for r, _ in rows],
        [v for _, v in rows],
    )


def _agreement(known: Sequence[Record], arm: str, seed: int) -> Interval:
    by_task: dict[int, list[float]] = defaultdict(list)
    for record in known:
        if record.arm == arm and record.dice is not None:
            by_task[record.task].append(record.dice)
    return mean_interval([sum(v) / len(v) for _, v in sorted(by_task.items())], seed)


def _arm(known: Sequence[Record], arm: str) -> dict[str, Any]:
    own = [record for record in known if record.arm == arm]
    times = [record.lead_time_s for record in own if record.lead_time_s]
    return {
        "slices": len({record.task for record in own}),
        "median_s": float(np.median(times)) if times else None,
    }


def _exponential(value: Interval) -> Interval:
    return {k: None if v is None else float(np.exp(v)) for k, v in value.items()}


def _negative(value: Interval) -> Interval:
    return {
        name: None if value[other] is None else -float(value[other] or 0.0)
        for name, other in (("mean", "mean"), ("low", "high"), ("high", "low"))
    }


def _of_time(
    known: Sequence[Record],
    share: float,
    counted: dict[str, int],
    ratio: Interval,
    saved_s: Interval,
) -> list[str]:
    if not known and share <= 0:
        return [
            "Nothing is compared: every slice gets a draft. Hold drafts back on a share of the "
            "slices, such as 0.1, to learn what a draft is worth."
        ]
    if min(counted.values()) < LEAST:
        lacking = {arm: max(0, LEAST - count) for arm, count in counted.items()}
        wanted = " and ".join(f"{n} more {arm} a draft" for arm, n in lacking.items() if n)
        said = (
            "Too early to say: of people who labelled both kinds there are "
            f"{counted[WITH]:,} timed slices with a draft and {counted[WITHOUT]:,} without; "
            f"it takes {LEAST} of each, so {wanted}."
        )
        if share <= 0 and lacking[WITHOUT]:
            said += " Drafts are held back on no slice now: set a share, such as 0.1."
        return [said]
    low, high, mean = ratio["low"], ratio["high"], ratio["mean"]
    if low is None or high is None or mean is None:
        return ["Too early to say: the times vary too much to be compared."]
    if high < 1:
        said = (
            f"The draft is a help: with it a slice takes {_percent(1 - mean)} less time "
            f"({_percent(1 - high)} to {_percent(1 - low)} less)."
        )
    elif low > 1:
        said = (
            f"The draft costs time: with it a slice takes {_percent(mean - 1)} more "
            f"({_percent(low - 1)} to {_percent(high - 1)} more)."
        )
    else:
        said = (
            "No difference in time can be shown yet: with a draft a slice may take "
            f"{_change(low, 'less', 'more')} or {_change(high, 'less', 'more')} time."
        )
    s_low, s_high = saved_s["low"], saved_s["high"]
    if high < 1 and s_low is not None and s_high is not None and s_low > 0:
        return [said, f"That is {s_low:.0f} to {s_high:.0f} s saved a slice."]
    if high < 1:
        return [said, "How many seconds that saves cannot be said yet."]
    return [said]


def _of_area(ratio: Interval) -> list[str]:
    low, high, mean = ratio["low"], ratio["high"], ratio["mean"]
    if low is None or high is None or mean is None:
        return []
    span = f"{_change(low, 'smaller', 'larger')} to {_change(high, 'smaller', 'larger')}"
    if low > 1 or high < 1:
        return [
            f"Drafts change the result: with one, areas are {_change(mean, 'smaller', 'larger')} "
            f"({span}). Have some slices drawn by someone who sees no draft."
        ]
    return [f"No bias of the areas can be shown: with a draft they are {span}."]


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _change(ratio: float, less: str, more: str) -> str:
    return f"{_percent(abs(ratio - 1))} {less if ratio < 1 else more}"
