"""A worker process: takes steps of rounds; or, as the attendant, looks and bookkeeping.

A module of its own: RQ cannot queue functions of the module that is run as a program.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import SimpleWorker, Worker

from . import logs
from .fingerprint import CODE, SPLIT, fingerprint, split_fingerprint
from .jobs import HEAVY, QUICK, Jobs, JobsError
from .jobs.tidying import tidy
from .jobs.work import advance_all_job, reconcile_job
from .parents import die_with_parent
from .settings import Settings, SettingsError, variable_of
from .store import StoreError

log = logging.getLogger(__name__)

_GRACE_S = 5.0
_NICENESS = 10  # of training on the CPUs that Label Studio and the backend answer from


def main() -> int:
    """Run one worker; each host needs at least one, and one attendant is enough for all."""
    parser = argparse.ArgumentParser(prog="python -m ml_backend.worker", description=main.__doc__)
    parser.add_argument(
        "--attendant",
        action="store_true",
        help="look at projects and keep rounds going, by events and by timer, instead of training",
    )
    arguments = parser.parse_args()
    try:
        settings = Settings.from_environment()
        logs.set_up(settings)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    if arguments.attendant:
        timers = os.fork()
        if timers == 0:
            die_with_parent()
            _run_timers(settings)
            os._exit(0)
        threading.Thread(target=_end_without, args=(timers,), daemon=True).start()
        _attend(settings)
        return 0
    # Asking the driver for its GPUs would spoil CUDA for the processes forked from this one.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    from . import rounds  # noqa: F401  torch is loaded once, not by each job's process
    from .allocator import keep_large_blocks
    from .learning.training import torch_device

    keep_large_blocks()

    try:
        device = torch_device(settings.device).type
    except ValueError as error:
        print(f"worker: {variable_of('device')}: {error}", file=sys.stderr)
        return 2
    if device == "cpu":
        os.nice(_NICENESS)
    worker = RoundWorker(
        [HEAVY],
        connection=_blocking(settings),
        job_monitoring_interval=max(1, round(settings.heartbeat_s)),
    )
    worker.device = device
    worker.settings = settings
    worker.split = split_fingerprint(settings.split_key)
    worker.work(logging_level="WARNING")
    return 0


class _Discreet(Worker):
    """A worker that keeps no error's words in Redis: they may quote what was being read.

    It tidies its machine at its start and every ten minutes, but not during a job.
    """

    settings: Settings
    split = ""  # the fingerprint of the split key: ./quorum check compares

    def register_birth(self) -> None:
        super().register_birth()
        with suppress(RedisError):
            # In RQ's own record of the worker, and gone with it.
            self.connection.hset(self.key, mapping=self.told())

    def told(self) -> dict[str, str]:
        """What it tells of itself, by field."""
        return {CODE: fingerprint(), SPLIT: self.split}

    def run_maintenance_tasks(self) -> None:
        super().run_maintenance_tasks()
        tidy(self.settings)

    def handle_job_failure(
        self, job: Any, queue: Any, started_job_registry: Any = None, exc_string: str = ""
    ) -> None:
        kept = logs.places_of(exc_string)
        super().handle_job_failure(job, queue, started_job_registry, kept)


class _Attendant(_Discreet, SimpleWorker):
    """Does its jobs in its own process."""


class RoundWorker(_Discreet):
    """A worker whose job's process does not outlive it: a step must not be done twice at once."""

    device = "cpu"  # shown on the page

    def told(self) -> dict[str, str]:
        return {**super().told(), "device": self.device}

    # Asked to end, it lets a short step end; a training is given back. One request is enough:
    # docker, and the kernel when the launcher was killed, ask but once.

    def request_stop(self, *arguments: Any) -> None:
        again = threading.Timer(_GRACE_S, os.kill, (os.getpid(), signal.SIGTERM))
        again.daemon = True
        again.start()
        super().request_stop(*arguments)

    def request_force_stop(self, *arguments: Any) -> None:
        job_id = self.get_current_job_id() if self.horse_pid else None
        try:
            super().request_force_stop(*arguments)  # ends what is done of it
        except SystemExit:
            if job_id:
                with suppress(JobsError):  # it is found to be dead, and begun again
                    # A connection of its own: this may have come in the middle of a command.
                    Jobs.connect(self.settings).give_back(job_id)
            raise

    def main_work_horse(self, *arguments: Any, **more: Any) -> None:
        die_with_parent()
        super().main_work_horse(*arguments, **more)

    # A Redis that is away for a moment must not end the training of hours that goes on meanwhile.

    def maintain_heartbeats(self, *arguments: Any, **more: Any) -> None:
        with suppress(RedisError):
            super().maintain_heartbeats(*arguments, **more)

    def set_current_job_working_time(self, *arguments: Any, **more: Any) -> None:
        with suppress(RedisError):
            super().set_current_job_working_time(*arguments, **more)


def _end_without(timers: int) -> None:
    """End if the timers die: whoever starts services again then starts both."""
    _, status = os.waitpid(timers, 0)
    if status:
        log.error("the timers have died: the attendant ends, to be started again")
        os._exit(1)


def _attend(settings: Settings) -> None:
    """Looks and bookkeeping, in one process: they are short, and a fork would cost more."""
    while True:
        try:
            reconcile_job()
            advance_all_job()
            break
        except (JobsError, RedisError, StoreError) as error:
            log.warning("the attendant waits: %s", error)
            time.sleep(1)
    attendant = _Attendant([QUICK], connection=_blocking(settings))
    attendant.settings = settings
    attendant.split = split_fingerprint(settings.split_key)
    attendant.work(logging_level="WARNING")


def _run_timers(settings: Settings) -> None:
    from rq.cron import CronScheduler

    while True:
        scheduler = CronScheduler(Jobs.connect(settings).redis, logging_level=logging.WARNING)
        for function, interval_s in (
            (reconcile_job, settings.reconcile_s),
            (advance_all_job, settings.heartbeat_s),
        ):
            scheduler.register(function, QUICK, interval=max(1, round(interval_s)), result_ttl=60)
        try:
            scheduler.start()
            return  # asked to stop
        except RedisError:
            log.warning("Redis is gone: the timers wait for it")
            time.sleep(1)


def _blocking(settings: Settings) -> Redis:
    # A worker waits on its queue for minutes: no read timeout.
    return Redis.from_url(settings.redis_url, socket_connect_timeout=5.0)


if __name__ == "__main__":
    raise SystemExit(main())
