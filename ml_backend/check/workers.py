"""The workers: those that train, the attendant that looks, its timers, and what they run with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis
from rq import Queue, Worker
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.cron import CronScheduler

from ..fingerprint import CODE, SPLIT, fingerprint, split_fingerprint
from ..jobs import HEAVY, QUICK
from ..progress.workers import DEVICE
from ..settings import TRAINING_SETTINGS, Settings, variable_of
from .deployment import Deployment
from .findings import Check, Outcome, fails, ok, unknown

_START = "Start ./quorum up again, or on a host of its own: python -m ml_backend.worker"
_TIMER_SILENT_S = 120.0  # the timers tell of themselves each minute


@dataclass(frozen=True)
class Found:
    """One worker that listens now."""

    host: str
    device: str
    code: str
    split: str  # the fingerprint of its split key; each of the three "" where it has not told


def found_workers(redis: Redis, queue: str) -> list[Found]:
    """The workers of a queue that are alive at this moment. Raises RedisError.

    RQ's registry knows one that was killed for minutes more; its connection is gone at once.
    """
    registered = Worker.all(queue=Queue(queue, connection=redis))
    channels = [PUBSUB_CHANNEL_TEMPLATE % worker.name for worker in registered]
    listening: Any = dict(redis.pubsub_numsub(*channels)) if channels else {}
    found = []
    for worker, channel in zip(registered, channels, strict=True):
        if listening.get(channel.encode()) or listening.get(channel):
            told: list[Any] = list(redis.hmget(worker.key, [DEVICE, CODE, SPLIT]))
            device, code, split = (value.decode() if value else "" for value in told)
            found.append(Found(worker.hostname or "unknown", device, code, split))
    return found


def heavy(deployment: Deployment) -> Outcome:
    """Somebody trains and scores."""
    found = found_workers(deployment.redis, HEAVY)
    waiting = Queue(HEAVY, connection=deployment.redis).count
    if not found:
        behind = f"; {waiting} steps wait for one" if waiting else ""
        return fails(f"no worker is alive: nothing can be trained{behind}", f"{_START}.")
    hosts = sorted({worker.host for worker in found})
    return ok(f"{len(found)} alive, on {', '.join(hosts)}; {waiting} steps wait")


def attendant(deployment: Deployment) -> Outcome:
    """Somebody looks at projects when an event comes."""
    found = found_workers(deployment.redis, QUICK)
    if not found:
        return fails(
            "no attendant is alive: no round begins, and new slices get no order",
            f"{_START} --attendant.",
        )
    hosts = ", ".join(sorted({worker.host for worker in found}))
    return ok(f"alive, on {hosts}")


def timers(deployment: Deployment) -> Outcome:
    """Somebody looks from time to time for what no webhook told."""
    last: datetime | None = None
    for scheduler in CronScheduler.all(deployment.redis, cleanup=False):
        told = scheduler.last_heartbeat
        if told is not None and (last is None or told > last):
            last = told
    clock: Any = deployment.redis.time()
    silent_s = clock[0] - last.timestamp() if last is not None else None
    if silent_s is None or silent_s > _TIMER_SILENT_S:
        since = f" for {silent_s:.0f} s" if silent_s is not None else ""
        return fails(
            f"the attendant's timers have been silent{since}: a lost webhook stays unnoticed",
            f"{_START} --attendant.",
        )
    return ok(f"the periodic look runs, each {deployment.settings.reconcile_s:.0f} s")


def devices(deployment: Deployment) -> Outcome:
    """What the workers train on is what was asked for."""
    found = found_workers(deployment.redis, HEAVY)
    if not found:
        return unknown("no worker is alive to tell its device")
    told = [worker.device for worker in found]
    return of_devices(deployment.settings.device, told, by_device(deployment.settings))


def by_device(settings: Settings) -> list[str]:
    """Variables of what each device's preset decides of a training, for they are not set."""
    from ..learning.training_settings import TrainingSettings, preset

    cpu, gpu = preset("cpu"), TrainingSettings()
    return [
        variable_of(name)
        for name in TRAINING_SETTINGS
        if not getattr(settings, name) and getattr(cpu, name) != getattr(gpu, name)
    ]


