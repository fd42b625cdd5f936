"""How often a password may be guessed: counted in Redis, or in memory while Redis is away."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from redis import Redis
from redis.exceptions import RedisError

from ..windows import PER_ADDRESS, WINDOW_S, Windows, hashed

OVER_ALL = 100  # from everywhere: guessing from many addresses is slow too
_EVERYWHERE = "everywhere"
_REMEMBERED_S = 30 * 24 * 3600  # an address that people sign in from

# Whose attempts were too many: those of this address, or those of others.
Refused = Literal["for its own", "for others"]


@dataclass
class _Count:
    number: int = 0


class Counters:
    """Numbers that run out after a window, in this process."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._kept = Windows(_Count, window_s)

    def add(self, name: str, by: int) -> int:
        """Count; the sum in this window."""
        with self._kept.lock:
            count = self._kept.of(name)
            count.number = max(0, count.number + by)
            return count.number

    def get(self, name: str) -> int:
        """The sum in this window."""
        with self._kept.lock:
            count = self._kept.get(name)
            return count.number if count else 0

    def drop(self, name: str) -> None:
        """Forget a number."""
        with self._kept.lock:
            self._kept.drop(name)


@dataclass(frozen=True)
class Attempts:
    """Attempts to sign in, by address and over all. Addresses are kept as hashes.

    An address over its own limit counts no further: one stranger cannot use up what all have. Nor
    can many keep out an address that people have signed in from: it has only its own limit.
    """

    redis: Redis
    memory: Counters = field(default_factory=Counters)
    entered: Counters = field(default_factory=lambda: Counters(window_s=_REMEMBERED_S))

    def begin(self, address: str) -> Refused | None:
        """Count an attempt before its password is looked at; None if it may be looked at.

        Counting first: attempts at the same time must not all see the number of before.
        """
        name = hashed(address)
        if self._add(name, 1) > PER_ADDRESS:
            return "for its own"
        if self._has_entered(name) or self._add(_EVERYWHERE, 1) <= OVER_ALL:
            return None
        self._add(name, -1)  # its password was not looked at: that was no guess
        return "for others"

    def succeeded(self, address: str) -> None:
        """The password was right: what was counted for it counts no more, and it is remembered."""
        name = hashed(address)
        if not self._has_entered(name):
            self._add(_EVERYWHERE, -min(self._add(name, 0), PER_ADDRESS))
        self._drop(name)
        self.entered.add(name, 1)
        with suppress(RedisError):
            self.redis.set(_entered_key(name), 1, ex=_REMEMBERED_S)

    def _has_entered(self, name: str) -> bool:
        if self.entered.get(name):
            return True
        try:
            return bool(self.redis.exists(_entered_key(name)))
        except RedisError:
            return False

    def _add(self, name: str, by: int) -> int:
        key = f"quorum:page:attempts:{name}"
        try:
            pipeline = self.redis.pipeline(transaction=True)
            pipeline.set(key, 0, nx=True, ex=WINDOW_S)
            pipeline.incrby(key, by)
            return int(pipeline.execute()[1])
        except RedisError:
            return self.memory.add(name, by)

    def _drop(self, name: str) -> None:
        self.memory.drop(name)
        try:
            self.redis.delete(f"quorum:page:attempts:{name}")
        except RedisError:
            return


@dataclass(frozen=True)
class SignedOut:
    """Sessions that were ended before their time: a cookie cannot be taken back."""

    redis: Redis
    memory: Counters = field(default_factory=lambda: Counters(window_s=24 * 3600))

    def add(self, session_id: str, for_s: float) -> None:
        """End a session."""
        self.memory.add(hashed(session_id), 1)
        try:
            self.redis.set(self._key(session_id), 1, ex=max(1, int(for_s) + 1))
        except RedisError:
            return

    def __contains__(self, session_id: str) -> bool:
        if self.memory.get(hashed(session_id)):
            return True
        try:
            return bool(self.redis.exists(self._key(session_id)))
        except RedisError:
            return False

    def _key(self, session_id: str) -> str:
        return f"quorum:page:signed-out:{hashed(session_id)}"


def _entered_key(name: str) -> str:
    return f"quorum:page:entered:{name}"
