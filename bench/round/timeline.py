"""From what was seen of a round to bars on one clock: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LEAST_S = 0.1  # a shorter part or wait is no row of its own
PEOPLE, LOOK, READ, LEARN, SCORE, REORDER, WAIT = (
    "Label Studio",
    "look",
    "read",
    "learn",
    "score",
    "reorder",
    "wait",
)
_Job = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """Something that was done, in seconds since the batch's last annotation was submitted."""

    name: str
    kind: str
    begins_s: float
    ends_s: float
    parts: tuple[Bar, ...] = ()  # one after another, within it

    @property
    def takes_s(self) -> float:
        """How long it took."""
        return self.ends_s - self.begins_s


def bars_of(made: Mapping[str, Any], seen: Mapping[str, Any]) -> list[Bar]:
    """A round's bars in the order they begin, and the waits between them.

    `made` is one of a recording's rounds, `seen` its sightings. Raises ValueError if jobs that
    every round has were not seen.
    """
    zero, switched = float(made["submitted"][0]), float(made["switched"])
    version = str(made["version"])
    jobs = [
        {**job, "id": job_id}
        for job_id, job in seen["jobs"].items()
        if {"began", "ended"} <= {*job}
    ]
    steps = {str(job["what"].split()[-1]): job for job in jobs if version in job["what"].split()}
    rounds = {job["id"].split("-")[1] for job in steps.values()}
    gathers = [
        job for job in jobs if "gather_job" in job["what"] and job["id"].split("-")[1] in rounds
    ]
    if not {"publish", "order"} <= steps.keys() or not gathers:
        raise ValueError(f"the recording lacks steps of round {version}")
    files = {
        path.rsplit("/", 1)[1]: times[0]
        for path, times in seen["files"].items()
        if version in path and times
    }
    number = gathers[-1]["id"].split("-")[1]
    arrived = next((at for at in seen["webhooks"] if at >= zero), None)
    workers = sorted({str(job["worker"]) for job in steps.values()})
    clock = _Clock(zero, files, workers)
    bars = [
        clock.submitted(zero, made["submitted"][1], arrived),
        *_looked(clock, jobs, gathers[-1]),
        _gathered(clock, gathers[-1]),
        *(
            _learnt(clock, name, job, made["seconds"].get(name))
            for name, job in steps.items()
            if name != "order"
        ),
        _ordered(clock, version, steps["order"], switched, seen["progress"].get(f"{number} push")),
    ]
    bars += _waits(bars, switched - zero)
    bars.append(clock.bar("first task handed out", PEOPLE, *made["asked"]))
    return sorted(bars, key=lambda bar: (bar.begins_s, bar.ends_s))


def served_after_s(made: Mapping[str, Any]) -> float:
    """From the last annotation to the new order being served."""
    return float(made["switched"]) - float(made["submitted"][0])


@dataclass(frozen=True)
class _Clock:
    """Makes bars of Unix seconds."""

    zero: float
    files: Mapping[str, float]  # when each file of the round was written
    workers: Sequence[str]

    def bar(self, name: str, kind: str, begun: float, ended: float, *parts: Bar) -> Bar:
        told = tuple(part for part in parts if part.takes_s >= _LEAST_S)
        return Bar(name, kind, begun - self.zero, ended - self.zero, told)

    def submitted(self, begun: float, ended: float, arrived: float | None) -> Bar:
        """Label Studio's answer to the annotator, and its webhook, which may come after it."""
        parts = self.parts(begun, ("until the webhook comes in", PEOPLE, arrived), ended=ended)
        return self.bar("annotation stored, webhook sent", PEOPLE, begun, ended, *parts)

    def parts(
        self, begun: float, *moments: tuple[str, str, float | None], ended: float
    ) -> list[Bar]:
        """Parts that follow one another: each ends at its moment, and what follows takes the rest.

        One whose moment is not known counts with the next.
        """
        found = []
        for name, kind, moment in moments:
            if moment is not None and begun <= moment <= ended:
                found.append(self.bar(name, kind, begun, moment))
                begun = moment
        return found

    def named(self, name: str, job: _Job) -> str:
        """A step's name, with its worker's number if there are several."""
        if len(self.workers) < 2 or job["worker"] not in self.workers:
            return name
        return f"{name} (worker {self.workers.index(job['worker']) + 1})"


def _looked(clock: _Clock, jobs: Sequence[_Job], gather: _Job) -> list[Bar]:
    """The looks between the last annotation and the gathering; one of them asks for the round."""
    asked = [job["queued"] for job in jobs if "advance_job" in job["what"]]
    bars = []
    for job in jobs:
        begun, ended = max(clock.zero, job["began"]), job["ended"]
        if "look_job" not in job["what"] or begun > gather["queued"] or ended <= clock.zero:
            continue
        due = next((at for at in asked if begun <= at <= ended), None)
        parts = clock.parts(
            begun,
            ("rests, lists tasks: a round is due", LOOK, due),
            ("figures of the page", LOOK, ended if due else None),
            ended=ended,
        )
        bars.append(clock.bar("look", LOOK, begun, ended, *parts))
    return bars


def _gathered(clock: _Clock, job: _Job) -> Bar:
    begun, ended = job["began"], job["ended"]
    parts = clock.parts(
        begun,
        ("lists tasks, reads labels and pictures", READ, clock.files.get("pool")),
        ("makes training arrays", READ, clock.files.get("gathered")),
        ("hands over", WAIT, ended),
        ended=ended,
    )
    return clock.bar("gather", READ, begun, ended, *parts)


def _learnt(clock: _Clock, name: str, job: _Job, span: Sequence[float] | None) -> Bar:
    kind = SCORE if name.startswith("score") else LEARN
    begun, ended = job["began"], job["ended"]
    parts = clock.parts(
        begun,
        ("gets ready", WAIT, span[0] if span else None),
        ("works", kind, span[1] if span else None),
        ("hands over", WAIT, ended),
        ended=ended,
    )
    # Work that takes all of a step says nothing that the step does not.
    told = [part for part in parts if part.kind == WAIT]
    return clock.bar(clock.named(name, job), kind, begun, ended, *told)


def _ordered(clock: _Clock, version: str, job: _Job, switched: float, pushed: float | None) -> Bar:
    begun, ended = job["began"], job["ended"]
    parts = clock.parts(
        begun,
        ("selects", REORDER, clock.files.get("order")),
        ("pushes the first predictions", REORDER, pushed),
        ("pushes the rest", REORDER, clock.files.get(f"{version}-order.json")),
        ("looks for new tasks", REORDER, clock.files.get(f"{version}-round.json")),
        ("switches", REORDER, switched),
        ("tabs, clears its work", REORDER, ended),
        ended=ended,
    )
    return clock.bar("order", REORDER, begun, ended, *parts)


def _waits(bars: Sequence[Bar], until_s: float) -> list[Bar]:
    """What of the time no bar covers."""
    waits, reached, before = [], 0.0, "the annotation"
    for bar in sorted(bars, key=lambda bar: bar.begins_s):
        if bar.begins_s - reached >= _LEAST_S and reached < until_s:
            waits.append(Bar(f"between {before} and {bar.name}", WAIT, reached, bar.begins_s))
        if bar.ends_s > reached:
            reached, before = bar.ends_s, bar.name
    return waits
