"""Times as Label Studio writes them."""

from datetime import datetime, timedelta, timezone

import pytest

from ml_backend.moments import moment

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21T12:00:00.250000Z", NOON + timedelta(milliseconds=250)),
        ("2026-11-21T12:00:00", NOON),
        ("2026-11-21T14:00:00+02:00", NOON),
        ("2026-11-21", NOON - timedelta(hours=12)),
        ("soon", None),
        ("", None),
        (None, None),
        (1700000000, None),
    ],
)
def test_a_moment_names_its_zone_or_is_none(text, expected):
    assert moment(text) == expected
    assert expected is None or moment(text).utcoffset() is not None
