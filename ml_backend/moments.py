"""Moments as Label Studio and our own files write them."""

from __future__ import annotations

from datetime import datetime, timezone


def moment(text: object) -> datetime | None:
    """A time of ISO 8601, in UTC if it names no zone; None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        # Python 3.10 knows no Z, with which Label Studio ends its times.
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
