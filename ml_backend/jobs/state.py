"""What Redis holds of a project: the round that runs, the one that waits, and how they ended."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

_KEEP_S = 7 * 24 * 3600  # how rounds ended is shown for a week
_GONE_S = 3600
_LOCK_S = 12.0
_LONGEST_REST_S = 15.0
_LONGEST_BACKOFF_S = 1800.0
PROJECTS = "quorum:projects"


@dataclass(frozen=True)
class ProjectState:
    """One project's part of Redis."""

    redis: Redis
    project_id: int

    def _key(self, name: str) -> str:
        return f"quorum:project:{self.project_id}:{name}"

    # -- what is asked for ----------------------------------------------------------------------

    def ask_for_look(self, hold_s: int) -> bool:
        """Note that a look is wanted; whether nobody had asked yet.

        One trip, however many events come. The note runs out: one whose job was lost blocks none.
        """
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.sadd(PROJECTS, self.project_id)
        pipeline.set(self._key("look"), 1, nx=True, ex=hold_s)
        return bool(pipeline.execute()[1])

    def begin_look(self) -> None:
        """From here on another event asks for another look."""
        self.redis.delete(self._key("look"))

    def rest_between_looks(self) -> None:
        """Wait as long as the last look took: Label Studio has annotators to serve."""
        rest_ms = int(self.redis.pttl(self._key("rest")))
        if rest_ms > 0:
            time.sleep(min(_LONGEST_REST_S, rest_ms / 1000))

    def looked(self, took_s: float, trouble: str | None = None, gone: bool = False) -> None:
        """Keep how long a look took, and why the project could not be looked at.

        One that is gone, perhaps for good, is left out of the periodic looks for an hour.
        """
        if took_s:
            self.redis.set(self._key("rest"), 1, px=max(1, int(1000 * took_s)))
        if gone:
            self.redis.set(self._key("gone"), 1, ex=_GONE_S)
        else:
            self.redis.delete(self._key("gone"))
        if trouble:
            self.redis.set(self._key("trouble"), trouble, ex=_KEEP_S)
        else:
            self.redis.delete(self._key("trouble"))

    @property
    def gone(self) -> bool:
        """Whether Label Studio had no such project in the last hour."""
        return bool(self.redis.exists(self._key("gone")))

    @property
    def trouble(self) -> str | None:
        """Why the project could not be looked at the last time."""
        text: Any = self.redis.get(self._key("trouble"))
        return text.decode() if text else None

    def ask_for_round(self, force: bool) -> int:
        """Let a round wait; its number. However often it is asked for, one waits."""
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.sadd(PROJECTS, self.project_id)
        if force:
            pipeline.set(self._key("wanted"), "force")
        else:
            pipeline.set(self._key("wanted"), "due", nx=True)
        pipeline.get(self._key("number"))
        return int(pipeline.execute()[-1] or 0) + 1

    @property
    def waits(self) -> bool:
        """Whether a round waits."""
        return bool(self.redis.exists(self._key("wanted")))

    # -- the round that runs --------------------------------------------------------------------

    def start_waiting(self) -> bool:
        """Make the waiting round the one that runs; whether one waited."""
        wanted = self.redis.getdel(self._key("wanted"))
        if wanted is None:
            return False
        number = self.redis.incr(self._key("number"))
        fields: dict[Any, Any] = {
            "number": number,
            "force": int(wanted == b"force"),
            "started": time.time(),
        }
        self.redis.delete(self._key("cancel"), self._key("round"))
        self.redis.hset(self._key("round"), mapping=fields)
        return True

    def running(self) -> dict[str, str]:
        """The running round's fields, empty if none runs."""
        fields: dict[Any, Any] = self.redis.hgetall(self._key("round"))
        if b"number" not in fields:
            return {}  # ended while a step was noting something of it
        return {name.decode(): value.decode() for name, value in fields.items()}

    def note(self, number: int, **fields: str | int | float) -> bool:
        """Keep something of the running round; whether it still runs under that number."""
        if self.redis.hget(self._key("round"), "number") != str(number).encode():
            return False
        self.redis.hset(self._key("round"), mapping={k: str(v) for k, v in fields.items()})
        return True

    def attempt(self, step: str) -> int:
        """Count one more attempt of a step; which it is."""
        return int(self.redis.hincrby(self._key("round"), f"attempts:{step}", 1))

    def unattempt(self, step: str, job_id: str) -> None:
        """A worker was asked to end while it was at a step: that was no attempt."""
        if self.running().get(f"job:{step}") == job_id:
            self.redis.hincrby(self._key("round"), f"attempts:{step}", -1)

    def cancel(self, hold_s: float) -> None:
        """Ask the running round to end, let none wait, and none begin by itself for some time."""
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.delete(self._key("wanted"))
        pipeline.set(self._key("cancel"), 1, ex=_KEEP_S)
        self._hold_back(pipeline, hold_s)
        pipeline.execute()

    @property
    def cancelled(self) -> bool:
        """Whether the running round is asked to end."""
        return bool(self.redis.exists(self._key("cancel")))

    def end(self, number: int, how: Mapping[str, Any]) -> None:
        """Keep how a round ended, and let none run."""
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.set(self._key(f"ended:{number}"), json.dumps(dict(how)), ex=_KEEP_S)
        pipeline.delete(self._key("round"), self._key("cancel"))
        pipeline.execute()

    def ended(self, number: int) -> dict[str, Any] | None:
        """How a round ended, None if that is not known."""
        content = self.redis.get(self._key(f"ended:{number}"))
        return dict(json.loads(content)) if content else None

    @property
    def number(self) -> int:
        """The newest round's number, 0 before the first."""
        return int(self.redis.get(self._key("number")) or 0)

    # -- failures -------------------------------------------------------------------------------

    def failed(self, after_s: float) -> None:
        """A round failed: the next comes later by itself, each time twice as late."""
        count = int(self.redis.incr(self._key("failures")))
        pause_s = min(_LONGEST_BACKOFF_S, after_s * 2 ** min(count - 1, 20))
        self._hold_back(self.redis, pause_s)

    def succeeded(self) -> None:
        """A round came through."""
        self.redis.delete(self._key("failures"), self._key("held_back"))

    @property
    def held_back(self) -> bool:
        """Whether rounds that failed keep the next from beginning by itself yet."""
        return bool(self.redis.exists(self._key("held_back")))

    def _hold_back(self, redis: Redis, for_s: float) -> None:
        # Redis counts the time: a host's clock may be set meanwhile, or differ from another's.
        if for_s > 0:
            redis.set(self._key("held_back"), 1, px=max(1, int(1000 * for_s)))
        else:
            redis.delete(self._key("held_back"))

    # -- the step that is being done ------------------------------------------------------------

    @contextmanager
    def locked(self, name: str, wait_s: float) -> Iterator[None]:
        """One at a time of all workers. Raises LockedError if it is not free in time, RedisError.

        It is held as long as this process lives: who dies with it blocks the others for seconds.
        A process that stood still for longer takes it back, if nobody else has it by then.
        """
        lock = self.redis.lock(self._key(f"lock:{name}"), timeout=_LOCK_S, thread_local=False)
        if not lock.acquire(blocking=True, blocking_timeout=wait_s):
            raise LockedError(f"project {self.project_id} is busy")
        done = threading.Event()
        threading.Thread(target=_hold, args=(lock, done), daemon=True).start()
        try:
            yield
        finally:
            done.set()
            with suppress(LockError):  # it ran out
                lock.release()


def _hold(lock: Lock, done: threading.Event) -> None:
    """Keep a lock from running out; a Redis that is away for a moment does no harm."""
    while not done.wait(_LOCK_S / 4):
        with suppress(RedisError):
            try:
                lock.reacquire()
            except LockError:  # it ran out while this process stood still, or Redis was away
                lock.do_acquire(lock.local.token)


class LockedError(RedisError):
    """Another worker holds a project's lock."""


def known_projects(redis: Redis) -> list[int]:
    """Projects that anything was ever asked for."""
    return sorted(int(member) for member in redis.smembers(PROJECTS))
