"""Tidying a machine: what it keeps of projects that are over goes, the rest stays in its bound.

Each worker does it for its own machine, at its start and between jobs; see ml_backend.worker.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from ..caches.disk import DiskCache
from ..connection import is_disconnected
from ..settings import Settings
from ..store import StoreError, project_ids
from .queue import Jobs

log = logging.getLogger(__name__)


def tidy(settings: Settings) -> list[int]:
    """Remove pictures and labels of projects that are over, and evict beyond the limit.

    The projects whose were removed; none as long as Redis or the store cannot be reached, or the
    folder cannot be changed. That is told in the log, and done the next time.
    """
    cache = DiskCache.of(settings)
    cache.trim()
    kept = [int(name) for name in cache.folders("projects") if name.isascii() and name.isdigit()]
    try:
        over = _over(Jobs.connect(settings), kept) if kept else []
    except (RedisError, StoreError) as error:
        log.warning("what is kept of projects that are over stays for now: %s", error)
        return []
    for project_id in over:
        cache.remove(f"projects/{project_id}")
    return over


def _over(jobs: Jobs, project_ids_kept: list[int]) -> list[int]:
    """Those that are disconnected, deleted in Label Studio, or known to nobody any more."""
    known = {*jobs.projects(), *project_ids(jobs.settings.store_root)}
    return [
        project_id
        for project_id in project_ids_kept
        if project_id not in known
        or jobs.state(project_id).gone
        or is_disconnected(jobs.settings, project_id)
    ]
