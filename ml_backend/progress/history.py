"""Who did what to a project from the page: the newest actions, kept with its figures."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone

from redis.exceptions import RedisError

from ..jobs import Jobs
from ..store import Store

log = logging.getLogger(__name__)

NEWEST = 200
_NAME = "history"
_LONGEST = 300
_WAIT_S = 5.0
_here = threading.Lock()


def record(jobs: Jobs, store: Store, project_id: int, who: str, what: str, details: str) -> None:
    """Keep one action, and log it. No secret belongs into `details`. Raises StoreError."""
    log.info("project %d: %s: %s %s", project_id, who, what, details)
    entry = {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "who": who[:100],
        "what": what,
        "details": details[:_LONGEST],
    }
    with one_at_a_time(jobs, project_id):
        kept = store.figures(_NAME).get("actions", [])
        store.keep_figures(_NAME, {"actions": [entry, *kept][:NEWEST]})


@contextmanager
def one_at_a_time(jobs: Jobs, project_id: int) -> Iterator[None]:
    """Hold what is read, changed and kept again against others; without Redis, against threads."""
    with _here, ExitStack() as held:
        try:
            held.enter_context(jobs.state(project_id).locked("page", _WAIT_S))
        except RedisError:
            log.warning("project %d: changed without a lock: Redis is away", project_id)
        yield
