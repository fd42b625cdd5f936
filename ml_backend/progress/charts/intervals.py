"""Means with their bounds, one a line: a forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from .marks import anchor, dot, line, svg, text
from .scale import Scale, bounds, known


@dataclass(frozen=True)
class Row:
    """A line of an interval plot. `more` follows the name where there is room for it."""

    name: str
    interval: Mapping[str, Any] | None
    says: str = ""
    kind: str = "accent"
    more: str = ""


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
    inner = [line("grid", scale.at(value), top, scale.at(value), foot) for value, _ in marks]
    if known(reference):
        at = scale.at(reference)
        inner.append(line("reference", at, top, at, foot))
    for index, row in enumerate(rows):
        mean, low, high = bounds(row.interval)
        y = top + step * index + 30
        more = Markup('<tspan class="more">, {}</tspan>').format(row.more) if row.more else ""
        inner.append(text("label", 0, y - 14, Markup("{}{}").format(row.name, more)))
        inner.append(text("value", 100, y - 14, row.says, "end"))
        if low is not None and high is not None:
            inner.append(line(f"range {row.kind}", scale.at(low), y, scale.at(high), y))
        if mean is not None:
            inner.append(dot(f"point {row.kind}", scale.at(mean), y, 5))
        elif low is None:
            inner.append(text("muted", 0, y + 4, "not known yet"))
    for value, word in marks:
        inner.append(text("tick", scale.at(value), height - 4, word, anchor(scale.at(value))))
    said = "; ".join(f"{row.name}: {row.says or 'not known yet'}" for row in rows)
    return svg("intervals", height, inner, key, title, said)
