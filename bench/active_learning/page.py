"""The benchmark's section of a page: tables, curves, and how to measure them again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_backend.settings import Settings

from ..pages import write_section
from .rows import Row
from .statistics import mean_interval
from .tables import (
    Results,
    budget_table,
    class_table,
    difference_table,
    network_table,
    summary_table,
    time_table,
)

_FLOOR = "random"
_EDITIONS = {"cpu": "CPU edition: small network and image", "gpu": "GPU edition"}


def write_page(
    rows: Sequence[Row],
    page: Path,
    notes: Mapping[str, str],
    command: str,
    settings: Settings,
    title: str = "",
) -> None:
    """Write one section, of rows of one data set, edition and fingerprint, into a page.

    A section of the same title (the data's name unless it is given) and edition is replaced, the
    rest of the page is left alone. The curves are drawn beside it as PNG (needs matplotlib).
    Raises ValueError for rows of several tables, or none.
    """
    kinds = {(row["data"], row["edition"], row["fingerprint"]) for row in rows}
    if len(kinds) != 1:
        raise ValueError(f"a table is made of rows of one kind, here are {len(kinds)}: {kinds}")
    results = Results(rows, settings.network)
    title = title or str(rows[0]["data"])
    name = re.sub(r"\W+", "-", f"{title}-{rows[0]['edition']}")
    page.parent.mkdir(parents=True, exist_ok=True)
    picture = page.parent / f"{page.stem}-{name}.png"
    if len(results.budgets) > 1:  # of a single point there is no curve
        draw(results, picture, title)
    body = section(results, notes, command, settings, picture, title)
    write_section(
        page, f"active-learning {name}", body, "Active learning, measured", says_commit=True
    )


def section(
    results: Results,
    notes: Mapping[str, str],
    command: str,
    settings: Settings,
    picture: Path,
    title: str,
) -> str:
    """The section's Markdown."""
    row = results.rows[0]
    parts = [f"## {title}, {_EDITIONS[row['edition']]}"]
    parts.append(
        f"{row['pool']} slices to label, {row['test']} held out to test with. Each round runs the "
        "code that serves users; the reference mask stands for the annotator. Mean IoU is over "
        "the classes but background, from the pixels of all test slices together; F1 is then the "
        "same as Dice. Mean ± half of the 95 % t-interval over seeds: what weights, resampling "
        "and chance picks change, not what another test set would. " + _pairing(results)
    )
    if results.ranked():
        if len(results.budgets) > 1:
            parts.append(f"![Mean IoU against labels]({picture.name})")
        parts += ["### Mean IoU at each budget", budget_table(results)]
        if len(results.budgets) > 1:
            parts += [
                "### Area under the curve, and labels needed",
                summary_table(results),
                "AUBC is the area under mean IoU against the share of labels, divided by the "
                "range of shares. Labels needed are read off the mean curve, interpolated, for a "
                "share of the mean full-label score; > means not reached within the budget.",
                *_differences(results, settings.strategy),
            ]
    if results.full:
        parts += ["### Full labels", network_table(results)]
    parts += [
        "### Classes, at the last budget",
        class_table(results),
        "HD95 is the mean over test slices where the reference or the draft holds the class; "
        "where only one of them does, the slice's diagonal counts.",
    ]
    if results.ranked():
        parts += [
            "### Seconds a round",
            time_table(results),
            "Training includes the evaluation on the test set.",
        ]
    parts += ["### What was measured", _legend(results, notes), _origin(results, command)]
    return "\n\n".join(parts)


def _differences(results: Results, served: str) -> list[str]:
    """Against the floor, and against what users are served: both named before anything was run."""
    parts = []
    ranked = sorted(results.ranked())
    # Its variants too: users are served one that begins with a cold start.
    variants = [strategy for strategy in ranked if strategy.split("+", 1)[0] == served]
    for against in dict.fromkeys([_FLOOR, *variants]):
        if against in ranked:
            parts += [f"### Less {against}, paired by seed", difference_table(results, against)]
    return [
        *parts,
        "Two-sided paired t-tests; Holm's correction over each column's strategies. "
        f"n = {len(results.seeds)} seeds.",
    ]


def _pairing(results: Results) -> str:
    apart = results.begun_apart()
    if not apart:
        return "All strategies of a seed begin with the same batch and the same test set."
    return (
        "Strategies of a seed have the same test set and begin with the same batch, but for "
        f"{', '.join(apart)}: what differs there includes that."
    )


def _legend(results: Results, notes: Mapping[str, str]) -> str:
    return "\n".join(
        f"- **{strategy}**: {notes.get(strategy) or 'no note'}" for strategy in results.ranked()
    )


def _origin(results: Results, command: str) -> str:
    # That of the strategies: the rows of other networks have their own, and so have variants and
    # MC dropout.
    row = min(
        results.rows,
        key=lambda row: (
            row["network"] != results.network,
            "+" in row["strategy"],
            row["recipe"].get("passes", 0),
        ),
    )
    recipe = ", ".join(
        f"{name} {value}" for name, value in row["recipe"].items() if name not in ("labels", "seed")
    )
    hardware = sorted({str(r["hardware"]) for r in results.rows})
    commits = sorted({str(r["commit"]) for r in results.rows})
    return (
        f"```\n{command}\n```\n\n"
        f"Committee: {recipe}. Settings {row['fingerprint']}; hardware: {'; '.join(hardware)}; "
        f"commit: {', '.join(commits)} (+ means with changes)."
    )


def draw(results: Results, picture: Path, title: str) -> None:
    """Mean IoU against labels with 95 % bands, full labels as a dashed line: a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=120)
    labels = [count for count, _ in results.budgets]
    for number, strategy in enumerate(results.ranked()):
        curves = list(results.curves[strategy].values())
        points = [
            mean_interval([curve[n]["mean_iou"] for curve in curves]) for n in range(len(labels))
        ]
        marker = "osD^v<>PX*"[number % 10]
        axes.plot(labels, [p.mean for p in points], marker=marker, label=strategy)
        if len(curves) > 1:
            axes.fill_between(labels, [p.low for p in points], [p.high for p in points], alpha=0.12)
    full = [row["mean_iou"] for row in results.full.get(results.network, {}).values()]
    if full:
        mean = mean_interval(full)
        pool = results.rows[0]["pool"]
        axes.axhline(mean.mean, color="black", linestyle="--", label=f"full labels ({pool})")
        if len(full) > 1:
            axes.axhspan(mean.low, mean.high, color="black", alpha=0.06)
    axes.set_xlabel(f"labelled slices, of {results.rows[0]['pool']}")
    axes.set_ylabel("mean IoU on the test set")
    axes.set_title(f"{title}, {results.rows[0]['edition'].upper()} edition")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(picture, metadata={"Software": None})
    pyplot.close(figure)
