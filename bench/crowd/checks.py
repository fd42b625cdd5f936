"""What must hold of a crowd's run: pure functions of its recording."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .recording import (
    DELETED,
    IMPORTED,
    REFUSED,
    SKIPPED,
    SUBMITTED,
    Asked,
    Published,
    Recording,
)
from .timeline import Timeline, first_handouts


@dataclass(frozen=True)
class Check:
    """One claim: how often it was looked at, and where it did not hold, in words."""

    claim: str
    looked_at: int
    of: str  # what was counted
    broken: list[str]


def all_checks(recording: Recording) -> list[Check]:
    """Every claim, in the order of the table."""
    return [
        order_kept(recording),
        never_twice(recording),
        never_without(recording),
        nothing_missing(recording),
        nothing_lost(recording),
        late_joined(recording),
        deleted_vanished(recording),
        no_trouble(recording),
        rounds_made(recording),
    ]


def order_kept(recording: Recording) -> Check:
    """Each version's order is served first to last; timeline.CRITERION says how it is judged."""
    timeline, firsts = Timeline(recording), first_handouts(recording)
    begun: dict[int, float] = {}
    for asked in recording.asked:
        if asked.task is not None:
            begun[asked.task] = min(asked.begun, begun.get(asked.task, math.inf))
    deleted = _moments(recording, DELETED)
    broken = []
    for asked in firsts:
        found = [_passed_over(v, asked, begun, deleted) for v in timeline.possible(asked)]
        if all(found):  # under none of the versions that it may belong to
            what = min(found, key=len)
            broken.append(
                f"task {asked.task} at {asked.ended:.3f}: {', '.join(what[:3]) or 'no version'}"
            )
    return Check("served first and in the order wanted", len(firsts), "first hand-outs", broken)


def _passed_over(
    version: Published, asked: Asked, begun: Mapping[int, float], deleted: Mapping[int, float]
) -> list[str]:
    """Tasks that should have been handed out before this one; [] if it was rightly served."""
    made = version.tasks[: version.made]
    if asked.task in made:
        before = made[: made.index(asked.task)]
    elif asked.task in version.tasks:  # joined later: anywhere behind the selected batch
        chosen = set(version.selected)
        last = max((i for i, task in enumerate(made) if task in chosen), default=-1)
        before = made[: last + 1]
    else:
        return [f"not in the order of {version.version}"]
    return [
        f"before task {task} of {version.version}"
        for task in before
        if begun.get(task, math.inf) > asked.ended and deleted.get(task, math.inf) > asked.ended
    ]


def never_twice(recording: Recording) -> Check:
    """Nobody gets a task a second time, but for one that could not be submitted."""
    refused = {(a.who, a.task) for a in recording.answered if a.how == REFUSED}
    times = Counter((a.who, a.task) for a in recording.asked if a.task is not None)
    broken = [
        f"annotator {who} got task {task} {count} times"
        for (who, task), count in times.items()
        if count > 1 and (who, task) not in refused
    ]
    return Check("no task twice to one person", times.total(), "hand-outs", broken)


def never_without(recording: Recording) -> Check:
    """ "There are no tasks" is said only to one who has had all that are free for a reader."""
    there, gone = _moments(recording, IMPORTED, ended=True), _moments(recording, DELETED)
    had: dict[int, dict[int, float]] = defaultdict(dict)  # task → annotator → when he asked
    for asked in recording.asked:
        if asked.task is not None:
            had[asked.task].setdefault(asked.who, asked.begun)
    let_go = {(a.task, a.who): a.ended for a in recording.answered if a.how == SKIPPED}
    broken = []
    for asked in recording.asked:
        if asked.task is not None or asked.error:
            continue
        for task, since in there.items():
            if since > asked.begun or gone.get(task, math.inf) <= asked.ended:
                continue
            readers = had[task]
            if readers.get(asked.who, math.inf) < asked.begun:
                continue
            # Whoever may have it in hand, or has read it; one who skipped it leaves it to others.
            takers = sum(
                moment <= asked.ended and let_go.get((task, who), math.inf) > asked.begun
                for who, moment in readers.items()
            )
            if takers < recording.overlap:
                broken.append(f"annotator {asked.who} at {asked.ended:.3f}: task {task} was free")
                break
    return Check("no 404 while tasks remain", len(recording.asked), "requests", broken)


def nothing_missing(recording: Recording) -> Check:
    """What was submitted before a round gathered is in its training set."""
    looked_at, broken = 0, []
    for version in recording.trained():
        used = set(version.training_tasks) | set(version.evaluation_tasks)
        for task in sorted(expected(recording, version)):
            looked_at += 1
            if task not in used:
                broken.append(f"task {task} is not in {version.version}'s training set")
    return Check("no annotation missing from the next round", looked_at, "labels", broken)


