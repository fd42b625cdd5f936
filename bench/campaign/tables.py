"""Campaigns run over several seeds, and what they show as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..active_learning.statistics import mean_interval
from ..pages import markdown_table
from .loops import Campaign, Course, Enough, Flowing, Loop, Waiting
from .times import Times

_UNINFORMED = 0.5  # worth of a label that was chosen knowing nothing: the paper's halved labels

LOOPS: dict[str, Callable[[Campaign, Times, Enough | None], Loop]] = {
    "waits for each round": Waiting,
    "Quorum": Flowing,
    "Quorum, with lead": lambda c, t, e: Flowing(c, t, e, lead=True),
}

_HEAD = [
    "loop",
    "annotators",
    "hours to the last label",
    "hours to the committee of all",
    "minutes waited, each",
    "rounds",
    "fresh %",
    "labels behind",
    "of the batch %",
]


def simulate(
    loop: str, campaign: Campaign, times: Times, seeds: int, enough: Enough | None = None
) -> list[Course]:
    """The campaign with seeds 0, 1, …"""
    return [LOOPS[loop](replace(campaign, seed=s), times, enough).run() for s in range(seeds)]


def freshness(course: Course) -> float:
    """Mean share of the labels existing at hand-out that slices' choice rested on."""
    return float(np.mean([handed.freshness for handed in course.handed]))


def worth(course: Course) -> float:
    """What the labels are worth together, in labels that were all chosen freshly."""
    return sum(_UNINFORMED + (1 - _UNINFORMED) * handed.freshness for handed in course.handed)


def _worth_of(target: float) -> Enough:
    return lambda course: worth(course) >= target


def section(
    campaign: Campaign,
    times: Mapping[str, Times],
    annotators: Sequence[int],
    seeds: int,
    command: str,
) -> str:
    """The page's section: a table for each set of times, then what not waiting costs."""
    c = campaign
    parts = [
        f"## Campaign: {c.labels} slices at {c.minutes:g} minutes, simulated",
        f"A discrete-event simulation. Times for a slice are log-normal (mean {c.minutes:g} "
        f"minutes, standard deviation of the logarithm {c.spread:g}); a draft saves "
        f"{c.draft_saving:.0%} of it. Batches of {c.k}, a pool of {c.pool:,}; the loop that waits "
        "gets a batch as large as its crowd. Both begin with a first order, and both have their "
        f"test labels already. Quorum's rounds start when {c.due_after} labels are new; *with "
        "lead* also at half of that if the selected batch will be used up before the round ends "
        "(a first round's length, unknown, counts as long). Mean ± half of the 95 % t-interval "
        f"over {seeds} seeds.",
        "*Fresh*: of the labels existing when a slice was handed out, the share that its choice "
        "rested on (all of it before there is any, in all loops); *labels behind*: how many it "
        "did not know. *Of the batch*: handed out from the diverse batch, not from the uncertain "
        "ones behind it. Nobody waits, so slices are chosen with less: the price.",
    ]
    for name, seconds in times.items():
        parts += [
            f"### With {name} times",
            _figures(seconds, c),
            _table(c, seconds, annotators, seeds),
        ]
        parts.append(_lead(c, seconds, annotators, seeds))
    parts += ["### To the same quality", *_same_quality(c, times, annotators, seeds)]
    *_, (name, seconds) = times.items()
    parts += [
        "### Settings that pay some of the price back",
        f"Quorum with lead and {name} times: rounds that are due sooner know more; a batch of at "
        "least the people at work and what they label during a round keeps slices diverse.",
        _settings(c, seconds, annotators, seeds),
    ]
    parts.append(f"```\n{command}\n```")
    return "\n\n".join(parts)


def _figures(times: Times, campaign: Campaign) -> str:
    train = ", ".join(f"{s:g} s on {n} labels" for n, s in times.train)
    if len(times.train) == 1:
        train = f"{times.train[0][1]:g} s"
    return (
        f"Training {train}; query {times.query_s:g} s; a slice "
        f"{1000 * times.score_s_per_slice:.3g} ms to score and "
        f"{1000 * times.push_s_per_slice:.3g} ms to push: a round of "
        f"{times.round_s(campaign.labels // 2, campaign.pool) / 60:.1f} minutes. "
        f"Source: {times.source}."
    )


def _shown(values: Sequence[float], digits: int = 1) -> str:
    found = mean_interval(values)
    spread = "" if len(values) < 2 else f" ± {found.half_width:.{digits}f}"
    return f"{found.mean:.{digits}f}{spread}"


