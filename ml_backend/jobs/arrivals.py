"""When Label Studio's last event of each project arrived: whether webhooks come at all."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

_KEEP_S = 30 * 24 * 3600


@dataclass(frozen=True)
class Arrivals:
    """The last arrivals, in Redis."""

    redis: Redis

    def note(self, project_id: int) -> None:
        """An event of a project has arrived. A Redis that is away does no harm."""
        with suppress(RedisError):
            self.redis.set(_key(project_id), repr(time.time()), ex=_KEEP_S)

    def last(self, project_id: int) -> float | None:
        """When the last one came, in seconds since 1970; None if none did in 30 days.

        Raises RedisError.
        """
        content: Any = self.redis.get(_key(project_id))
        try:
            return float(content) if content else None
        except ValueError:
            return None


def _key(project_id: int) -> str:
    return f"quorum:project:{int(project_id)}:arrived"