def expected(recording: Recording, version: Published) -> set[int]:
    """Tasks that a version must be trained on.

    An annotation counts if Label Studio's `created_at` and its answer lie before the round began
    to gather, unless its task is held out, was deleted, or is named in the round's complaints.
    """
    answered = {(a.who, a.task): a.ended for a in recording.answered}
    not_used = {*recording.held_out, *version.complaints, *_moments(recording, DELETED)}
    return {
        stored.task
        for stored in recording.stored
        if stored.created_at < version.gathered_at
        and answered.get((stored.who, stored.task), -math.inf) < version.gathered_at
        and stored.task not in not_used
    }


def nothing_lost(recording: Recording) -> Check:
    """Label Studio holds every annotation that it took, once."""
    deleted = _moments(recording, DELETED)
    held = Counter((s.who, s.task) for s in recording.stored)
    taken = Counter(
        (a.who, a.task) for a in recording.answered if a.how == SUBMITTED and a.task not in deleted
    )
    broken = [
        f"annotator {who}, task {task}: {held[who, task]} stored, {count} submitted"
        for (who, task), count in taken.items()
        if held[who, task] != count
    ]
    return Check("every annotation is in Label Studio", taken.total(), "submitted", broken)


def late_joined(recording: Recording) -> Check:
    """Tasks imported while the crowd works join the order that is served."""
    _first, *later = _changes(recording, IMPORTED) or [[]]
    late = {task for tasks in later for task in tasks} - set(_moments(recording, DELETED))
    ordered = [version for version in recording.published if version.tasks]
    order = set(ordered[-1].tasks) if ordered else set()  # the last may be under way still
    had = {asked.task for asked in recording.asked}
    broken = [f"task {task} was never queued" for task in sorted(late - order - had)]
    if len(recording.joined_s) < len(later):
        broken.append("not all imported tasks were queued before the end")
    return Check("tasks imported meanwhile join the order", len(late), "tasks", broken)


def deleted_vanished(recording: Recording) -> Check:
    """Deleted tasks are handed out to nobody, and no later order holds them."""
    ended = _moments(recording, DELETED, ended=True)
    broken = [
        f"annotator {asked.who} got the deleted task {asked.task}"
        for asked in recording.asked
        if asked.task in ended and asked.begun > ended[asked.task]
    ]
    for version in recording.published:
        gone = {task for task, moment in ended.items() if moment < version.gathered_at}
        broken += [f"{task} is in {version.version}" for task in sorted(gone & set(version.tasks))]
    return Check("deleted tasks vanish", len(ended), "tasks", broken)


def no_trouble(recording: Recording) -> Check:
    """No request was answered with an error, and the loop reported none."""
    broken = [f"annotator {a.who} asked: {a.error}" for a in recording.asked if a.error]
    broken += [
        f"annotator {a.who} could not submit task {a.task}"
        for a in recording.answered
        if a.how == REFUSED
    ]
    requests = len(recording.asked) + len(recording.answered)
    return Check("no error", requests, "requests", broken + recording.troubles)


def rounds_made(recording: Recording) -> Check:
    """As many rounds as were asked for were trained and served."""
    timeline = Timeline(recording)
    served = [v.version for v in recording.trained() if timeline.was_live(v.version)]
    lacking = recording.rounds_wanted - len(served)
    broken = [f"{lacking} rounds did not come"] if lacking > 0 else []
    return Check("rounds are trained, published and served", len(served), "rounds", broken)


def without_a_task_s(recording: Recording) -> float:
    """Seconds that annotators had nothing to do, all together."""
    total = 0.0
    since: dict[int, float] = {}
    for asked in sorted(recording.asked, key=lambda asked: asked.begun):
        if asked.task is None:
            since.setdefault(asked.who, asked.begun)
        elif asked.who in since:
            total += asked.begun - since.pop(asked.who)
    end = max((asked.ended for asked in recording.asked), default=0.0)
    return total + sum(end - begun for begun in since.values())


def _changes(recording: Recording, how: str) -> list[list[int]]:
    return [change.tasks for change in recording.changed if change.how == how]


def _moments(recording: Recording, how: str, ended: bool = False) -> dict[int, float]:
    """When each task was imported or deleted: when that began, or ended."""

    def each() -> Iterator[tuple[int, float]]:
        for change in recording.changed:
            if change.how == how:
                for task in change.tasks:
                    yield task, change.ended if ended else change.begun

    return dict(each())
