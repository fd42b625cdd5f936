"""Which faults, when, and for how long: all of it follows from a seed and a fault's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KINDS = (
    "worker",  # kill -9 of a worker, or of the process in it that does a job
    "backend",  # kill -9 of the web server, or of one of its processes
    "redis",  # kill -9; it comes back with what it had on its disk
    "redis-emptied",  # kill -9, and its folder is wiped before it comes back
    "label-studio",  # kill -9; it comes back with its database
    "disk-full",  # the store's disk holds not one byte more, for a while
    "store-away",  # the store's folder is not there, for a while, as with a lost mount
    "webhook-lost",  # the event that makes a round due is never sent
    "webhook-doubled",  # every event is sent twice, and once more while the round runs
)
# Label Studio needs some 15 s to start as it is; an event has no duration.
_QUICK = frozenset({"label-studio", "webhook-lost", "webhook-doubled"})
_DISKS = frozenset({"disk-full", "store-away"})
_LONGEST_RESTART_S = 3.0
_LEAST_OF_ROUND = 0.25
_GOLDEN = (5**0.5 - 1) / 2
_FURTHER = 1 / 3  # of the faults, further labels come in while the fault lasts


@dataclass(frozen=True)
class Fault:
    """One fault; the same number of the same seed is the same fault, whatever else is run."""

    number: int
    kind: str
    moment: float  # of an undisturbed round's duration, from the label that made it due; [0, 1)
    outage: float  # see outage_s(); [0, 1)
    inside: bool  # kill a process that the service started, if it has any, and not the service
    choice: float  # which of several processes, [0, 1)
    further: bool  # whether an annotator goes on submitting meanwhile

    def outage_s(self, round_s: float) -> float:
        """Until the process is started again, the disk has room, or the folder is back.

        A disk is full for a good part of a round of `round_s`, or no step would meet it.
        """
        if self.kind in _QUICK:
            return 0.0
        if self.kind in _DISKS:
            return (_LEAST_OF_ROUND + (1 - _LEAST_OF_ROUND) * self.outage) * round_s
        return _LONGEST_RESTART_S * self.outage


def plan(seed: int, count: int, kinds: Sequence[str] = KINDS) -> list[Fault]:
    """The first `count` faults of a seed; every kind comes once in len(kinds) of them.

    A kind's moments follow the golden ratio from a random start: uniform, and spread over the
    round's steps even when they are few.
    """
    faults = []
    for number in range(count):
        block = number // len(kinds)
        kind = kinds[
            np.random.default_rng([seed, 0, block]).permutation(len(kinds))[number % len(kinds)]
        ]
        start = np.random.default_rng([seed, 1, KINDS.index(kind)]).random()
        generator = np.random.default_rng([seed, 2, number])
        outage, inside, choice, further = generator.random(4)
        faults.append(
            Fault(
                number=number,
                kind=kind,
                moment=float((start + block * _GOLDEN) % 1.0),
                outage=float(outage),
                inside=bool(inside < 0.5),
                choice=float(choice),
                further=bool(further < _FURTHER and not kind.startswith("webhook")),
            )
        )
    return faults
