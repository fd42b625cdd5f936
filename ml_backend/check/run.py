"""All checks, one after another: the host, the servers, then each project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from ..connection import connections
from ..jobs import Jobs
from ..store import StoreError
from . import attached, backend, clock, host, label_studio, project, redis, storage, workers
from .deployment import Deployment
from .findings import CannotTellError, Check, Finding
from .project import Project

DEPLOYMENT: tuple[Check[Deployment], ...] = (
    *host.CHECKS,
    *storage.CHECKS,
    *label_studio.CHECKS,
    *redis.CHECKS,
    *clock.CHECKS,
    *workers.CHECKS,
    *backend.CHECKS,
)
# What is read of a project comes before the event, after which the backend may mend its order.
PROJECT: tuple[Check[Project], ...] = (*project.CHECKS, *attached.CHECKS)
SETTINGS = "settings"
NAMES = (SETTINGS, *(c.name for c in DEPLOYMENT), *(c.name for c in PROJECT))


def check_all(deployment: Deployment, projects: Sequence[int] = ()) -> Iterator[Finding]:
    """Every finding as soon as it is there; without `projects` of those that are connected."""
    for check in DEPLOYMENT:
        yield check.run(deployment)
    for number in projects or connected_projects(deployment):
        of_one = Project(deployment, number)
        for one in PROJECT:
            limit_s = deployment.webhook_wait_s + 20
            yield one.run(of_one, number, limit_s)


def connected_projects(deployment: Deployment) -> list[int]:
    """The projects that the backend looks after, by what the store and Redis know."""
    known: dict[int, bool] = {}
    with suppress(StoreError):  # the line about the store says so
        known = {n: c.connected for n, c in connections(deployment.settings).items()}
    asked: set[int] = set()
    with suppress(CannotTellError, RedisError):  # as the line about Redis says
        asked = set(Jobs(deployment.redis, deployment.settings).projects())
    return sorted(number for number in {*known, *asked} if known.get(number, True) and number > 0)
