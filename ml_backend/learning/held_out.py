"""Which slices are kept for evaluation: whole patients, decided by a keyed hash."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Unit:
    """Where a slice comes from, in pseudonyms; position_mm runs along its series."""

    slice_id: str
    patient: str | None = None
    series: str | None = None
    position_mm: float | None = None


def held_out(
    units: Sequence[Unit], key: bytes, fraction: float, slab_mm: float
) -> tuple[Flags, str]:
    """Which of N slices are held out, (N,), and by what: "patient", "slab" or "slice".

    With two or more patients, a patient is held out if its keyed hash falls below `fraction`:
    patients that come later change nothing for those that are there. If that would leave a side
    empty, the patient with the lowest (highest) hash is moved. With a single patient, every
    round(1 / fraction)-th slab of `slab_mm` along each series is held out, from a keyed start, so
    that the volume is covered evenly. Slices without a patient are divided by their own hash.
    Raises ValueError if fraction is not between 0 and 1 or slab_mm not above 0.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1: it is {fraction}")
    if slab_mm <= 0:
        raise ValueError(f"slab_mm must be above 0 mm: it is {slab_mm}")
    patients = {unit.patient for unit in units}
    if patients == {None} or not units:
        return _by_hash([unit.slice_id for unit in units], key, fraction), "slice"
    if len(patients) == 1 and all(unit.position_mm is not None for unit in units):
        return _by_slab(units, key, fraction, slab_mm), "slab"
    if len(patients) == 1:
        return _by_hash([unit.slice_id for unit in units], key, fraction), "slice"
    # A slice without a patient's pseudonym is a patient of its own.
    return _by_hash([unit.patient or unit.slice_id for unit in units], key, fraction), "patient"


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
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_hash(names: Sequence[str], key: bytes, fraction: float) -> Flags:
    hashes = {name: _hash(key, name) for name in names}
    out = {name for name, value in hashes.items() if value < fraction}
    if len(hashes) >= 2 and not out:
        out = {min(hashes, key=lambda name: hashes[name])}
    elif len(hashes) >= 2 and len(out) == len(hashes):
        out.discard(max(hashes, key=lambda name: hashes[name]))
    elif len(hashes) == 1:
        out = set()
    return np.array([name in out for name in names], dtype=bool)


def _by_slab(units: Sequence[Unit], key: bytes, fraction: float, slab_mm: float) -> Flags:
    slabs = [(unit.series, int((unit.position_mm or 0.0) // slab_mm)) for unit in units]
    period = max(2, round(1 / fraction))
    out = np.zeros(len(units), dtype=bool)
    for series in {series for series, _ in slabs}:
        numbers = sorted({number for s, number in slabs if s == series})
        start = int(_hash(key, f"{units[0].patient}/{series}") * period)
        chosen = set(numbers[min(start, len(numbers) - 1) :: period]) if len(numbers) > 1 else set()
        out |= np.array([s == series and number in chosen for s, number in slabs], dtype=bool)
    if not out.any() and len(units) > 1:  # one thin slab: fall back to single slices
        return _by_hash([unit.slice_id for unit in units], key, fraction)
    return out
