"""How figures are worded on the manager's page: numbers with units, times as people say them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from flask import Blueprint, Flask
from flask.blueprints import BlueprintSetupState
from jinja2 import Environment

from ..moments import moment
from . import charts, glance
from .charts import bounds, known

NOTHING = "–"  # for what is not known


def number(value: Any, places: int = 0) -> str:
    """A number with thousands apart: 1,234 or 0.87."""
    return f"{value:,.{places}f}" if known(value) else NOTHING


def percent(share: Any, places: int = 0) -> str:
    """A share of 0 to 1 as 42 %; what is there, but rounds to none, as < 1 %."""
    if not known(share):
        return NOTHING
    least = 10.0**-places
    if 0 < 100 * share < least / 2:
        return f"< {least:.{places}f} %"
    return f"{100 * share:.{places}f} %"


def duration(seconds: Any) -> str:
    """A time of seconds in its two largest units: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if not known(seconds):
        return NOTHING
    left, sign = round(abs(seconds)), "−" if seconds < -0.5 else ""
    if left < 60:
        return f"{sign}{left} s"
    for large, name, small, under in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if left >= large:
            rest = (left % large) // small
            # Seconds beside ten minutes and more say nothing.
            if not rest or (under == "s" and left >= 600):
                return f"{sign}{left // large} {name}"
            return f"{sign}{left // large} {name} {rest} {under}"
    raise AssertionError("seconds above 60 have a unit")


def hours(value: Any) -> str:
    """Hours of labelling: 38 h, 2.5 h, or 40 min."""
    if not known(value):
        return NOTHING
    if abs(value) < 1:
        return f"{60 * value:.0f} min"
    return f"{value:.1f} h" if abs(value) < 10 else f"{value:,.0f} h"


def between(interval: Mapping[str, Any] | None, places: int = 2) -> str:
    """The bounds of an interval: 0.81 to 0.87; empty if they are not known."""
    _, low, high = bounds(interval)
    return "" if low is None or high is None else f"{low:,.{places}f} to {high:,.{places}f}"


def hours_between(interval: Mapping[str, Any] | None) -> str:
    """The bounds of an interval of hours, with one unit: 20 to 40 h, or 10 to 50 min."""
    _, low, high = bounds(interval)
    if low is None or high is None:
        return ""
    if abs(high) < 1:
        return f"{60 * low:.0f} to {60 * high:.0f} min"
    return f"{low:.1f} to {high:.1f} h" if abs(high) < 10 else f"{low:,.0f} to {high:,.0f} h"


def rate(value: Any) -> str:
    """How many in an hour: 42, or 0.4; what is there, but rounds to none, as < 0.1."""
    if known(value) and 0 < value < 0.05:
        return "< 0.1"
    return number(value, _places_of_rate(value))


def rate_between(interval: Mapping[str, Any] | None) -> str:
    """The bounds of how many in an hour, both to the same place: 20 to 42, or 0.2 to 1.3."""
    return between(interval, _places_of_rate(bounds(interval)[2]))


def _places_of_rate(value: Any) -> int:
    return 1 if known(value) and abs(value) < 10 else 0


def hour_marks(top: float) -> list[tuple[float, str]]:
    """Round marks of an axis of hours from 0 to `top`, in minutes below one hour: (hours, words).

    The last one has the unit.
    """
    unit, in_an_hour = ("h", 1) if top >= 1 else ("min", 60)
    values = charts.ticks(0, top * in_an_hour, 4)
    whole = all(value == round(value) for value in values)
    words = [number(value, 0 if whole else 1) for value in values]
    words[-1] += f" {unit}"
    return [(value / in_an_hour, word) for value, word in zip(values, words, strict=True)]


def size(count: Any) -> str:
    """A file's size of bytes: 12.3 MB."""
    if not known(count):
        return NOTHING
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"


def exact(text: Any) -> str:
    """A time to the minute: 2026-03-01 13:05 UTC."""
    found = moment(text)
    return f"{found.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC" if found else NOTHING


def ago(text: Any, now: datetime | None = None) -> str:
    """How long ago a time is: just now, 12 min ago, 3 h ago, 5 days ago, then its date."""
    found = moment(text)
    if found is None:
        return NOTHING
    passed = ((now or datetime.now(timezone.utc)) - found).total_seconds()
    if passed < 45:
        return "just now"
    if passed < 5400:
        return f"{max(1, round(passed / 60))} min ago"
    if passed < 36 * 3600:
        return f"{round(passed / 3600)} h ago"
    if passed < 14 * 86400:
        return f"{round(passed / 86400)} days ago"
    return f"on {found.astimezone(timezone.utc):%Y-%m-%d}"


def sentence(text: Any) -> str:
    """A text as a sentence: a capital letter first and a full stop last."""
    found = str(text or "").strip()
    if not found:
        return ""
    return found[0].upper() + found[1:] + ("" if found[-1] in ".!?…:" else ".")


FILTERS = (
    sentence,
    number,
    percent,
    duration,
    hours,
    between,
    hours_between,
    rate,
    rate_between,
    size,
    exact,
    ago,
)
DRAWN = (
    charts.stacked_bar,
    charts.meter,
    charts.columns,
    charts.spark,
    charts.interval_plot,
    charts.curve,
    charts.Row,
    charts.Scale,
    charts.ticks,
    glance.parts,
    glance.phases,
    glance.concerns,
    glance.goal,
    glance.ratio_scale,
    glance.highest,
    glance.class_curves,
    glance.outline,
    glance.trainers,
    glance.first_people,
    hour_marks,
)


def equip(environment: Environment) -> None:
    """Give templates the charts as functions and the wording as filters."""
    environment.filters.update({made.__name__: made for made in FILTERS})
    environment.globals.update({made.__name__: made for made in DRAWN})
    environment.globals.update(STEPS=glance.STEPS, PHASES=glance.PHASES)
    environment.tests["known"] = known


def register(place: Flask | Blueprint) -> None:
    """The same for an app, or for the app that a blueprint will join."""
    if isinstance(place, Flask):
        equip(place.jinja_env)
        return

    def join(state: BlueprintSetupState) -> None:
        equip(state.app.jinja_env)

    place.record_once(join)
