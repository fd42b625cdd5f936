"""Annotators and rounds as simpy processes: the loop that waits, and the one that does not."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from .times import Times

Process = Generator[simpy.Event, Any, None]

_PACE_OVER = 8  # labels: how many of the last ones tell the present pace


@dataclass(frozen=True)
class Campaign:
    """What is to be labelled, and by whom."""

    labels: int = 50
    annotators: int = 1
    minutes: float = 5.0  # mean time for one slice
    spread: float = 0.5  # standard deviation of the time's logarithm
    draft_saving: float = 0.0  # share of the time that a draft saves
    k: int = 8  # slices a batch
    due_after: int = 8  # new labels after which a round is due
    pool: int = 2000  # slices
    seed: int = 0


@dataclass
class Handed:
    """One slice as it was handed out."""

    known: int  # labels that its order was made from
    existing: int  # labels that were there
    selected: bool  # it stood in the selected batch, not behind it

    @property
    def freshness(self) -> float:
        """Share of the labels then existing that its choice rests on; 1 before there is any."""
        return self.known / self.existing if self.existing else 1.0


@dataclass
class Course:
    """How a campaign went."""

    handed: list[Handed] = field(default_factory=list)
    waited_s: float = 0.0  # all annotators together
    last_label_s: float = 0.0
    finished_s: float = 0.0  # a committee of all labels is published
    rounds: int = 0


# Whether what was handed out so far suffices.
Enough = Callable[[Course], bool]


class Loop:
    """What both loops share: annotators who draw, and the course that is noted."""

    def __init__(self, campaign: Campaign, times: Times, enough: Enough | None = None) -> None:
        self.campaign, self.times = campaign, times
        self.env = simpy.Environment()
        self.course = Course()
        self._enough = enough or (lambda course: len(course.handed) >= campaign.labels)
        self._random = np.random.default_rng([campaign.seed, campaign.annotators])
        self.labels = 0
        self.known = 0  # labels that the served order was made from
        self.batch_left = campaign.k  # of the selected batch

    def run(self) -> Course:
        """Label until enough is labelled, and train on all of it."""
        annotators = [self.env.process(self.annotator()) for _ in range(self.campaign.annotators)]
        self.env.run(self.env.all_of(annotators))
        self.course.last_label_s = self.env.now
        self.env.run(self.env.process(self.finish()))
        self.course.finished_s = self.env.now
        return self.course

    def annotator(self) -> Process:
        """One person: takes the next slice, draws, submits, takes the next."""
        while not self._enough(self.course):
            asked = self.env.now
            yield from self.next_slice()
            self.course.waited_s += self.env.now - asked
            if self._enough(self.course):
                return
            has_draft = self.known > 0
            self.course.handed.append(Handed(self.known, self.labels, self.batch_left > 0))
            self.batch_left = max(0, self.batch_left - 1)
            yield self.env.timeout(self._drawing_s(has_draft))
            self.labels += 1
            self.submitted()

    def _drawing_s(self, has_draft: bool) -> float:
        c = self.campaign
        # The mean of a log-normal is exp(mu + sigma² / 2).
        mu = np.log(c.minutes * 60) - c.spread**2 / 2
        seconds = float(self._random.lognormal(mu, c.spread))
        return seconds * (1 - c.draft_saving) if has_draft else seconds

    def round(self) -> Process:
        """One round with the labels that are there now."""
        labels = self.labels
        self.course.rounds += 1
        yield self.env.timeout(self.times.round_s(labels, self.campaign.pool - labels))
        self.known, self.batch_left = labels, self.batch_size()

    def batch_size(self) -> int:
        """Slices selected a round."""
        return self.campaign.k

    def next_slice(self) -> Process:
        """Wait until there is a slice to hand out."""
        raise NotImplementedError

    def submitted(self) -> None:
        """A label is there."""
        raise NotImplementedError

    def finish(self) -> Process:
        """Train on what is not trained on yet."""
        raise NotImplementedError


class Waiting(Loop):
    """The paper's loop: a batch is labelled, then all wait for training and query.

    For many annotators its batch is made as large as there are annotators: it would be slower
    with 8 slices for 20 people.
    """

    def __init__(self, campaign: Campaign, times: Times, enough: Enough | None = None) -> None:
        super().__init__(campaign, times, enough)
        self.batch_left = self.batch_size()
        self._drawn = 0  # of this batch
        self._served = self.env.event()

    def batch_size(self) -> int:
        return max(self.campaign.k, self.campaign.annotators)

    def next_slice(self) -> Process:
        while self.batch_left == 0 and not self._enough(self.course):
            yield self._served

    def submitted(self) -> None:
        self._drawn += 1
        if self._drawn == self.batch_size() and not self._enough(self.course):
            self.env.process(self._go_on())

    def _go_on(self) -> Process:
        yield from self.round()
        self._drawn = 0
        served, self._served = self._served, self.env.event()
        served.succeed()

    def finish(self) -> Process:
        yield from self.round()


class Flowing(Loop):
    """The product's: the whole pool always has an order, and rounds run beside the labelling.

    A round is due when `due_after` labels are new since the last began; with `lead` also at half
    of that, if the selected batch will be used up before a round begun now would end, at the pace
    of the last labels; before any round is known its length counts as long. One runs at a time;
    its order is switched in when it is ready, and nobody stops.
    """

    def __init__(
        self, campaign: Campaign, times: Times, enough: Enough | None = None, lead: bool = False
    ) -> None:
        super().__init__(campaign, times, enough)
        self._lead = lead
        self._trained_on = 0  # labels that the last round began with
        self._running: simpy.Process | None = None
        self._took_s: float | None = None  # the last round
        self._when: list[float] = []

    def next_slice(self) -> Process:
        # Behind the batch stands the rest of the pool: nobody waits while a slice is left.
        if len(self.course.handed) >= self.campaign.pool:
            raise RuntimeError(f"the pool's {self.campaign.pool} slices do not suffice: give more")
        yield from ()

    def submitted(self) -> None:
        self._when.append(self.env.now)
        self._look()

    def _look(self) -> None:
        if self._running is None and self._due():
            self._running = self.env.process(self._round())

    def _due(self) -> bool:
        new, after = self.labels - self._trained_on, self.campaign.due_after
        if new >= after:
            return True
        if not self._lead or new < max(1, after / 2):
            return False
        if self._took_s is None:
            return True
        recent = self._when[-_PACE_OVER - 1 :]
        pace = (len(recent) - 1) / max(1e-9, recent[-1] - recent[0])  # labels a second
        return self.batch_left <= pace * self._took_s

    def _round(self) -> Process:
        began, self._trained_on = self.env.now, self.labels
        yield from self.round()
        self._took_s = self.env.now - began
        self._running = None
        self._look()

    def finish(self) -> Process:
        if self._running is not None:
            yield self._running
        while self._trained_on < self.labels:
            self._running = self._running or self.env.process(self._round())
            yield self._running
