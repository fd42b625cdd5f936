"""Bars of counts and shares, and the small curves beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from .marks import dot, line, paths, rect, svg
from .scale import Scale, known


def stacked_bar(parts: Sequence[tuple[str, str, float]], key: str, title: str) -> Markup:
    """Counts as one bar: (class, name, count) from left to right; its legend stands beside it."""
    usable = [(kind, name, count) for kind, name, count in parts if known(count) and count >= 0]
    total = sum(count for _, _, count in usable)
    said = ", ".join(f"{name} {count:,.0f}" for _, name, count in usable)
    inner, left = [rect("track", 0, 100, 28)], 0.0
    for kind, name, count in usable:
        width = 100.0 * count / total if total else 0.0
        hint = Markup("<title>{}: {:,.0f}</title>").format(name, count)
        inner.append(rect(f"fill {kind}", left, width, 28, hint, part=kind))
        left += width
    return svg("stacked", 28, inner, key, title, said or "nothing yet")


def meter(share: float | None, kind: str = "accent", low: Any = None, high: Any = None) -> Markup:
    """A small bar of a share 0 to 1, with its interval; silent, for it stands beside its number."""
    inner = [rect("track", 0, 100, 8)]
    if known(share):
        inner.append(rect(f"fill {kind}", 0, Scale(0, 1).at(share), 8))
    if known(low) and known(high):
        inner.append(line("whisker", Scale(0, 1).at(low), 4, Scale(0, 1).at(high), 4))
    return svg("meter", 8, inner)


def columns(counts: Sequence[float | None], kind: str = "accent", height: int = 36) -> Markup:
    """A histogram without axes, silent: its words stand beside it."""
    values = [float(c) if known(c) else 0.0 for c in counts]
    top, inner = max(values, default=0.0), []
    for index, value in enumerate(values):
        tall = max(1.5, (height - 2) * value / top) if top and value > 0 else 0.0
        wide = 100.0 / len(values)
        inner.append(rect(f"fill {kind}", index * wide + 0.4, wide - 0.8, tall, y=height - tall))
    inner.append(line("axis", 0, height - 0.5, 100, height - 0.5))
    return svg("columns", height, inner)


def spark(values: Sequence[float | None], low: float, high: float, height: int = 36) -> Markup:
    """A small curve, silent, with a dot on its last value."""
    scale = Scale(low, high)
    points = [
        (100.0 * index / max(1, len(values) - 1), 100.0 - scale.at(float(value)))
        if known(value)
        else None
        for index, value in enumerate(values)
    ]
    inner = [paths(height, [("line", points)])]
    last = next((point for point in reversed(points) if point), None)
    if last:
        inner.append(dot("point", last[0] if len(values) > 1 else 50.0, last[1] * height / 100))
    return svg("spark", height, inner)
