"""How a project ends, free of everything that may differ between two runs, and what differs.

Ids of tasks and annotations, times, and the digest in a version's name differ from project to
project and are no part of it; slices are named by their number in the scenario. The number of the
version may differ when labels came in during the fault: one round may have taken what two would
have. Seeds hang on that number, so each number has an undisturbed run of its own to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class EndState:
    """A project once nothing moves any more. Slices are numbers from 0."""

    labels: Mapping[int, tuple[str, ...]]  # digests of each slice's submitted annotations, sorted
    open_slices: tuple[int, ...]  # that annotators can still be served
    served: str  # the version whose order Label Studio serves
    current: str  # the version that the store points to
    number: int  # of the current version
    trained_on: tuple[int, ...]
    evaluated_on: tuple[int, ...]
    weights: str  # digest of the current version's weights
    predictions: Mapping[int, tuple[tuple[float, str], ...]]  # (score, digest) of that version's
    noted: tuple[int, ...]  # the order as the store noted it
    unreadable: tuple[str, ...]  # versions that the store lists but cannot load


def labels_lost(wanted: EndState, found: EndState) -> int:
    """How many annotations of the undisturbed run are not there."""
    lost = 0
    for number, digests in wanted.labels.items():
        rest = list(found.labels.get(number, ()))
        for digest in digests:
            if digest in rest:
                rest.remove(digest)
            else:
                lost += 1
    return lost


def missing_labels(state: EndState) -> set[int]:
    """Labelled slices that the current version neither trained on nor was evaluated on."""
    return set(state.labels) - set(state.trained_on) - set(state.evaluated_on)


def broken(state: EndState) -> list[str]:
    """What of a project's promises a state breaks by itself, in words; nothing if it keeps all."""
    wrong = []
    if state.served != state.current:
        wrong.append(f"Label Studio serves {state.served or 'nothing'}, the store {state.current}")
    if missing := sorted(missing_labels(state)):
        wrong.append(f"labels that no round has used: slices {missing}")
    without = [n for n in state.open_slices if not state.predictions.get(n)]
    if without:
        wrong.append(f"open slices without a prediction: {without}")
    doubled = [n for n in state.open_slices if len(state.predictions.get(n, ())) > 1]
    if doubled:
        wrong.append(f"open slices with more than one prediction: {doubled}")
    if order_served(state) != order_noted(state):
        wrong.append(
            f"the order served {order_served(state)} is not the noted {order_noted(state)}"
        )
    if state.unreadable:
        wrong.append(f"versions that cannot be loaded: {', '.join(state.unreadable)}")
    return wrong


def differences(wanted: EndState, found: EndState) -> list[str]:
    """What is otherwise than after the undisturbed run of the same number, in words."""
    different = []
    if lost := labels_lost(wanted, found):
        different.append(f"{lost} labels lost")
    if added := labels_lost(found, wanted):
        different.append(f"{added} labels that nobody made")
    for name, words in (
        ("open_slices", "the open slices"),
        ("number", "the version's number"),
        ("trained_on", "the slices trained on"),
        ("evaluated_on", "the slices evaluated on"),
        ("noted", "the order noted"),
    ):
        before, after = getattr(wanted, name), getattr(found, name)
        if before != after:
            different.append(f"{words}: {before} undisturbed, {after} here")
    if wanted.weights != found.weights:
        different.append("the weights differ")
    here = {n: found.predictions.get(n, ()) for n in found.open_slices}
    there = {n: wanted.predictions.get(n, ()) for n in wanted.open_slices}
    if here.keys() == there.keys() and here != there:
        apart = sorted(n for n, pushed in there.items() if here[n] != pushed)
        different.append(f"the drafts or scores of slices {apart} differ")
    return different


def order_served(state: EndState) -> list[int]:
    """Open slices as Label Studio serves them: by the lowest score of the version."""
    scored = {
        n: min(s for s, _ in state.predictions[n])
        for n in state.open_slices
        if state.predictions.get(n)
    }
    return sorted(scored, key=lambda n: (scored[n], n))


def order_noted(state: EndState) -> list[int]:
    """Open slices as the store noted their order."""
    open_slices = set(state.open_slices)
    return [n for n in state.noted if n in open_slices]
