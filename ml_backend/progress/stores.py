"""Stores that stay open between requests: in an object store, opening costs more than reading."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..settings import Settings
from ..store import Store


def store_of(settings: Settings, project_id: int) -> Store:
    """What is kept of a project."""
    return _opened(settings.store_root, int(project_id))


@lru_cache(maxsize=256)
def _opened(root: str | Path, project_id: int) -> Store:
    return Store(root, project_id)
