"""What a storm must leave standing: pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .sender import Outcome


@dataclass(frozen=True)
class Storm:
    """What a storm was, and what it did."""

    style: str
    seconds: float
    body_bytes: int
    connections: int
    outcomes: list[Outcome]
    rounds: dict[int, int]  # project → rounds that began since before the storm
    trained_s: float  # how long of the storm a round was under way
    settled_s: float  # from the storm's end until nothing ran or waited


def faults(storm: Storm, limit_ms: float, most_rounds: int) -> list[str]:
    """What of a storm's promises did not hold, in words."""
    found = []
    p99 = percentile_ms(storm.outcomes, 0.99)
    if p99 >= limit_ms:
        found.append(f"p99 is {p99:.0f} ms: {limit_ms:.0f} ms were promised")
    if lacking := refused(storm.outcomes):
        found.append(f"{lacking} of {len(storm.outcomes)} events were refused or not answered")
    found += [
        f"project {project} began {count} rounds"
        for project, count in storm.rounds.items()
        if count > most_rounds
    ]
    if storm.trained_s <= 0:
        found.append("no round was under way while the storm lasted: it proves nothing")
    return found


def percentile_ms(outcomes: Sequence[Outcome], share: float, late: bool = False) -> float:
    """A percentile of the answers' times, in ms, or of how late events were sent; NaN of none.

    An event that was not answered counts as never.
    """
    times = sorted(o.late_s if late else (o.took_s if o.status else float("inf")) for o in outcomes)
    return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")


def refused(outcomes: Sequence[Outcome]) -> int:
    """Events that were answered with an error, or not at all."""
    return sum(not 200 <= outcome.status < 300 for outcome in outcomes)