def of_devices(asked: str, told: Sequence[str], unset: Sequence[str] = ()) -> Outcome:
    """What to think of workers' devices, "" where one has not told.

    `unset` names what each trains with otherwise, as by_device() finds it.
    """
    shown = ", ".join(
        f"{told.count(name)} x {name or 'not told'}" for name in sorted(set(told), reverse=True)
    )
    named = f"QUORUM_DEVICE is {asked}; workers: {shown}"
    if asked.startswith("cuda") and "cpu" in told:
        return fails(
            named,
            "A worker found no GPU. See nvidia-smi on its host, and that torch there is a "
            "CUDA build; start the worker again with QUORUM_DEVICE set.",
        )
    if asked == "cpu" and any(name.startswith("cuda") for name in told):
        return fails(named, "A worker was started with another QUORUM_DEVICE: start it again.")
    if not any(told):
        return unknown(named)
    if unset and "cpu" in told and any(name.startswith("cuda") for name in told):
        return fails(
            f"{named}. They train different networks: versions differ by the worker that gathers",
            "Let all train on the same: set QUORUM_DEVICE on every host, or end the workers of "
            f"one kind. To keep both, set {', '.join(unset)} by hand on every host; "
            "docs/reference/settings.md has the values of each device.",
        )
    return ok(named)


def code(deployment: Deployment) -> Outcome:
    """The workers run the code that lies here."""
    found = found_workers(deployment.redis, HEAVY)
    if not found:
        return unknown("no worker is alive to tell its code")
    return of_code(fingerprint(), [(worker.host, worker.code) for worker in found])


def of_code(ours: str, told: Sequence[tuple[str, str]]) -> Outcome:
    """What to think of the workers' code, (host, fingerprint) each."""
    others = sorted({host for host, theirs in told if theirs and theirs != ours})
    if others:
        return fails(
            f"workers on {', '.join(others)} run other code than lies here ({ours})",
            "Put the same release on every host, and start backend and workers again.",
        )
    if not all(theirs for _, theirs in told):
        return unknown(f"not every worker tells which code it runs; here lies {ours}")
    return ok(f"all run the code that lies here ({ours})")


def split_key(deployment: Deployment) -> Outcome:
    """All hold out the same patients: whoever meets one first settles where it belongs."""
    found = [w for queue in (HEAVY, QUICK) for w in found_workers(deployment.redis, queue)]
    if not found:
        return unknown("neither a worker nor the attendant is alive to tell its split key")
    ours = split_fingerprint(deployment.settings.split_key)
    return of_split_keys(ours, [(worker.host, worker.split) for worker in found])


def of_split_keys(ours: str, told: Sequence[tuple[str, str]]) -> Outcome:
    """What to think of the workers' split keys, (host, fingerprint) each."""
    others = sorted({host for host, theirs in told if theirs and theirs != ours})
    if others:
        return fails(
            f"workers on {', '.join(others)} have another QUORUM_SPLIT_KEY than is set here: they "
            "hold out other patients",
            "Set the same QUORUM_SPLIT_KEY on every host (./quorum up keeps its own in "
            "secrets.json), and start the workers there again. Patients that were divided already "
            "stay where they are.",
        )
    if not all(theirs for _, theirs in told):
        return unknown("not every worker tells which QUORUM_SPLIT_KEY it has")
    return ok("all have the QUORUM_SPLIT_KEY that is set here")


CHECKS = (
    Check("workers", heavy),
    Check("attendant", attendant),
    Check("attendant: timers", timers),
    Check("workers: device", devices),
    Check("workers: code", code),
    Check("workers: split key", split_key),
)
