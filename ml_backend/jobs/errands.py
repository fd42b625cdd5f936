"""What people ask for beside rounds: to go back, to annotate the rest, to prepare a data set.

A project has one slot for each of them. Redis holds what was asked for until it is done: a worker
that dies is replaced by the next tick of the timer, and whatever an errand has made it finds again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from redis import Redis
from redis.exceptions import RedisError

from ..settings import Settings
from .errand_figures import EXPORT, REST, ROLLBACK, note_failure, note_stopped
from .errors import DOWN, JobsError
from .names import HEAVY
from .state import PROJECTS, ProjectState
from .under_way import is_under_way

_LOCK_WAIT_S = 10.0
_CANCEL_S = 24 * 3600
_TAKEN = {
    ROLLBACK: "going back to another version is under way",
    REST: "the rest is being annotated, or taken back",
    EXPORT: "another data set is being prepared",
}
_STOPPING = "what was asked for before is being stopped: ask again when it has ended"
_FAILED = "it failed several times: see the worker's log"


@dataclass(frozen=True)
class Errand:
    """A function of ml_backend.jobs.errand_work, and when it may run."""

    slot: str
    queue: str
    after_rounds: bool  # it waits for the project's round, and steps aside for one
    first: bool = False  # before whatever waits in the queue: a person waits for it
    about: str = ""  # what its first argument is called in its figures


ERRANDS = {
    "rollback_job": Errand(ROLLBACK, HEAVY, after_rounds=False, first=True, about="version"),
    "rest_job": Errand(REST, HEAVY, after_rounds=True),
    "undo_rest_job": Errand(REST, HEAVY, after_rounds=True),
    "export_job": Errand(EXPORT, HEAVY, after_rounds=False, about="format"),
}


def about(entry: Mapping[str, Any]) -> dict[str, str]:
    """What an errand is about, as its figures name it: an earlier one's may be kept there."""
    name, arguments = ERRANDS[entry["function"]].about, entry["arguments"]
    return {name: str(arguments[0])} if name and arguments else {}


class Enqueue(Protocol):
    """Puts a function of ml_backend.jobs into a queue."""

    def __call__(
        self,
        queue: str,
        function: str,
        *arguments: Any,
        job_id: str | None,
        module: str,
        first: bool,
    ) -> Any: ...


