"""A round's time line as a table for a page, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..pages import markdown_table
from .timeline import LEARN, LOOK, PEOPLE, READ, REORDER, SCORE, WAIT, Bar, served_after_s

_COLOURS = {
    PEOPLE: "#7a7a7a",
    LOOK: "#b07aa1",
    READ: "#4e79a7",
    LEARN: "#f28e2b",
    SCORE: "#59a14f",
    REORDER: "#e15759",
    WAIT: "#c9c9c9",
}


def report(
    shown: Sequence[tuple[Mapping[str, Any], Sequence[Bar]]], command: str, hardware: str
) -> str:
    """The last round's table, one line for each round before it, and where they were measured."""
    made, bars = shown[-1]
    served = served_after_s(made)
    idle = sum(bar.takes_s for bar in bars if bar.kind == WAIT)
    rounds = ", ".join(
        f"round {each['round']} ({each['labelled']} labels) {served_after_s(each):.1f} s"
        for each, _ in shown
    )
    rows: list[list[object]] = [["step", "begins after, s", "takes, s", "share"]]
    for bar in bars:
        rows.append(_row(f"*{bar.name}*" if bar.kind == WAIT else bar.name, bar, served))
        rows += [_row(f"– {part.name}", part, served) for part in bar.parts]
    return (
        f"From a batch's last annotation to the next order being served: {rounds}. The last of "
        f"them in its parts; in {idle:.1f} s of it nothing ran.\n\n"
        f"{markdown_table(rows)}\n\n`{command}` on {hardware}."
    )


def _row(name: str, bar: Bar, whole_s: float) -> list[object]:
    # What runs after the switch is no part of the time that annotators wait for.
    counted = min(bar.ends_s, whole_s) - bar.begins_s
    share = f"{counted / whole_s:.1%}" if bar.begins_s < whole_s else ""
    return [name, f"{bar.begins_s:.2f}", f"{bar.takes_s:.2f}", share]


def draw(bars: Sequence[Bar], picture: Path) -> None:
    """Horizontal bars from top to bottom in the order they begin: a PNG. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    rows = [(row, row is not bar) for bar in bars for row in (bar, *bar.parts)]
    figure, axes = pyplot.subplots(figsize=(9, 0.25 * len(rows) + 1.3), dpi=120)
    for place, (bar, within) in enumerate(rows):
        axes.barh(
            place,
            max(bar.takes_s, 0.01),
            left=bar.begins_s,
            height=0.4 if within else 0.8,
            color=_COLOURS[bar.kind],
            alpha=0.65 if within else 1.0,
        )
        axes.text(bar.ends_s, place, f" {bar.takes_s:.1f} s", va="center", fontsize="x-small")
    names = [f"– {bar.name}" if within else bar.name for bar, within in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", labelsize="x-small")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08 * max(bar.ends_s for bar in bars))
    axes.set_xlabel("seconds since the batch's last annotation")
    axes.set_title("From a batch's last annotation to the next order")
    axes.legend(
        handles=[
            Patch(color=_COLOURS[kind], label=kind)
            for kind in dict.fromkeys(bar.kind for bar, _ in rows)
        ],
        fontsize="x-small",
        loc="lower left",
    )
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, metadata={"Software": None})
    pyplot.close(figure)
