"""Redis, which holds the work in flight: reachable, new enough, and loses nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import AuthenticationError, RedisError

from ..settings import variable_of
from .deployment import Deployment
from .findings import Check, Outcome, fails, ok, unknown
from .host import size

LEAST = (6, 2)  # GETDEL, which takes up a waiting round
LEAST_MEMORY_BYTES = 64 * 2**20


def reachable(deployment: Deployment) -> Outcome:
    """It answers, and accepts the password."""
    where = _where(deployment.settings.redis_url)
    try:
        deployment.any_redis.ping()
    except AuthenticationError:
        deployment.away["Redis"] = "Redis refuses the password"
        return fails(
            f"{where} refuses the user or password",
            f"Put them into {variable_of('redis_url')}: redis://USER:PASSWORD@HOST:PORT/0.",
        )
    except (RedisError, ValueError, OSError) as error:
        deployment.away["Redis"] = "Redis cannot be reached"
        return fails(
            f"{where} cannot be reached ({type(error).__name__})",
            "Start ./quorum up, which starts a Redis of its own, or set "
            f"{variable_of('redis_url')} to yours and see that it runs.",
        )
    return ok(f"answers at {where}")


def version(deployment: Deployment) -> Outcome:
    """It knows the commands that are used."""
    told = str(_info(deployment, "server").get("redis_version") or "unknown")
    least = ".".join(map(str, LEAST))
    try:
        number = tuple(int(part) for part in told.split(".")[:2])
    except ValueError:
        return unknown(f"it calls itself {told[:40]!r}; at least {least} is needed")
    if number < LEAST:
        return fails(f"{told}; at least {least} is needed", "Use Redis 6.2 or later, or Valkey.")
    return ok(f"{told} (at least {least} is needed)")


def persistence(deployment: Deployment) -> Outcome:
    """A restart of Redis loses no round that runs."""
    told = _info(deployment, "persistence")
    if told.get("aof_enabled"):
        return _written(told, "aof_last_write_status", "every change is kept on disk (appendonly)")
    try:
        found: Any = deployment.redis.config_get("save")
        save = str(found.get("save") or "")
    except RedisError:
        return unknown("appendonly is off, and Redis does not tell its save points")
    if save:
        return _written(told, "rdb_last_bgsave_status", f"kept on disk at save points ({save})")
    return fails(
        "nothing is kept on disk: a restart of Redis loses the round that runs",
        "Start Redis with --appendonly yes, or CONFIG SET appendonly yes.",
    )


def _written(told: Mapping[str, Any], status: str, found: str) -> Outcome:
    if told.get(status, "ok") != "ok":
        return fails(
            f"{found}, but the last write to disk failed",
            "Look at Redis' log; its disk may be full, or its folder not writable.",
        )
    return ok(found)


def policy(deployment: Deployment) -> Outcome:
    """A full Redis refuses what is new, and does not drop jobs."""
    told = str(_info(deployment, "memory").get("maxmemory_policy") or "")
    if not told:
        return unknown("Redis does not tell its memory policy")
    if told != "noeviction":
        return fails(
            f"{told}: once its memory is full, Redis throws away jobs without a word",
            "Set maxmemory-policy noeviction (CONFIG SET maxmemory-policy noeviction).",
        )
    return ok(told)


def memory(deployment: Deployment) -> Outcome:
    """There is memory left for jobs."""
    told = _info(deployment, "memory")
    used, limit = int(told.get("used_memory") or 0), int(told.get("maxmemory") or 0)
    if not limit:
        return ok(f"{size(used)} used, no limit is set")
    left = max(0, limit - used)
    if left < LEAST_MEMORY_BYTES:
        return fails(
            f"{size(left)} left of {size(limit)}, less than {size(LEAST_MEMORY_BYTES)}",
            "Raise maxmemory; Quorum needs little, but other users of this Redis may not.",
        )
    return ok(f"{size(left)} left of {size(limit)}")


def _info(deployment: Deployment, section: str) -> Mapping[str, Any]:
    told: Any = deployment.redis.info(section)
    return dict(told)


def _where(url: str) -> str:
    """An address without user and password."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2] + parts.path


CHECKS = (
    Check("Redis", reachable),
    Check("Redis: version", version),
    Check("Redis: persistence", persistence),
    Check("Redis: memory policy", policy),
    Check("Redis: memory", memory),
)
