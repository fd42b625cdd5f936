"""Moments that move by a keyed shift."""

from datetime import datetime, timedelta

import pytest

from importer.copies.links import Shift

KEY = b"k" * 32
SHIFT = Shift(-400, 6 * 3600 * 1_000_000 + 123_456)  # six hours and a little


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("101112.000000", "161112.123456"),
        ("101112.9", "161113.0"),
        ("101112", "161112"),
        ("1011", "1611"),
        ("23", "05"),
        ("235959.999999", "060000.123455"),
    ],
)
def test_a_time_of_day_moves_and_stays_as_precise_as_it_was(text, moved):
    assert SHIFT.time(text) == moved


@pytest.mark.parametrize("text", ["", "24", "1060", "10:11", "101112.", "101112.1234567", "abc"])
def test_what_is_no_time_of_day_is_dropped(text):
    assert SHIFT.time(text) is None and not SHIFT.carries(text)


def test_intervals_stay_over_midnight_too():
    shift = Shift.of(KEY, "patient")
    start = datetime(2024, 2, 28, 20, 0, 0)
    moments = [start + timedelta(hours=h, seconds=h) for h in range(48)]
    texts = [f"{m:%Y%m%d%H%M%S}.000000+0100" for m in moments]
    moved = [datetime.strptime(shift.moment(text), "%Y%m%d%H%M%S.%f") for text in texts]
    assert [m - moved[0] for m in moved] == [m - start for m in moments]
    apart = [
        shift.date(text[:8], shift.carries(text[8:14])) + shift.time(text[8:21]) for text in texts
    ]
    assert [datetime.strptime(text, "%Y%m%d%H%M%S.%f") for text in apart] == moved


def test_patients_move_by_shifts_of_their_own():
    clocks = {Shift.of(KEY, f"{n}").clock_us for n in range(500)}
    assert len(clocks) == 500
    assert Shift.of(KEY, "a") == Shift.of(KEY, "a") != Shift.of(b"o" * 32, "a")
