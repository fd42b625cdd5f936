"""How fast slices are labelled now: by the team's hour of work, by a person's time, by the clock.

An hour of work is one in which anybody labels: from opening a slice to submitting it, with pauses
of up to 15 minutes between two slices. Two people at once count once, so that the pace is that of
the team as it is. Nights and weekends are not in it: "12 h left" means 12 h of the team's work, and
`labels_per_clock_hour` tells how many days that is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ..moments import moment
from .intervals import Floats, Interval, capped, interval, resampled_sums, unknown
from .records import Record

_WINDOW_DAYS = 14.0  # what was labelled in these, up to the newest label, is the present
_LEAST = 5  # slices below which no pace is said
_PAUSE_S = 900.0  # a longer one is no work
_LONGEST_S = 3600.0  # on one slice
_DAYS_SHOWN = 60
_LEAST_DAYS = 5  # of fewer, the hours are resampled
_LEAST_BLOCK_H = 0.25  # of work: one label in some seconds of an hour is no pace
_LEAST_BLOCKS = 3  # of two, a range of 95 % held the true pace in 51 to 64 % of simulated days


def pace(records: Sequence[Record], *, overlap: int = 1, seed: int = 0) -> dict[str, Any]:
    """The figures "pace". A label is a slice: one of `overlap` annotations is that part of it.

    Annotations without a time, such as imported ones, are left out: nobody drew them here. So is
    what "annotate the rest" made and people reviewed: it says nothing of how fast slices are drawn.
    `labels_per_hour` is what a forecast uses: slices an hour of the team's work;
    `labels_per_clock_hour` are the same with nights and weekends in between; `work_s_per_label` is
    the time of everybody on a slice together.
    Intervals are bootstraps over days, or over hours where there are less than five days, and are
    not known before there are three.
    """
    drawn = _drawn(records)
    by_day: dict[str, float] = defaultdict(float)
    if not drawn:
        return _figures({}, unknown(), unknown(), unknown(), None, 0.0)
    parts = _parts([record for _, record in drawn], overlap)
    for (at, _), part in zip(drawn, parts, strict=True):
        by_day[_day(at)] += part
    newest = drawn[-1][0]
    first = next(n for n, (at, _) in enumerate(drawn) if at >= newest - _WINDOW_DAYS * 86_400)
    recent, parts = drawn[first:], parts[first:]
    labels = sum(parts)
    spent_s = _spent([record for _, record in recent])
    sessions = _sessions([(at - s, at) for (at, _), s in zip(recent, spent_s, strict=True)])
    window_h = sum(end - start for start, end in sessions) / 3600
    if labels < _LEAST or window_h <= 0:
        return _figures(by_day, unknown(), unknown(), unknown(), window_h, labels)
    blocks = _blocks(sessions, [at for at, _ in recent], parts)
    by_task: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (_, record), part, spent in zip(recent, parts, spent_s, strict=True):
        by_task[record.task][0] += spent
        by_task[record.task][1] += part
    days = _calendar(recent[0][0], newest, recent, parts)
    return _figures(
        by_day,
        _ratio(blocks, seed),
        _ratio(np.array(list(by_task.values())), seed),
        _ratio(days, seed),
        window_h,
        labels,
    )


def _figures(
    by_day: dict[str, float],
    per_hour: Interval,
    work_s: Interval,
    per_clock_hour: Interval,
    window_h: float | None,
    labels: float,
) -> dict[str, Any]:
    return {
        "labels_per_hour": per_hour,
        "work_s_per_label": work_s,
        "labels_per_clock_hour": per_clock_hour,
        "window_h": window_h,
        "labels": round(labels, 2),
        "by_day": [[day, round(n, 2)] for day, n in sorted(by_day.items())[-_DAYS_SHOWN:]],
    }


def _drawn(records: Sequence[Record]) -> list[tuple[float, Record]]:
    """When each was submitted, in seconds, with the record; the oldest first."""
    found = []
    for record in records:
        if record.lead_time_s and not record.reviewed:
            when = moment(record.created_at)
            if when is not None:
                found.append((when.timestamp(), record))
    return sorted(found, key=lambda pair: (pair[0], pair[1].annotation))


def _parts(records: Sequence[Record], overlap: int) -> list[float]:
    """What part of a slice's label each annotation is."""
    of_task: dict[int, int] = defaultdict(int)
    for record in records:
        of_task[record.task] += 1
    return [1 / max(overlap, of_task[record.task]) for record in records]


def _spent(records: Sequence[Record]) -> list[float]:
    """Seconds spent on each, without what an open tab adds."""
    spent = [0.0] * len(records)
    by_annotator: dict[int, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        by_annotator[record.annotator].append(index)
    for own in by_annotator.values():
        times = capped(np.array([records[i].lead_time_s for i in own], dtype=np.float64))
        for index, value in zip(own, times.tolist(), strict=True):
            spent[index] = min(value, _LONGEST_S)
    return spent


def _sessions(worked: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The times, from and to, at which anybody worked; they do not overlap."""
    sessions: list[tuple[float, float]] = []
    for start, end in sorted(worked):
        if sessions and start <= sessions[-1][1] + _PAUSE_S:
            sessions[-1] = (sessions[-1][0], max(sessions[-1][1], end))
        else:
            sessions.append((start, end))
    return sessions


def _blocks(
    sessions: Sequence[tuple[float, float]], submitted: Sequence[float], parts: Sequence[float]
) -> Floats:
    """Labels and hours worked, (B, 2), of each day, or of each hour where there are few days.

    Where less than a quarter of an hour was worked in one, it is part of the one before, or after.
    """
    size_s = 86_400.0
    if len({int(at // size_s) for at in submitted}) < _LEAST_DAYS:
        size_s = 3600.0
    rows: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for at, part in zip(submitted, parts, strict=True):
        rows[int(at // size_s)][0] += part
    for start, end in sessions:
        for block in range(int(start // size_s), int(end // size_s) + 1):
            inside_s = min(end, (block + 1) * size_s) - max(start, block * size_s)
            rows[block][1] += inside_s / 3600
    joined: list[list[float]] = []
    for _, (labels, worked_h) in sorted(rows.items()):
        if joined and min(worked_h, joined[-1][1]) < _LEAST_BLOCK_H:
            joined[-1] = [joined[-1][0] + labels, joined[-1][1] + worked_h]
        else:
            joined.append([labels, worked_h])
    return np.array(joined)


def _calendar(
    first: float, last: float, recent: Sequence[tuple[float, Record]], parts: Sequence[float]
) -> Floats:
    """Labels and hours by the clock, (D, 2), of each day from the first to the last."""
    start = int(first // 86_400)
    rows = np.zeros((int(last // 86_400) - start + 1, 2))
    rows[:, 1] = 24.0
    for (at, _), part in zip(recent, parts, strict=True):
        rows[int(at // 86_400) - start, 0] += part
    return rows


def _ratio(rows: Floats, seed: int) -> Interval:
    """The ratio of two columns' sums; of fewer than three rows without bounds."""
    sums = resampled_sums(rows, np.random.default_rng([seed, len(rows)]))
    draws = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] > 0)
    size = len(rows) if len(rows) >= _LEAST_BLOCKS else 1
    return interval(float(rows[:, 0].sum() / rows[:, 1].sum()), draws, size)


def _day(at: float) -> str:
    return (datetime(1970, 1, 1) + timedelta(seconds=at)).date().isoformat()
