"""How often a password may be guessed: counted in Redis, or in memory while Redis is away."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field

from redis import Redis
from redis.exceptions import RedisError

WINDOW_S = 15 * 60
PER_ADDRESS = 10  # wrong passwords from one address in a window
OVER_ALL = 100  # from everywhere: guessing from many addresses is slow too
_EVERYWHERE = "everywhere"
_MOST_KEPT = 10_000


@dataclass
class Counters:
    """Numbers that run out after a window, in this process."""

    window_s: float = WINDOW_S
    _kept: dict[str, tuple[float, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, by: int = 1) -> int:
        """Count; the sum in this window."""
        now = time.monotonic()
        with self._lock:
            if len(self._kept) > _MOST_KEPT:  # an attacker's addresses must not fill the memory
                self._kept = {n: v for n, v in self._kept.items() if v[0] > now}
                if len(self._kept) > _MOST_KEPT:
                    self._kept.clear()
            ends, count = self._kept.get(name, (0.0, 0))
            if ends <= now:
                ends, count = now + self.window_s, 0
            count = max(0, count + by)
            self._kept[name] = (ends, count)
            return count

    def get(self, name: str) -> int:
        """The sum in this window."""
        return self.add(name, 0)

    def drop(self, name: str) -> None:
        """Forget a number."""
        with self._lock:
            self._kept.pop(name, None)


@dataclass(frozen=True)
class Attempts:
    """Attempts to sign in, by address and over all. Addresses are kept as hashes."""

    redis: Redis
    memory: Counters = field(default_factory=Counters)

    def begin(self, address: str) -> bool:
        """Count an attempt before its password is looked at; whether it may be looked at.

        Counting first: attempts at the same time must not all see the number of before.
        """
        own, all_ = self._add(_hashed(address), 1), self._add(_EVERYWHERE, 1)
        return own <= PER_ADDRESS and all_ <= OVER_ALL

    def succeeded(self, address: str) -> None:
        """The password was right: what was counted for it counts no more."""
        name = _hashed(address)
        own = self._add(name, 0)
        self._add(_EVERYWHERE, -min(own, PER_ADDRESS))
        self._drop(name)

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
        self.memory.add(_hashed(session_id))
        try:
            self.redis.set(self._key(session_id), 1, ex=max(1, int(for_s) + 1))
        except RedisError:
            return

    def __contains__(self, session_id: str) -> bool:
        if self.memory.get(_hashed(session_id)):
            return True
        try:
            return bool(self.redis.exists(self._key(session_id)))
        except RedisError:
            return False

    def _key(self, session_id: str) -> str:
        return f"quorum:page:signed-out:{_hashed(session_id)}"


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