@dataclass(frozen=True)
class Errands:
    """The errands of all projects, in one Redis."""

    redis: Redis
    settings: Settings
    enqueue: Enqueue

    def request_rollback(self, project_id: int, version: str) -> None:
        """Ask for an older version to draft and order again. Raises JobsError if Redis is down."""
        self._request(project_id, "rollback_job", version)

    def request_rest(self, project_id: int, made_as: str) -> None:
        """Ask for the rest to be annotated, as "predictions" or "annotations".

        Raises JobsError if Redis is down, or it is under way otherwise.
        """
        self._request(project_id, "rest_job", made_as)

    def request_rest_undo(self, project_id: int) -> None:
        """Ask for that to be taken back. Raises JobsError if Redis is down."""
        self._request(project_id, "undo_rest_job")

    def cancel_rest(self, project_id: int) -> None:
        """Let the annotating of the rest end. Raises JobsError if Redis is down, StoreError."""
        try:
            self.cancel(project_id, REST)
        except RedisError:
            raise JobsError(DOWN) from None

    def request_export(self, project_id: int, format_name: str, include: str = "labelled") -> None:
        """Ask for a data set to be prepared; `include` as in ml_backend.export.dataset.Choice.

        Raises JobsError if Redis is down, or another is being prepared.
        """
        self._request(project_id, "export_job", format_name, include)

    def _request(self, project_id: int, function: str, *arguments: Any) -> None:
        slot = ERRANDS[function].slot
        try:
            if self.ask(project_id, function, *arguments):
                return
            stopping = self.cancelled(project_id, slot)
        except RedisError:
            raise JobsError(f"{DOWN}, then ask again") from None
        raise JobsError(
            _STOPPING if stopping else f"{_TAKEN[slot]}: wait for its end, or stop it first"
        )

    # -- the slots ------------------------------------------------------------------------------

    def ask(self, project_id: int, function: str, *arguments: Any) -> bool:
        """Ask for an errand; whether it is asked for now, and no other is in its slot.

        What is being stopped counts as another, if it is the same: it ends without heeding this.
        Raises RedisError.
        """
        slot = ERRANDS[function].slot
        entry = json.dumps({"function": function, "arguments": arguments, "attempts": 0})
        redis = self.redis
        redis.sadd(PROJECTS, project_id)
        if redis.hsetnx(self._key(project_id), slot, entry):
            redis.delete(self._cancel_key(project_id, slot))
        there = self._entry(project_id, slot)
        stopping = there is not None and self.cancelled(project_id, slot)
        self.advance(project_id)
        asked = [function, list(arguments)]
        return there is None or (not stopping and [there["function"], there["arguments"]] == asked)

    def cancel(self, project_id: int, slot: str) -> None:
        """Let what runs in a slot end at its next stop, and what waits never begin.

        Raises RedisError, StoreError.
        """
        redis = self.redis
        redis.set(self._cancel_key(project_id, slot), 1, ex=_CANCEL_S)
        self.advance(project_id)
        if slot not in self.waiting(project_id):
            # It had not begun again since Redis came back empty: the store alone knows of it.
            note_stopped(self.settings, project_id, slot)

    def cancelled(self, project_id: int, slot: str) -> bool:
        """Whether what runs in a slot is asked to end. Raises RedisError."""
        return bool(self.redis.exists(self._cancel_key(project_id, slot)))

    def done(self, project_id: int, slot: str) -> None:
        """Free a slot. Raises RedisError."""
        self.redis.hdel(self._key(project_id), slot)
        self.redis.delete(self._cancel_key(project_id, slot))

    def came_on(self, project_id: int, slot: str) -> None:
        """It has made progress that lasts: attempts count from here. A Redis that is away does no
        harm.
        """
        with suppress(RedisError):
            entry = self._entry(project_id, slot)
            if entry and entry["attempts"]:
                self._keep(project_id, slot, {**entry, "attempts": 0})

    def unattempt(self, project_id: int, job_id: str) -> None:
        """A worker was asked to end while it was at an errand: that was no attempt.

        Raises RedisError.
        """
        for slot, entry in list(self._entries(project_id)):
            if entry.get("job") == job_id:
                self._keep(project_id, slot, {**entry, "attempts": max(0, entry["attempts"] - 1)})
        self.advance(project_id)

    def waiting(self, project_id: int) -> dict[str, dict[str, Any]]:
        """What is asked for and not done, by slot. Raises RedisError."""
        return dict(self._entries(project_id))

    def advance(self, project_id: int) -> None:
        """Queue the errands that can be done now and that no living worker is at.

        Raises RedisError; LockedError if another does the same for longer than some seconds.
        """
        state = ProjectState(self.redis, project_id)
        with state.locked("errands", _LOCK_WAIT_S):
            for slot, entry in list(self._entries(project_id)):
                self._advance(state, slot, entry)

    def _advance(self, state: ProjectState, slot: str, entry: dict[str, Any]) -> None:
        project_id, errand = state.project_id, ERRANDS[entry["function"]]
        job_id = entry.get("job")
        if job_id and is_under_way(self.redis, self.settings, errand.queue, job_id):
            return
        # One that has begun tells by itself, when it is taken up again, that it was cancelled.
        if not job_id and self.cancelled(project_id, slot):
            self.done(project_id, slot)
            return
        if errand.after_rounds and (state.running() or state.waits):
            return
        attempts = int(entry["attempts"]) + 1
        if attempts > self.settings.attempts:
            note_failure(self.settings, project_id, slot, _FAILED, **about(entry))
            self.done(project_id, slot)
            return
        job_id = f"{project_id}-{slot}-{uuid.uuid4().hex[:8]}"
        # Noted first: a job that is noted but was never queued is found to be nowhere, and queued.
        self._keep(project_id, slot, {**entry, "attempts": attempts, "job": job_id})
        arguments = (project_id, *entry["arguments"])
        self.enqueue(
            errand.queue,
            entry["function"],
            *arguments,
            job_id=job_id,
            module="errand_work",
            first=errand.first,
        )

    def _entries(self, project_id: int) -> Iterator[tuple[str, dict[str, Any]]]:
        fields: dict[Any, Any] = self.redis.hgetall(self._key(project_id))
        for slot, content in fields.items():
            yield slot.decode(), json.loads(content)

    def _entry(self, project_id: int, slot: str) -> dict[str, Any] | None:
        content: Any = self.redis.hget(self._key(project_id), slot)
        return dict(json.loads(content)) if content else None

    def _keep(self, project_id: int, slot: str, entry: dict[str, Any]) -> None:
        self.redis.hset(self._key(project_id), slot, json.dumps(entry))

    def _key(self, project_id: int) -> str:
        return f"quorum:project:{int(project_id)}:errands"

    def _cancel_key(self, project_id: int, slot: str) -> str:
        return f"quorum:project:{int(project_id)}:cancel:{slot}"
