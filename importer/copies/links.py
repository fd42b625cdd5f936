"""What stays linked over files without the original: UIDs, dates and times, all keyed."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import date, timedelta

from pydicom._uid_dict import UID_dictionary

_DAY_US = 24 * 3600 * 1_000_000
_EARLIEST_SHIFT_DAYS, _LATEST_SHIFT_DAYS = -3650, -365

# PS3.6 Annex A: atlases that every patient may share, and what an object may say it is.
WELL_KNOWN_FRAMES = frozenset(
    uid for uid, entry in UID_dictionary.items() if entry[1] == "Well-known frame of reference"
)
SOP_CLASSES = frozenset(uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class")

_DATE = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?")
_ZONE = re.compile(r"[+-][0-9]{4}")


def _digest(key: bytes, kind: str, value: str) -> int:
    if not key:
        raise ValueError("the key is empty: give the hospital's key, 32 random bytes")
    message = kind.encode() + b"\0" + value.encode("utf-8", "surrogateescape")
    return int.from_bytes(hmac.new(key, message, hashlib.sha256).digest()[:16], "big")


def replaced_uid(key: bytes, uid: str) -> str:
    """The UID's replacement, 2.25 and 128 bits of HMAC-SHA256 (PS3.5 B.2, RFC 2104).

    One kind for every attribute: a reference follows the instance, series, study or frame of
    reference that it points to, over files and imports. Raises ValueError for an empty key.
    """
    return f"2.25.{_digest(key, 'uid', uid)}"


def date_shift_days(key: bytes, patient: str) -> int:
    """Whole days by which a patient's dates move, -3650 to -365, by the patient's pseudonym.

    PS3.15 E.3.6, modified dates: intervals within a patient stay, between patients they do not.
    Raises ValueError for an empty key.
    """
    span = _LATEST_SHIFT_DAYS - _EARLIEST_SHIFT_DAYS + 1
    return _EARLIEST_SHIFT_DAYS + _digest(key, "dates", patient) % span


def clock_shift_us(key: bytes, patient: str) -> int:
    """Microseconds, less than a day, by which a patient's times of day move on, by the pseudonym.

    To the second or finer, a time of day is found again in the log of any system that the patient
    passed through. Raises ValueError for an empty key.
    """
    return _digest(key, "clock", patient) % _DAY_US


@dataclass(frozen=True)
class Shift:
    """By how much a patient's moments move: whole days, and microseconds less than a day."""

    days: int
    clock_us: int

    @staticmethod
    def of(key: bytes, patient: str) -> Shift:
        """A patient's shift, by the pseudonym. Raises ValueError for an empty key."""
        return Shift(date_shift_days(key, patient), clock_shift_us(key, patient))

    def carries(self, time: str) -> bool:
        """Whether a TM moves past midnight, so that its date moves a day more."""
        parts = _parts(time)
        return parts is not None and parts[0] + self.clock_us >= _DAY_US

    def date(self, text: str, carry: bool = False) -> str | None:
        """A DA moved; None if it is none (ranges, old separators, impossible days)."""
        if not _DATE.fullmatch(text):
            return None
        try:
            moved = date(int(text[:4]), int(text[4:6]), int(text[6:]))
            moved += timedelta(days=self.days + carry)
        except (ValueError, OverflowError):
            return None
        return f"{moved:%Y%m%d}" if moved.year >= 1000 else None

    def time(self, text: str) -> str | None:
        """A TM moved, as precise as it came; None if it is none."""
        parts = _parts(text)
        if parts is None:
            return None
        seconds, fraction = divmod((parts[0] + self.clock_us) % _DAY_US, 1_000_000)
        minutes, second = divmod(seconds, 60)
        hour, minute = divmod(minutes, 60)
        return f"{hour:02d}{minute:02d}{second:02d}.{fraction:06d}"[: parts[1]]

    def moment(self, text: str) -> str | None:
        """A DT moved, without its zone, which tells a place (PS3.15: Timezone Offset, X)."""
        plain = text[:-5] if _ZONE.fullmatch(text[-5:]) else text
        if len(plain) <= 8:
            return self.date(plain)
        clock = self.time(plain[8:])
        day = self.date(plain[:8], self.carries(plain[8:]))
        return None if clock is None or day is None else day + clock


def _parts(time: str) -> tuple[int, int] | None:
    """A TM in microseconds since midnight, and its length in characters; None if it is none."""
    if not _TIME.fullmatch(time):
        return None
    clock, _, fraction = time.partition(".")
    clock = clock.ljust(6, "0")
    seconds = int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:])
    return seconds * 1_000_000 + int(fraction.ljust(6, "0") or 0), len(time)