def _table(campaign: Campaign, times: Times, annotators: Sequence[int], seeds: int) -> str:
    rows = [_HEAD]
    for loop in LOOPS:
        for people in annotators:
            courses = simulate(loop, replace(campaign, annotators=people), times, seeds)
            rows.append(
                [
                    loop,
                    str(people),
                    _shown([course.last_label_s / 3600 for course in courses], 2),
                    _shown([course.finished_s / 3600 for course in courses], 2),
                    _shown([course.waited_s / 60 / people for course in courses]),
                    *_choice(courses),
                ]
            )
    return markdown_table(rows)


def _lead(campaign: Campaign, times: Times, annotators: Sequence[int], seeds: int) -> str:
    said = []
    for people in annotators:
        one = replace(campaign, annotators=people)
        plain, lead = (
            simulate(loop, one, times, seeds) for loop in ("Quorum", "Quorum, with lead")
        )
        pairs = list(zip(plain, lead, strict=True))
        gained = _shown([100 * (freshness(b) - freshness(a)) for a, b in pairs])
        more = _shown([float(b.rounds - a.rounds) for a, b in pairs])
        noun = "annotator" if people == 1 else "annotators"
        said.append(f"{people} {noun}: fresh {gained} points, rounds {more}")
    return f"With lead less without, paired by seed: {'; '.join(said)}."


def _settings(campaign: Campaign, times: Times, annotators: Sequence[int], seeds: int) -> str:
    rows = [["annotators", "slices a batch", "due after", *_HEAD[-4:]]]
    for people in annotators:
        for k in (campaign.k, 4 * campaign.k):
            for due_after in (campaign.due_after, max(1, campaign.due_after // 2)):
                one = replace(campaign, annotators=people, k=k, due_after=due_after)
                courses = simulate("Quorum, with lead", one, times, seeds)
                rows.append([str(people), str(k), str(due_after), *_choice(courses)])
    return markdown_table(rows)


def _choice(courses: Sequence[Course]) -> list[str]:
    """Rounds, and what slices were chosen with: the last four columns."""
    handed = [course.handed for course in courses]
    return [
        _shown([course.rounds for course in courses]),
        _shown([100 * freshness(course) for course in courses], 0),
        _shown([float(np.mean([h.existing - h.known for h in one])) for one in handed]),
        _shown([100 * float(np.mean([h.selected for h in one])) for one in handed], 0),
    ]


def _same_quality(
    campaign: Campaign, times: Mapping[str, Times], annotators: Sequence[int], seeds: int
) -> list[str]:
    alone = replace(campaign, annotators=1)
    rows = [["times", "annotators", "labels", "hours to the last", "hours to the committee"]]
    halves = [["times", "annotators", "hours, half the labels", "hours, all without choosing"]]
    for name, seconds in times.items():
        waiting = simulate("waits for each round", alone, seconds, seeds)
        target = float(np.mean([worth(course) for course in waiting]))
        for people in annotators:
            crowd = replace(campaign, annotators=people)
            enough = simulate("Quorum, with lead", crowd, seconds, seeds, _worth_of(target))
            rows.append(
                [
                    name,
                    str(people),
                    _shown([float(len(course.handed)) for course in enough]),
                    _shown([course.last_label_s / 3600 for course in enough], 2),
                    _shown([course.finished_s / 3600 for course in enough], 2),
                ]
            )
            fewer = replace(crowd, labels=-(-campaign.labels // 2))
            half, every = (simulate("Quorum, with lead", c, seconds, seeds) for c in (fewer, crowd))
            halves.append(
                [
                    name,
                    str(people),
                    _shown([course.finished_s / 3600 for course in half], 2),
                    # Without choosing nobody waits either, and one training at the end is enough.
                    _shown(
                        [(c.last_label_s + seconds.train_s(campaign.labels)) / 3600 for c in every],
                        2,
                    ),
                ]
            )
    return [
        f"The same number of labels, {campaign.labels}, is the table above. If a label chosen "
        f"knowing nothing is worth {_UNINFORMED:g} of one chosen freshly, and between them in "
        "proportion to *fresh*, Quorum with lead needs this many to equal the loop that waits "
        "with one annotator:",
        markdown_table(rows),
        "If half of the labels, well chosen, do what all do at random (Suggestive Annotation's "
        "claim; a small crowd's slices, chosen freshly, are nearest to it):",
        markdown_table(halves),
    ]
