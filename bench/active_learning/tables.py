"""A benchmark's rows as Markdown tables: what is shown, and what is said where it cannot be."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from .rows import Row
from .run import FULL
from .statistics import (
    Interval,
    area_under_curve,
    compare_all,
    labels_needed,
    mean_interval,
)

_TARGETS = (0.90, 0.95, 0.99)  # of the full-label score


@dataclass(frozen=True)
class Results:
    """Rows of one data set, edition and fingerprint."""

    rows: Sequence[Row]
    network: str  # the strategies' network

    @cached_property
    def curves(self) -> dict[str, dict[int, list[Row]]]:
        """Strategy → seed → its rows by rising labels; only seeds that are complete."""
        found: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self.rows:
            if row["strategy"].split("+", 1)[0] != FULL and row["network"] == self.network:
                found[row["strategy"]][row["seed"]].append(row)
        rounds = max((len(c) for seeds in found.values() for c in seeds.values()), default=0)
        return {
            strategy: {
                seed: sorted(curve, key=lambda row: int(row["labels"]))
                for seed, curve in sorted(seeds.items())
                if len(curve) == rounds
            }
            for strategy, seeds in found.items()
        }

    @cached_property
    def full(self) -> dict[str, dict[int, Row]]:
        """Name of a full-label run ("fcn", or "fcn, start=encoder") → seed → its row."""
        found: dict[str, dict[int, Row]] = defaultdict(dict)
        for row in self.rows:
            name, *changed = row["strategy"].split("+")
            if name == FULL:
                found[", ".join([row["network"], *changed])][row["seed"]] = row
        return dict(found)

    @property
    def budgets(self) -> list[tuple[int, float]]:
        """Labels and share of the pool of each round."""
        curve = next((c for seeds in self.curves.values() for c in seeds.values()), [])
        return [(int(row["labels"]), float(row["fraction"])) for row in curve]

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds that every strategy has in full: tests are paired over these."""
        sets = [set(seeds) for seeds in self.curves.values() if seeds]
        return sorted(set.intersection(*sets)) if sets else []

    def begun_apart(self) -> list[str]:
        """Strategies that began with another batch than most of their seed did."""
        apart = set()
        for seed in self.seeds:
            begun = {n: tuple(r[seed][0]["picks"]) for n, r in self.curves.items() if r}
            (usual, _), *_ = Counter(begun.values()).most_common(1)
            apart |= {name for name, batch in begun.items() if batch != usual}
        return [name for name in self.ranked() if name in apart]

    def area(self, strategy: str, seed: int) -> float:
        """AUBC of mean IoU of one run."""
        curve = self.curves[strategy][seed]
        return area_under_curve(
            [row["fraction"] for row in curve], [row["mean_iou"] for row in curve]
        )

    def reference(self, seed: int) -> float | None:
        """The full-label mean IoU of a seed, with the strategies' network."""
        row = self.full.get(self.network, {}).get(seed)
        return None if row is None else float(row["mean_iou"])

    def ratio(self, strategy: str) -> list[float]:
        """Last budget's mean IoU over the same seed's full-label one, by seed."""
        runs = self.curves[strategy]
        return [runs[s][-1]["mean_iou"] / full for s, full in self.references(strategy).items()]

    def references(self, strategy: str) -> dict[int, float]:
        """The full-label mean IoU of a strategy's complete seeds, where there is one above 0."""
        return {seed: full for seed in self.curves[strategy] if (full := self.reference(seed))}

    def ranked(self) -> list[str]:
        """Strategies by falling mean AUBC; those without a complete seed are left out."""

        def mean_area(strategy: str) -> float:
            return mean_interval([self.area(strategy, s) for s in self.curves[strategy]]).mean

        there = [strategy for strategy, seeds in self.curves.items() if seeds]
        if len(self.budgets) < 2:
            return there
        return sorted(there, key=mean_area, reverse=True)


def show(interval: Interval, digits: int = 3, sign: bool = False) -> str:
    """Mean ± half width of the 95 % interval."""
    mean = f"{interval.mean:{'+' if sign else ''}.{digits}f}"
    return mean if math.isnan(interval.half_width) else f"{mean} ± {interval.half_width:.{digits}f}"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column left, the others right."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, marks, *lines])


def budget_table(results: Results) -> str:
    """Mean IoU at each budget."""
    head = ["strategy", *(f"{labels} ({share:.0%})" for labels, share in results.budgets)]
    head += [f"{results.rows[0]['pool']} (all)", "seeds"]
    lines = []
    for strategy in results.ranked():
        curves = list(results.curves[strategy].values())
        cells = [
            show(mean_interval([curve[n]["mean_iou"] for curve in curves]))
            for n in range(len(results.budgets))
        ]
        lines.append([strategy, *cells, "", str(len(curves))])
    for name, rows in results.full.items():
        if name.split(", ")[0] != results.network:
            continue
        score = show(mean_interval([row["mean_iou"] for row in rows.values()]))
        blank = [""] * len(results.budgets)
        lines.append([f"full labels, {name}", *blank, score, str(len(rows))])
    return markdown(head, lines)


