"""The clocks: what changed is told by comparing times of several hosts."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from .deployment import Deployment
from .findings import Check, Outcome, fails, ok, unknown
from .label_studio import told_to_anybody

LIMIT_S = 60.0


def label_studio(deployment: Deployment) -> Outcome:
    """Label Studio's clock, by the Date of an answer."""
    deployment.need("Label Studio")
    before = deployment.now()
    told = told_to_anybody(deployment).date
    after = deployment.now()
    try:
        theirs: datetime = parsedate_to_datetime(told)
    except (TypeError, ValueError):
        return unknown("Label Studio's answers carry no date")
    # It tells whole seconds, cut off.
    return of_difference(theirs.timestamp() + 0.5 - (before + after) / 2, "Label Studio")


def redis(deployment: Deployment) -> Outcome:
    """Redis' clock."""
    before = deployment.now()
    told: Any = deployment.redis.time()
    after = deployment.now()
    return of_difference(told[0] + told[1] / 1e6 - (before + after) / 2, "Redis")


def of_difference(seconds: float, whose: str) -> Outcome:
    """What to think of a clock that is so far ahead of this host's."""
    way = "ahead of" if seconds > 0 else "behind"
    found = f"{whose}'s clock is {abs(seconds):.0f} s {way} this host's"
    if abs(seconds) > LIMIT_S:
        return fails(
            f"{found}, more than {LIMIT_S:.0f} s",
            "Set both clocks by NTP (timedatectl set-ntp true): otherwise changes of labels may be "
            "missed, and workers taken for dead.",
        )
    return ok(found if abs(seconds) >= 1 else f"{whose}'s clock agrees with this host's")


CHECKS = (Check("clock: Label Studio", label_studio), Check("clock: Redis", redis))
