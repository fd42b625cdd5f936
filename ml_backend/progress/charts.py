"""Charts of the manager's page: values in, inline SVG out.

A chart fills the width it is given: x is in percent, y in pixels, so that letters keep their size
on a phone. It carries classes and no styles, for the page's policy forbids inline styles and its
colours come from the style sheet, light or dark. A value that is None or NaN is a gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from markupsafe import Markup, escape

# Charts narrower than this lose their last ticks' room: about a phone's width, in percent a letter.
_NEAR_EDGE = 12.0


@dataclass(frozen=True)
class Scale:
    """A range of values laid over 0 to 100 percent; by their logarithm where they are ratios."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, in percent, kept within the chart."""
        low, high, here = self.low, self.high, value
        if self.logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(max(value, self.low))
        if high <= low:
            return 50.0
        return min(100.0, max(0.0, 100.0 * (here - low) / (high - low)))


def known(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def bounds(interval: Mapping[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    """An interval's mean, low and high; None for what is not known."""
    found = [(interval or {}).get(name) for name in ("mean", "low", "high")]
    mean, low, high = (float(value) if known(value) else None for value in found)
    return mean, low, high


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values within a range, at most about as many as wanted, by steps of 1, 2 or 5."""
    if not (known(low) and known(high)) or high <= low:
        return [low] if known(low) else []
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def stacked_bar(parts: Sequence[tuple[str, str, float]], key: str, title: str) -> Markup:
    """Counts as one bar: (class, name, count) from left to right; its legend stands beside it."""
    usable = [(kind, name, count) for kind, name, count in parts if known(count) and count >= 0]
    total = sum(count for _, _, count in usable)
    said = ", ".join(f"{name} {count:,.0f}" for _, name, count in usable)
    inner, left = [_rect("track", 0, 100, 28)], 0.0
    for kind, name, count in usable:
        width = 100.0 * count / total if total else 0.0
        hint = Markup("<title>{}: {:,.0f}</title>").format(name, count)
        inner.append(_rect(f"fill {kind}", left, width, 28, hint, part=kind))
        left += width
    return _svg("stacked", 28, inner, key, title, said or "nothing yet")


def meter(share: float | None, kind: str = "accent", low: Any = None, high: Any = None) -> Markup:
    """A small bar of a share 0 to 1, with its interval; silent, for it stands beside its number."""
    inner = [_rect("track", 0, 100, 8)]
    if known(share):
        inner.append(_rect(f"fill {kind}", 0, Scale(0, 1).at(share), 8))
    if known(low) and known(high):
        inner.append(_line("whisker", Scale(0, 1).at(low), 4, Scale(0, 1).at(high), 4))
    return _svg("meter", 8, inner)


def columns(counts: Sequence[float | None], kind: str = "accent", height: int = 36) -> Markup:
    """A histogram without axes, silent: its words stand beside it."""
    values = [float(c) if known(c) else 0.0 for c in counts]
    top, inner = max(values, default=0.0), []
    for index, value in enumerate(values):
        tall = max(1.5, (height - 2) * value / top) if top and value > 0 else 0.0
        wide = 100.0 / len(values)
        inner.append(_rect(f"fill {kind}", index * wide + 0.4, wide - 0.8, tall, y=height - tall))
    inner.append(_line("axis", 0, height - 0.5, 100, height - 0.5))
    return _svg("columns", height, inner)


def spark(values: Sequence[float | None], low: float, high: float, height: int = 36) -> Markup:
    """A small curve, silent, with a dot on its last value."""
    scale = Scale(low, high)
    points = [
        (100.0 * index / max(1, len(values) - 1), 100.0 - scale.at(float(value)))
        if known(value)
        else None
        for index, value in enumerate(values)
    ]
    inner = [_paths(height, [("line", points)])]
    last = next((point for point in reversed(points) if point), None)
    if last:
        inner.append(_dot("point", last[0] if len(values) > 1 else 50.0, last[1] * height / 100))
    return _svg("spark", height, inner)


@dataclass(frozen=True)
class Row:
    """A line of an interval plot."""

    name: str
    interval: Mapping[str, Any] | None
    says: str = ""
    kind: str = "accent"


def interval_plot(
    rows: Sequence[Row],
    scale: Scale,
    key: str,
    title: str,
    *,
    reference: float | None = None,
    marks: Sequence[tuple[float, str]] = (),
) -> Markup:
    """Means with their bounds, one a line (a forest plot), over a common scale with marks."""
    step, top = 44, 6
    height = top + step * len(rows) + (20 if marks else 4)
    foot = top + step * len(rows)
    inner = [_line("grid", scale.at(value), top, scale.at(value), foot) for value, _ in marks]
    if known(reference):
        at = scale.at(reference)
        inner.append(_line("reference", at, top, at, foot))
    for index, row in enumerate(rows):
        mean, low, high = bounds(row.interval)
        y = top + step * index + 30
        inner.append(_text("label", 0, y - 14, row.name))
        inner.append(_text("value", 100, y - 14, row.says, "end"))
        if low is not None and high is not None:
            inner.append(_line(f"range {row.kind}", scale.at(low), y, scale.at(high), y))
        if mean is not None:
            inner.append(_dot(f"point {row.kind}", scale.at(mean), y, 5))
        elif low is None:
            inner.append(_text("muted", 0, y + 4, "not known yet"))
    for value, text in marks:
        inner.append(_text("tick", scale.at(value), height - 4, text, _anchor(scale.at(value))))
    said = "; ".join(f"{row.name}: {row.says or 'not known yet'}" for row in rows)
    return _svg("intervals", height, inner, key, title, said)


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
    expected, as an interval; it is drawn on the target's line.
    """
    drawn = [(labels, *bounds(interval)) for labels, interval in points if known(labels)]
    drawn.sort(key=lambda point: point[0])
    others = [(x, y) for x, y in random or () if known(x) and known(y)]
    across = _across(
        [x for x, *_ in drawn], budget, bounds(reach) if known(target) else (None,) * 3
    )
    levels = [v for _, *found in drawn for v in found if v is not None] + [y for _, y in others]
    up = _up([*levels, *([target] if known(target) else [])])

    def y_at(value: float) -> float:
        return height * (1 - up.at(value) / 100)

    inner: list[Markup] = []
    for value in ticks(up.low, up.high, 5):
        inner.append(_line("grid", 0, y_at(value), 100, y_at(value)))
        inner.append(_text("tick", 0, y_at(value) + 4, f"{value:.2f}", "end", dx=-8))
    for value in ticks(across.low, across.high, 5):
        at = across.at(value)
        inner.append(_text("tick", at, height + 18, f"{value:,.0f}", _anchor(at)))
    if known(budget):
        inner.extend(_budget(budget, across, height))
    inner.append(_paths(height, _layers(drawn, others, across, up)))
    if known(target):
        inner.extend(_target(target, y_at, across, bounds(reach)))
    for labels, mean, low, high in drawn:
        if mean is None:
            continue
        hint = Markup("<title>{:,.0f} labels: {}</title>").format(labels, _said(mean, low, high))
        x = across.at(labels)
        if low is not None and high is not None and len(drawn) == 1:
            inner.append(_line("whisker", x, y_at(low), x, y_at(high)))
        inner.append(_dot("point accent", x, y_at(mean), 4.5, hint))
    if not any(mean is not None for _, mean, *_ in drawn):
        inner.append(_text("muted", 50, height / 2, "No version has been evaluated yet", "middle"))
    said = "; ".join(f"{x:,.0f} labels: {_said(m, lo, hi)}" for x, m, lo, hi in drawn)
    return _svg("curve", height + 26, inner, key, title, said or "no version yet")


def _across(spent: Sequence[float], budget: float | None, reach: Sequence[float | None]) -> Scale:
    """Labels from 0 to a little beyond the last; budget and forecast join while they are near."""
    far = max([*spent, 1.0])
    joined = [v for v in (budget, *reach) if known(v) and v <= 2.5 * far]
    return Scale(0.0, 1.04 * max([far, *joined]))


def _up(levels: Iterable[float]) -> Scale:
    """A range of quality by tenths, at least 0.3 wide, within 0 and 1."""
    found = list(levels) or [0.5, 1.0]
    low = max(0.0, math.floor(10 * min(found) - 0.2) / 10)
    high = min(1.0, math.ceil(10 * max(found) + 0.2) / 10)
    if high - low < 0.3:
        low = max(0.0, high - 0.3)
        high = max(high, low + 0.3)
    return Scale(round(low, 1), round(high, 1))


def _layers(
    drawn: Sequence[tuple[float, float | None, float | None, float | None]],
    others: Sequence[tuple[float, float]],
    across: Scale,
    up: Scale,
) -> list[tuple[str, Sequence[tuple[float, float] | None]]]:
    """Band, random baseline and line as points in percent of the chart; None is a gap."""

    def at(labels: float, value: float | None) -> tuple[float, float] | None:
        return None if value is None else (across.at(labels), 100 - up.at(value))

    layers: list[tuple[str, Sequence[tuple[float, float] | None]]] = []
    run: list[tuple[float, float, float]] = []
    for labels, _, low, high in [*drawn, (0.0, None, None, None)]:
        if low is not None and high is not None:
            run.append((labels, low, high))
            continue
        if len(run) > 1:
            lower = [at(x, lo) for x, lo, _ in reversed(run)]
            layers.append(("band", [*(at(x, hi) for x, _, hi in run), *lower]))
        run = []
    layers.append(("random", [at(x, y) for x, y in others]))
    layers.append(("line", [at(x, mean) for x, mean, *_ in drawn]))
    return layers


def _budget(budget: float, across: Scale, height: int) -> list[Markup]:
    if budget > across.high:
        return [_text("note", 100, height - 8, f"budget {budget:,.0f} →", "end")]
    at = across.at(budget)
    side, shift = ("end", -5) if at > 50 else ("start", 5)
    return [
        _line("budget", at, 0, at, height),
        _text("note", at, height - 8, f"budget {budget:,.0f}", side, dx=shift),
    ]


def _target(target: float, y_at: Any, across: Scale, reach: Sequence[float | None]) -> list[Markup]:
    y, (mean, low, high) = y_at(target), reach
    made = [
        _line("target", 0, y, 100, y),
        _text("note target-note", 0, y - 6, f"target {target:.2f}", dx=5),
    ]
    if low is not None and high is not None and low <= across.high:
        hint = Markup("<title>target expected at {:,.0f} to {:,.0f} labels</title>")
        made.append(_line("reach", across.at(low), y, across.at(high), y, hint.format(low, high)))
    if mean is not None and mean <= across.high:
        made.append(_dot("point reach", across.at(mean), y, 5))
    return made


def _said(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None:
        return "not evaluated"
    return f"{mean:.3f}" + (f" ({low:.3f} to {high:.3f})" if None not in (low, high) else "")


def _anchor(at: float) -> str:
    return "start" if at < _NEAR_EDGE / 2 else "end" if at > 100 - _NEAR_EDGE / 2 else "middle"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def _paths(
    height: int, layers: Iterable[tuple[str, Sequence[tuple[float, float] | None]]]
) -> Markup:
    """Lines over the whole chart: points in percent both ways, stretched, strokes are not."""
    made = []
    for kind, points in layers:
        steps, pen = [], "M"
        for point in points:
            if point is None:
                pen = "M"
                continue
            steps.append(f"{pen}{_number(point[0])} {_number(point[1])}")
            pen = "L"
        if steps:
            end = "Z" if kind == "band" else ""
            made.append(Markup('<path class="{}" d="{}"/>').format(kind, " ".join(steps) + end))
    return Markup(
        '<svg x="0" y="0" width="100%" height="{}" viewBox="0 0 100 100"'
        ' preserveAspectRatio="none">{}</svg>'
    ).format(height, Markup("").join(made))


def _rect(
    kind: str,
    x: float,
    width: float,
    height: float,
    inner: Markup = Markup(""),  # noqa: B008
    *,
    y: float = 0.0,
    part: str = "",
) -> Markup:
    mark = Markup(' data-part="{}"').format(part) if part else ""
    return Markup('<rect class="{}"{} x="{}%" y="{}" width="{}%" height="{}">{}</rect>').format(
        kind, mark, _number(x), _number(y), _number(width), _number(height), inner
    )


def _line(
    kind: str,
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    inner: Markup = Markup(""),  # noqa: B008
) -> Markup:
    return Markup('<line class="{}" x1="{}%" y1="{}" x2="{}%" y2="{}">{}</line>').format(
        kind, *(_number(value) for value in (x1, y1, x2, y2)), inner
    )


def _dot(
    kind: str,
    x: float,
    y: float,
    r: float = 3,
    inner: Markup = Markup(""),  # noqa: B008
) -> Markup:
    return Markup('<circle class="{}" cx="{}%" cy="{}" r="{}">{}</circle>').format(
        kind, _number(x), _number(y), _number(r), inner
    )


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start", dx: float = 0) -> Markup:
    return Markup('<text class="{}" x="{}%" y="{}" dx="{}" text-anchor="{}">{}</text>').format(
        kind, _number(x), _number(y), _number(dx), anchor, text
    )


def _svg(
    kind: str,
    height: float,
    inner: Iterable[Markup],
    key: str = "",
    title: str = "",
    said: str = "",
) -> Markup:
    """An SVG with a name and a description, or hidden from screen readers if it has no title."""
    if title:
        head = Markup(
            'role="img" aria-labelledby="{0}-title" aria-describedby="{0}-said">'
            '<title id="{0}-title">{1}</title><desc id="{0}-said">{2}</desc>'
        ).format(key, title, said)
    else:
        head = Markup('aria-hidden="true" focusable="false">')
    return Markup('<svg class="chart {}" width="100%" height="{}" {}{}</svg>').format(
        kind, _number(height), head, Markup("").join(map(escape, inner))
    )
