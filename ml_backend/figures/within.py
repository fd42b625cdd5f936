"""How far two arms are apart, each annotator compared with himself.

The comparisons are averaged with the weight n1 n0 / (n1 + n0) of an annotator's n1 slices with and
n0 without a draft: that of least variance where all scatter alike, and what a regression with one
constant for each annotator gives. Who has slices in one arm only says nothing. Intervals are
percentile bootstraps over slices, within each arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .intervals import MOST_ROWS, RESAMPLES, Floats, Interval, interval, unknown
from .records import WITH, WITHOUT

Ints = npt.NDArray[np.int64]

_AT_ONCE = 200_000  # numbers drawn at once: all draws of 10,000 annotators would take gigabytes


@dataclass(frozen=True)
class Values:
    """One value an annotation: its slice, annotator (index), arm, and the value."""

    tasks: list[int]
    annotators: list[int]
    arms: list[str]
    values: list[float]

    def slices(self) -> dict[str, int]:
        """How many slices of each arm have a value by one who has both arms."""
        rows = list(zip(self.tasks, self.annotators, self.arms, strict=True))
        people = {arm: {who for _, who, of in rows if of == arm} for arm in (WITH, WITHOUT)}
        both = people[WITH] & people[WITHOUT]
        return {
            arm: len({task for task, who, of in rows if of == arm and who in both})
            for arm in (WITH, WITHOUT)
        }


def within(values: Values, seed: int) -> Interval:
    """The mean difference with - without, within annotators."""
    annotators, arms = np.array(values.annotators, dtype=np.int64), np.array(values.arms)
    people = np.intersect1d(annotators[arms == WITH], annotators[arms == WITHOUT])
    if not people.size:
        return unknown()
    made = []
    for number, arm in enumerate((WITH, WITHOUT)):
        own = (arms == arm) & np.isin(annotators, people)
        tasks, drawn = np.array(values.tasks)[own], np.array(values.values)[own]
        who = np.searchsorted(people, annotators[own])
        made.append(_Arm(tasks, who, drawn, np.random.default_rng([seed, number])))
    first, second = made
    mean = float(_difference(first.sums(), second.sums())[0])
    at_once = max(1, _AT_ONCE // max(arm.width for arm in made))
    draws = [
        _difference(first.resampled(size), second.resampled(size))
        for start in range(0, RESAMPLES, at_once)
        if (size := min(at_once, RESAMPLES - start))
    ]
    return interval(mean, np.concatenate(draws), min(values.slices().values()))


class _Arm:
    """The values of one arm as counts and sums by annotator, to be drawn by slice.

    Of many slices, groups put together by chance are drawn, as in resampled_sums(). Kept are only
    the cells, of an annotator and a group, that have a value: in a large crowd most have none.
    """

    def __init__(
        self, tasks: Ints, who: Ints, values: Floats, generator: np.random.Generator
    ) -> None:
        """`tasks`, `who` (0 to A - 1, each at least once) and `values` are (N,), by annotation."""
        self._generator = generator
        slices, row = np.unique(tasks, return_inverse=True)
        self._groups = min(len(slices), MOST_ROWS)
        group = generator.permutation(len(slices)) % self._groups
        cells, cell = np.unique(who * self._groups + group[row], return_inverse=True)
        of, self._group = np.divmod(cells, self._groups)
        self._first = np.flatnonzero(np.diff(of, prepend=-1))  # (A,) of each annotator's cells
        self._counts = np.bincount(cell).astype(np.float64)
        self._sums = np.bincount(cell, values)

    @property
    def width(self) -> int:
        """Numbers that one draw takes."""
        return max(self._groups, len(self._group))

    def sums(self) -> tuple[Floats, Floats]:
        """How many values each annotator has, and their sum: (1, A) each."""
        return self._summed(np.ones((1, self._groups)))

    def resampled(self, size: int) -> tuple[Floats, Floats]:
        """The same of as many groups drawn with replacement, `size` times: (size, A) each."""
        drawn = self._generator.integers(0, self._groups, (size, self._groups))
        drawn += self._groups * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * self._groups)
        return self._summed(times.reshape(size, self._groups).astype(np.float64))

    def _summed(self, times: Floats) -> tuple[Floats, Floats]:
        """Counts and sums, (R, A), with each group so many `times`, (R, G)."""
        each = times[:, self._group]
        counts: Floats = np.add.reduceat(each * self._counts, self._first, axis=1)
        sums: Floats = np.add.reduceat(each * self._sums, self._first, axis=1)
        return counts, sums


def _difference(with_draft: tuple[Floats, Floats], without: tuple[Floats, Floats]) -> Floats:
    """(R,) weighted differences of counts and sums, each (R, A); NaN where nobody has both."""
    (n1, sum1), (n0, sum0) = with_draft, without
    both = (n1 > 0) & (n0 > 0)
    n1, n0 = np.where(both, n1, 1), np.where(both, n0, 1)
    weight = np.where(both, n1 * n0 / (n1 + n0), 0.0)
    apart = sum1 / n1 - sum0 / n0
    total = weight.sum(axis=1)
    found: Floats = np.full(len(total), np.nan)
    np.divide((weight * apart).sum(axis=1), total, out=found, where=total > 0)
    return found
