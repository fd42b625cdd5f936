"""Which slices are kept for evaluation: whole patients, decided once by a keyed hash."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]


class Side(str, Enum):
    """Where a patient stands."""

    TRAINING = "training"
    HELD_OUT = "held out"
    DIVIDED = "divided"  # the project's first and then only patient: slabs of it are held out


@dataclass(frozen=True)
class Unit:
    """Where a slice comes from, in pseudonyms; position_mm runs along its series."""

    slice_id: str
    patient: str | None = None
    series: str | None = None
    position_mm: float | None = None

    @property
    def name(self) -> str:
        """What is divided: the patient; a slice without one is a patient of its own."""
        return self.patient or self.slice_id


@dataclass(frozen=True)
class Division:
    """How N slices are divided, and the sides to remember so that nobody moves later."""

    held_out: Flags  # (N,) never trained on
    whole: Flags  # (N,) held out together with everything of their patient
    sides: dict[str, Side]


def divide(
    units: Sequence[Unit],
    key: bytes,
    fraction: float,
    slab_mm: float,
    decided: Mapping[str, Side] | None = None,
) -> Division:
    """Divide N slices into training and held-out ones.

    Patients of `decided` stay where they are: a slice that was trained on must never be evaluated
    on. Of all patients round(fraction × patients), and at least one, are to be held out; those
    that are new fill what lacks in the order of their keyed hash. A project that begins with a
    single patient holds out every round(1 / fraction)-th slab of `slab_mm` along its series, from
    a keyed start; where positions are unknown, each slice whose keyed hash is below `fraction`. Of
    either at least one of two is held out, and never all. Slabs and such slices are decided once
    as patients are, under names of their own in `sides`.
    Raises ValueError if fraction is not between 0 and 1 or slab_mm not above 0.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1: it is {fraction}")
    if slab_mm <= 0:
        raise ValueError(f"slab_mm must be above 0 mm: it is {slab_mm}")
    sides = dict(decided or {})
    new = sorted({unit.name for unit in units} - set(sides), key=lambda name: _hash(key, name))
    # Patients whose slices were all deleted hold nothing out any more.
    present = {unit.name for unit in units}
    if len(new) == 1 and present == set(new):
        sides[new[0]] = Side.DIVIDED
        new = []
    lacking = max(1, round(fraction * len({*present, *new}))) - sum(
        side is Side.HELD_OUT and name in present for name, side in sides.items()
    )
    # One is left to train on.
    taught = any(sides.get(name) in (Side.TRAINING, Side.DIVIDED) for name in present)
    lacking = min(lacking, len(new) - (not taught))
    for rank, name in enumerate(new):
        sides[name] = Side.HELD_OUT if rank < lacking else Side.TRAINING
    whole = np.array([sides[unit.name] is Side.HELD_OUT for unit in units], dtype=bool)
    divided = np.array([sides[unit.name] is Side.DIVIDED for unit in units], dtype=bool)
    inside = [unit for unit, flag in zip(units, divided, strict=True) if flag]
    slabs = [_slab(unit, slab_mm) for unit in inside]
    placed = {slab for slab in slabs if slab is not None}
    sides |= _new_slabs(placed, key, fraction, sides)
    single = {
        _name_of_slice(unit): _hash(key, unit.slice_id) < fraction
        for unit, slab in zip(inside, slabs, strict=True)
        if slab is None
    }
    slices = {
        name: Side.HELD_OUT if flag else Side.TRAINING
        for name, flag in single.items()
        if name not in sides
    }
    # Earlier releases did not keep the sides of such slices: they may have been trained on.
    before = {side for name, side in (decided or {}).items() if name in present}
    if len(slices) < len(single) or Side.DIVIDED not in before:
        slices = _on_both({slab.name for slab in placed} | set(single), slices, sides, key)
    sides |= slices
    out = whole.copy()
    out[divided] = [
        sides[slab.name if slab else _name_of_slice(unit)] is Side.HELD_OUT
        for unit, slab in zip(inside, slabs, strict=True)
    ]
    return Division(out, whole, sides)


def evaluation_subset(units: Sequence[Unit], eligible: Flags, limit: int) -> Flags:
    """At most `limit` of the eligible slices, (N,), spread evenly over patients and positions.

    These are the held-out slices whose labels are paid for. Raises ValueError if limit < 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1: it is {limit}")
    order = sorted(
        np.flatnonzero(eligible).tolist(),
        key=lambda i: (
            units[i].patient or "",
            units[i].series or "",
            units[i].position_mm or 0.0,
            units[i].slice_id,
        ),
    )
    chosen = np.zeros(len(units), dtype=bool)
    if order:
        count = min(limit, len(order))
        # Midpoints of `count` equal stretches: the ends of a volume hold little to measure.
        picks = ((np.arange(count) + 0.5) * len(order) / count).astype(int)
        chosen[[order[pick] for pick in picks]] = True
    return chosen


def _hash(key: bytes, text: str) -> float:
    # Half a character, which SQLite keeps as JSON has it, is as good a name as another.
    digest = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True)
class _Slab:
    """A stretch of a series: what is held out of a single patient."""

    series: str  # with its patient
    place: int  # from position 0 on

    @property
    def name(self) -> str:
        return f"{self.series}/{self.place}"


def _slab(unit: Unit, slab_mm: float) -> _Slab | None:
    """Where a slice lies in its series; None if that is not known."""
    if unit.position_mm is None:
        return None
    return _Slab(f"{unit.name}/{unit.series}", int(unit.position_mm // slab_mm))


def _new_slabs(
    slabs: set[_Slab], key: bytes, fraction: float, decided: Mapping[str, Side]
) -> dict[str, Side]:
    """Sides of the slabs that have none yet; the others may have been trained on."""
    period = max(2, round(1 / fraction))
    sides = {
        slab.name: Side.HELD_OUT
        if slab.place % period == int(_hash(key, slab.series) * period)
        else Side.TRAINING
        for slab in slabs
        if slab.name not in decided
    }
    # A short series may end before its start comes, or lie within it.
    return _on_both({slab.name for slab in slabs}, sides, decided, key)


def _name_of_slice(unit: Unit) -> str:
    """Of a slice at an unknown position, among the sides."""
    return f"{unit.name}//{unit.slice_id}"


def _on_both(
    names: Set[str], new: dict[str, Side], decided: Mapping[str, Side], key: bytes
) -> dict[str, Side]:
    """The sides of `new`, one of them changed if all of `names` would stand on the same.

    Without a held-out one no round could be evaluated, without another nothing be trained on.
    """
    there = {**decided, **new}
    found = {there[name] for name in names}
    first = min(new, key=lambda name: _hash(key, name), default=None)
    if first is None or len(found) != 1:
        return new
    lacking = Side.TRAINING if Side.HELD_OUT in found or len(names) == 1 else Side.HELD_OUT
    return {**new, first: lacking}
