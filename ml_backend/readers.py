"""How each annotator reads compared with the others: figures, who stands out, what is to be done.

Readings are taken slice by slice and are a few numbers each, so they can be kept, and a crowd's
whole work is compared without its masks in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .figures.intervals import mean_interval
from .learning.consensus import majority
from .learning.metrics import Counts, cohen_kappa, confusion, dice, foreground_mean

LabelMap = npt.NDArray[np.uint8]

_LEAST_SLICES = 10  # of fewer, nothing is said about anyone
_LEAST_READERS = 3  # of two who differ nobody knows which one is right


@dataclass(frozen=True)
class Reading:
    """One annotator on one slice, compared once."""

    annotator: int
    others: tuple[int, ...]  # whom he is compared with; () for a ground truth
    dice: float  # over the foreground; NaN where neither drew any
    log_area_ratio: float  # of the areas drawn, his to theirs; NaN where one is empty
    counts: tuple[tuple[int, ...], ...]  # pixels by their class (row) and his (column)


@dataclass(frozen=True)
class Interval:
    """A mean and its bootstrap interval; all NaN without a value, the bounds of a single one."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Reader:
    """One annotator over all slices shared with others."""

    annotator: int
    slices: int
    dice: Interval  # with the consensus of the others
    kappa: float  # Cohen's, pixels of all slices together
    area_ratio: Interval  # geometric mean: 1.2 draws 20 % too much, 0.8 draws 20 % too little


@dataclass(frozen=True)
class Suspect:
    """An annotator who disagrees systematically, and in what way."""

    annotator: int
    reason: str  # for people


def readings(
    by_annotator: Mapping[int, LabelMap], classes: int, truth: LabelMap | None = None
) -> list[Reading]:
    """Readings of one slice; none of a slice that one has drawn alone.

    With a ground truth everyone is compared with it, but who drew it (whose map it is, the same
    array). Else each with the majority of the others if they are three or more; two others have
    no majority where they differ, so he is compared with one and with the other. Annotators that
    nobody knows (below 0, see targets) get no reading. Raises ValueError as confusion().
    """
    found = []
    for who, own in by_annotator.items():
        if who < 0 or own is truth:
            continue
        others = {other: drawn for other, drawn in by_annotator.items() if other != who}
        if truth is not None:
            references: dict[tuple[int, ...], LabelMap] = {(): truth}
        elif len(others) >= 3:
            references = {tuple(others): majority(np.stack(list(others.values())))}
        else:
            references = {(other,): drawn for other, drawn in others.items()}
        for against, reference in references.items():
            counts = confusion(reference, own, classes)
            theirs, his = counts[1:].sum(), counts[:, 1:].sum()
            found.append(
                Reading(
                    annotator=who,
                    others=against,
                    dice=foreground_mean(dice(counts)),
                    log_area_ratio=float(np.log(his / theirs)) if his and theirs else float("nan"),
                    counts=tuple(tuple(int(n) for n in row) for row in counts),
                )
            )
    return found


def table(
    slices: Iterable[Sequence[Reading]],
    *,
    without: Collection[int] = (),
    seed: int = 0,
) -> dict[int, Reader]:
    """Each annotator's figures over the readings of all slices, by annotator.

    A slice counts once, with the mean of his comparisons on it; those with the annotators in
    `without` alone are left out. Intervals are bootstraps over the slices, 95 %; of one slice there
    is none.
    """
    by_annotator: dict[int, list[list[Reading]]] = {}
    for of_slice in slices:
        here: dict[int, list[Reading]] = {}
        for reading in of_slice:
            if not reading.others or not all(other in without for other in reading.others):
                here.setdefault(reading.annotator, []).append(reading)
        for who, own in here.items():
            by_annotator.setdefault(who, []).append(own)
    readers = {}
    for who, shared in sorted(by_annotator.items()):
        ratios = [_mean([r.log_area_ratio for r in own]) for own in shared]
        ratio = _interval(ratios, seed)
        counts: Counts = np.sum([r.counts for own in shared for r in own], axis=0, dtype=np.int64)
        readers[who] = Reader(
            annotator=who,
            slices=len(shared),
            dice=_interval([_mean([r.dice for r in own]) for own in shared], seed),
            kappa=cohen_kappa(counts),
            area_ratio=Interval(*np.exp([ratio.mean, ratio.low, ratio.high]).tolist()),
        )
    return readers