def summary_table(results: Results) -> str:
    """AUBC, the last budget as a share of full labels, and labels needed for shares of it."""
    last = f"{results.budgets[-1][1]:.0%}"
    head = [
        "strategy",
        "AUBC",
        f"at {last} of labels / full",
        *(f"labels for {target:.0%}" for target in _TARGETS),
    ]
    lines = []
    for strategy in results.ranked():
        references = results.references(strategy)
        full = mean_interval(list(references.values())).mean if references else None
        curves = [results.curves[strategy][s] for s in references or results.curves[strategy]]
        area = show(mean_interval([results.area(strategy, s) for s in results.curves[strategy]]))
        ratios = results.ratio(strategy)
        mean_curve = [
            mean_interval([curve[n]["mean_iou"] for curve in curves]).mean
            for n in range(len(results.budgets))
        ]
        labels = [count for count, _ in results.budgets]
        lines.append(
            [
                strategy,
                area,
                show(mean_interval(ratios)) if ratios else "–",
                *(_needed(labels, mean_curve, full, target) for target in _TARGETS),
            ]
        )
    return markdown(head, lines)


def _needed(
    labels: Sequence[int], scores: Sequence[float], full: float | None, target: float
) -> str:
    if full is None:
        return "–"
    count = labels_needed(labels, scores, target * full)
    if count is None:
        return f"> {labels[-1]}"
    return f"≤ {labels[0]}" if count <= labels[0] else f"{count:.0f}"


def difference_table(results: Results, against: str) -> str:
    """Paired differences from one strategy: in AUBC, and in mean IoU at each budget but the first.

    All strategies of a seed have the first in common. Holm's correction over each column.
    """
    ranked = results.ranked()
    if against not in ranked or len(ranked) < 2 or not results.seeds:
        return (
            f"Nothing to compare: no other strategy has a complete seed in common with {against}."
        )
    measures: dict[str, Callable[[str, int], float]] = {"AUBC": results.area}
    for number, (labels, share) in enumerate(results.budgets[1:], 1):
        measures[f"{labels} ({share:.0%})"] = partial(_mean_iou, results, number)
    head, columns = ["strategy"], []
    for name, measure in measures.items():
        scores = {s: [measure(s, seed) for seed in results.seeds] for s in ranked}
        head += [name, "p (Holm)"]
        columns.append(compare_all(scores, against))
    lines = []
    for strategy in ranked:
        if strategy != against:
            cells = []
            for column in columns:
                found = column[strategy]
                cells += [show(found.difference, sign=True), _p(found.p_holm)]
            lines.append([strategy, *cells])
    return markdown(head, lines)


def _mean_iou(results: Results, number: int, strategy: str, seed: int) -> float:
    return float(results.curves[strategy][seed][number]["mean_iou"])


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def class_table(results: Results) -> str:
    """IoU, Dice and HD95 of each class, at the last budget and with full labels."""
    named: dict[str, list[Row]] = {
        strategy: [curve[-1] for curve in results.curves[strategy].values()]
        for strategy in results.ranked()
    }
    named |= {f"full labels, {name}": list(rows.values()) for name, rows in results.full.items()}
    classes = list(next(iter(named.values()))[0]["classes"]) if named else []
    head = ["run", "mean Dice (F1)"]
    for name in classes:
        head += [f"{name}: IoU", "Dice", "HD95 px"]
    lines = []
    for run, rows in named.items():
        cells = [_cell(row["dice"] for row in rows)]
        for name in classes:
            of_class = [row["classes"][name] for row in rows]
            cells += [
                _cell(c["iou"] for c in of_class),
                _cell(c["dice"] for c in of_class),
                _cell((c["hd95_px"] for c in of_class), digits=1),
            ]
        lines.append([run, *cells])
    return markdown(head, lines)


def _cell(values: Any, digits: int = 3) -> str:
    known = [value for value in values if value is not None]
    return show(mean_interval(known), digits) if known else "–"


def network_table(results: Results) -> str:
    """Full labels by network, and the strategies' network over each."""
    own = results.full.get(results.network, {})
    head = [
        "network, full labels",
        "mean IoU",
        "Dice",
        f"{results.network} / it",
        "train s",
        "seeds",
    ]
    lines = []
    for name, rows in results.full.items():
        ratios = [
            own[seed]["mean_iou"] / row["mean_iou"]
            for seed, row in rows.items()
            if seed in own and row["mean_iou"]
        ]
        lines.append(
            [
                name,
                _cell(row["mean_iou"] for row in rows.values()),
                _cell(row["dice"] for row in rows.values()),
                "–" if name == results.network or not ratios else show(mean_interval(ratios)),
                _cell((row["train_s"] for row in rows.values()), digits=1),
                str(len(rows)),
            ]
        )
    return markdown(head, lines)


def time_table(results: Results) -> str:
    """Seconds of a round's steps, mean over rounds and seeds."""
    lines = []
    for strategy in results.ranked():
        rows = [row for curve in results.curves[strategy].values() for row in curve]
        lines.append(
            [strategy]
            + [
                f"{sum(row[name] for row in rows) / len(rows):.{digits}f}"
                for name, digits in (("train_s", 1), ("score_s", 1), ("select_s", 3))
            ]
        )
    return markdown(["strategy", "train s", "score s", "select s"], lines)
