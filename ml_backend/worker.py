"""A worker process: takes rounds from the queue; one of them also runs the reconcile timer.

A module of its own: RQ cannot queue functions of the module that is run as a program.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import time
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Worker

from .jobs import QUEUE, Jobs, reconcile_job
from .settings import Settings

log = logging.getLogger(__name__)


def _run_cron(settings: Settings) -> None:
    from rq.cron import CronScheduler

    interval = max(1, int(settings.reconcile_s))
    while True:
        scheduler = CronScheduler(Jobs.connect(settings).redis, logging_level=logging.WARNING)
        scheduler.register(reconcile_job, QUEUE, interval=interval, result_ttl=3600)
        try:
            scheduler.start()
            return  # asked to stop
        except RedisError:
            log.warning("Redis is gone: the reconcile timer waits for it")
            time.sleep(5)


def main() -> int:
    """Run one worker; one with --cron also asks for the periodic reconcile."""
    parser = argparse.ArgumentParser(prog="python -m ml_backend.worker", description=main.__doc__)
    parser.add_argument("--cron", action="store_true", help="run the reconcile timer as well")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each image otherwise
    settings = Settings.from_environment()
    if arguments.cron and os.fork() == 0:
        _die_with_parent()
        _run_cron(settings)
        return 0
    from . import rounds  # noqa: F401  torch is loaded once, not by each job's process

    RoundWorker([QUEUE], connection=_blocking(settings)).work(logging_level="WARNING")
    return 0


class RoundWorker(Worker):
    """A worker whose job's process does not outlive it: two rounds of a project must not run."""

    def main_work_horse(self, *arguments: Any, **more: Any) -> None:
        _die_with_parent()
        super().main_work_horse(*arguments, **more)


def _die_with_parent() -> None:
    if sys.platform.startswith("linux"):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _blocking(settings: Settings) -> Redis:
    # A worker waits on its queue for minutes: no read timeout.
    return Redis.from_url(settings.redis_url, socket_connect_timeout=5.0)


if __name__ == "__main__":
    raise SystemExit(main())