def _mean(values: Sequence[float]) -> float:
    """Of the values that are known; NaN if none is."""
    known = [value for value in values if not np.isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def _interval(values: Sequence[float], seed: int) -> Interval:
    known = [value for value in values if not np.isnan(value)]
    bounds = mean_interval(known, seed).values()
    return Interval(*(float("nan") if bound is None else bound for bound in bounds))


def suspects(
    slices: Sequence[Sequence[Reading]],
    *,
    margin: float = 0.05,
    area_margin: float = 0.15,
    least_slices: int = _LEAST_SLICES,
    seed: int = 0,
) -> list[Suspect]:
    """Who disagrees systematically, the worst first.

    One whose Dice interval lies wholly below the crowd's, the median of the others' means, by more
    than `margin`; or whose area ratio's lies wholly outside of 1 ± `area_margin` (above 1.15 or
    below 1 / 1.15) times the crowd's: beside one who draws too much everybody seems to draw too
    little. Whoever is found is left out, and the rest are compared again without him, for one who
    draws at random makes everybody look bad. Nothing is said of who shares fewer than
    `least_slices` slices, nor of a crowd of two.
    """
    found: dict[int, Suspect] = {}
    while True:
        readers = table(slices, without=found, seed=seed)
        worst = _worst(
            [r for who, r in readers.items() if who not in found and r.slices >= least_slices],
            margin,
            area_margin,
        )
        if worst is None:
            return list(found.values())
        found[worst.annotator] = worst


def _worst(known: Sequence[Reader], margin: float, area_margin: float) -> Suspect | None:
    """Of those who disagree systematically, the one with the lowest Dice."""
    if len(known) < _LEAST_READERS:
        return None
    size = _median([reader.area_ratio.mean for reader in known])
    for reader in sorted(known, key=lambda reader: (reader.dice.mean, reader.annotator)):
        crowd = _median([other.dice.mean for other in known if other is not reader])
        ratio, reasons = reader.area_ratio, []
        if reader.dice.high < crowd - margin:
            reasons.append(f"Dice {reader.dice.mean:.2f} where the others reach {crowd:.2f}")
        if ratio.low > size * (1 + area_margin) or ratio.high < size / (1 + area_margin):
            reasons.append(f"draws {ratio.mean / size:.2f} times as large as the others")
        if reasons:
            return Suspect(reader.annotator, f"{'; '.join(reasons)} ({reader.slices} slices)")
    return None


def _median(values: Sequence[float]) -> float:
    """Of the values that are known; NaN, which passes no comparison, if none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")


def weights(
    suspected: Iterable[Suspect],
    weight: float = 1.0,
    by_hand: Mapping[int, float] | None = None,
) -> dict[int, float]:
    """What each annotator weighs in a consensus where that is not 1.

    Who is suspected weighs `weight`, a setting: 1 changes nothing, 0 leaves him out. What the
    manager has set by hand, by annotator, stands. Raises ValueError for a weight outside [0, 1].
    """
    given = {suspect.annotator: weight for suspect in suspected} | dict(by_hand or {})
    for who, value in given.items():
        if not 0 <= value <= 1:
            raise ValueError(
                f"the weight of annotator {who} must be between 0 and 1: it is {value}"
            )
    return {who: value for who, value in given.items() if value != 1}


def adjudicate(disagreements: Mapping[int, float], threshold: float) -> list[int]:
    """Tasks for a reviewer, the worst disagreement first: those above the threshold.

    `disagreements` are by task, Target.disagreement: what one annotator drew alone (NaN) or a
    ground truth settles (0) is never among them.
    """
    over = [(-value, task_id) for task_id, value in disagreements.items() if value > threshold]
    return [task_id for _, task_id in sorted(over)]
