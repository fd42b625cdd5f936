"""The learning curve: held-out quality against labels spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .marks import anchor, dot, line, paths, svg, text
from .scale import Scale, bounds, known, ticks

# Labels, and the mean of their quality with its bounds.
Point = tuple[float, float | None, float | None, float | None]

# Of the labels spent: what lies farther ahead would press the curve together.
_NEAR = 3.0


def curve(
    points: Sequence[tuple[float, Mapping[str, Any] | None]],
    key: str,
    title: str,
    *,
    target: float | None = None,
    budget: float | None = None,
    random: Sequence[Sequence[float]] | None = None,
    reach: Mapping[str, Any] | None = None,
    height: int = 240,
) -> Markup:
    """Held-out mean IoU against labels spent: line, band, target, budget, random baseline.

    `points`: (labels, interval), oldest first. `reach`: at how many labels in all the target is
    expected, as an interval; it is drawn on the target's line, with an arrow where its mean lies
    too far beyond the last version to be drawn.
    """
    drawn = [(labels, *bounds(interval)) for labels, interval in points if known(labels)]
    drawn.sort(key=lambda point: point[0])
    across = _across(
        [x for x, *_ in drawn], budget, bounds(reach) if known(target) else (None,) * 3
    )
    others = _until(across.high, [(x, y) for x, y in random or () if known(x) and known(y)])
    levels = [v for _, *found in drawn for v in found if v is not None] + [y for _, y in others]
    up = _up([*levels, *([target] if known(target) else [])])

    def y_at(value: float) -> float:
        return height * (1 - up.at(value) / 100)

    inner: list[Markup] = []
    for value in ticks(up.low, up.high, 5):
        inner.append(line("grid", 0, y_at(value), 100, y_at(value)))
        inner.append(text("tick", 0, y_at(value) + 4, f"{value:.2f}", "end", dx=-8))
    for value in ticks(across.low, across.high, 5):
        at = across.at(value)
        inner.append(text("tick", at, height + 18, f"{value:,.0f}", anchor(at)))
    if known(budget):
        inner.extend(_budget(budget, across, height))
    inner.append(paths(height, _layers(drawn, others, across, up)))
    if known(target):
        inner.extend(_target(target, y_at, across, bounds(reach)))
    for run in _runs(drawn):
        if len(run) == 1:  # no band goes through it
            spent, lower, upper = run[0]
            x = across.at(spent)
            inner.append(line("whisker", x, y_at(lower), x, y_at(upper)))
    for labels, mean, low, high in drawn:
        if mean is None:
            continue
        hint = Markup("<title>{:,.0f} labels: {}</title>").format(labels, _said(mean, low, high))
        inner.append(dot("point accent", across.at(labels), y_at(mean), 4.5, hint))
    if not any(mean is not None for _, mean, *_ in drawn):
        inner.append(text("muted", 50, height / 2, "No version has been evaluated yet", "middle"))
    said = "; ".join(f"{x:,.0f} labels: {_said(m, lo, hi)}" for x, m, lo, hi in drawn)
    return svg("curve", height + 26, inner, key, title, said or "no version yet")


def _across(spent: Sequence[float], budget: float | None, reach: Sequence[float | None]) -> Scale:
    """Labels from 0 to a little beyond the last; budget and forecast join while they are near."""
    far = max([*spent, 1.0])
    joined = [v for v in (budget, *reach) if known(v) and v <= _NEAR * far]
    return Scale(0.0, 1.04 * max([far, *joined]))


def _until(far: float, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A line's points up to so many labels, ending where it leaves the chart."""
    ordered = sorted(points)
    inside = [point for point in ordered if point[0] <= far]
    beyond = next((point for point in ordered if point[0] > far), None)
    if inside and beyond and inside[-1][0] < far:
        (x, y), (next_x, next_y) = inside[-1], beyond
        inside.append((far, y + (next_y - y) * (far - x) / (next_x - x)))
    return inside


def _up(levels: Iterable[float]) -> Scale:
    """A range of quality by tenths, at least 0.3 wide, within 0 and 1."""
    found = list(levels) or [0.5, 1.0]
    low = max(0.0, math.floor(10 * min(found) - 0.2) / 10)
    high = min(1.0, math.ceil(10 * max(found) + 0.2) / 10)
    if high - low < 0.3:
        low = max(0.0, high - 0.3)
        high = max(high, low + 0.3)
    return Scale(round(low, 1), round(high, 1))


def _runs(drawn: Sequence[Point]) -> list[list[tuple[float, float, float]]]:
    """Points one after another whose intervals are known, as (labels, low, high)."""
    runs: list[list[tuple[float, float, float]]] = [[]]
    for labels, _, low, high in drawn:
        if low is not None and high is not None:
            runs[-1].append((labels, low, high))
        else:
            runs.append([])
    return runs


def _layers(
    drawn: Sequence[Point],
    others: Sequence[tuple[float, float]],
    across: Scale,
    up: Scale,
) -> list[tuple[str, Sequence[tuple[float, float] | None]]]:
    """Band, random baseline and line as points in percent of the chart; None is a gap."""

    def at(labels: float, value: float | None) -> tuple[float, float] | None:
        return None if value is None else (across.at(labels), 100 - up.at(value))

    layers: list[tuple[str, Sequence[tuple[float, float] | None]]] = []
    for run in _runs(drawn):
        if len(run) > 1:
            lower = [at(x, lo) for x, lo, _ in reversed(run)]
            layers.append(("band", [*(at(x, hi) for x, _, hi in run), *lower]))
    layers.append(("random", [at(x, y) for x, y in others]))
    layers.append(("line", [at(x, mean) for x, mean, *_ in drawn]))
    return layers


def _budget(budget: float, across: Scale, height: int) -> list[Markup]:
    if budget > across.high:
        return [text("note", 100, height - 8, f"budget {budget:,.0f} →", "end")]
    at = across.at(budget)
    side, shift = ("end", -5) if at > 50 else ("start", 5)
    return [
        line("budget", at, 0, at, height),
        text("note", at, height - 8, f"budget {budget:,.0f}", side, dx=shift),
    ]


def _target(
    target: float, y_at: Callable[[float], float], across: Scale, reach: Sequence[float | None]
) -> list[Markup]:
    y, (mean, low, high) = y_at(target), reach
    made = [
        line("target", 0, y, 100, y),
        text("note target-note", 0, y - 8, f"target {target:.2f}", dx=5),
    ]
    if low is not None and high is not None and low <= across.high:
        hint = Markup("<title>target expected at {:,.0f} to {:,.0f} labels</title>")
        made.append(line("reach", across.at(low), y, across.at(high), y, hint.format(low, high)))
    if mean is not None and mean <= across.high:
        made.append(dot("point reach", across.at(mean), y, 5))
        if high is not None and high > across.high:
            made.append(text("note target-note", 100, y - 8, f"to {high:,.0f} →", "end"))
    elif mean is not None:
        made.append(text("note target-note", 100, y - 8, f"expected at {mean:,.0f} →", "end"))
    return made


def _said(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None:
        return "not evaluated"
    return f"{mean:.3f}" + (f" ({low:.3f} to {high:.3f})" if None not in (low, high) else "")
