"""The marks that charts are made of: x in percent of the width, y in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

# Ticks this near an edge, in percent, are written from the edge inwards.
_NEAR_EDGE = 6.0


def anchor(at: float) -> str:
    """Where a text hangs that is centred at a place, so that it stays within the chart."""
    return "start" if at < _NEAR_EDGE else "end" if at > 100 - _NEAR_EDGE else "middle"


def decimal(value: float) -> str:
    """Two places at most: more than a screen shows."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def paths(
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
            steps.append(f"{pen}{decimal(point[0])} {decimal(point[1])}")
            pen = "L"
        if steps:
            end = "Z" if kind == "band" else ""
            made.append(Markup('<path class="{}" d="{}"/>').format(kind, " ".join(steps) + end))
    return Markup(
        '<svg x="0" y="0" width="100%" height="{}" viewBox="0 0 100 100"'
        ' preserveAspectRatio="none">{}</svg>'
    ).format(height, Markup("").join(made))


def rect(
    kind: str,
    x: float,
    width: float,
    height: float,
    inner: Markup = Markup(""),  # noqa: B008
    *,
    y: float = 0.0,
    part: str = "",
) -> Markup:
    """A bar; page.js finds it by its part."""
    mark = Markup(' data-part="{}"').format(part) if part else ""
    return Markup('<rect class="{}"{} x="{}%" y="{}" width="{}%" height="{}">{}</rect>').format(
        kind, mark, decimal(x), decimal(y), decimal(width), decimal(height), inner
    )


def line(
    kind: str,
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    inner: Markup = Markup(""),  # noqa: B008
) -> Markup:
    """A straight line."""
    return Markup('<line class="{}" x1="{}%" y1="{}" x2="{}%" y2="{}">{}</line>').format(
        kind, *(decimal(value) for value in (x1, y1, x2, y2)), inner
    )


def dot(
    kind: str,
    x: float,
    y: float,
    r: float = 3,
    inner: Markup = Markup(""),  # noqa: B008
) -> Markup:
    """A dot; its radius is in pixels."""
    return Markup('<circle class="{}" cx="{}%" cy="{}" r="{}">{}</circle>').format(
        kind, decimal(x), decimal(y), decimal(r), inner
    )


def text(
    kind: str, x: float, y: float, says: str | Markup, side: str = "start", dx: float = 0
) -> Markup:
    """A text that hangs at its start, middle or end; y is its base line, dx in pixels."""
    return Markup('<text class="{}" x="{}%" y="{}" dx="{}" text-anchor="{}">{}</text>').format(
        kind, decimal(x), decimal(y), decimal(dx), side, says
    )


def svg(
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
        kind, decimal(height), head, Markup("").join(map(escape, inner))
    )
