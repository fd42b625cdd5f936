"""Annotation simulated through the rounds that serve users, for a grid of strategies and seeds."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_backend.allocator import keep_large_blocks
from ml_backend.committees import recipe
from ml_backend.learning.strategies import STRATEGIES, Candidates
from ml_backend.learning.strategies.registry import Select
from ml_backend.parents import die_with_parent
from ml_backend.rounds import run_round
from ml_backend.settings import Settings, variable_of
from ml_backend.store import Store

from .data import LabelledData, load
from .figures import measured_quality
from .first_committees import first_round
from .project import PROJECT_ID, InMemoryProject
from .rows import Row, Rows

FULL = "full"
# Trains as every strategy without needs of its own: what the first order and full labels use.
_PLAIN = "random"
_LEAKING = "random-foreground"
_SEED_STEP = 1000  # a version's number is added to the seed: seeds must not run into each other


# Settings that a simulation gives each job itself, and what decides them.
_DECIDED = {
    "strategy": "--strategies",
    "network": "--network and --networks",
    "seed": "--seeds",
    "k": "--budgets and --k",
    "K": "--candidates",
    "evaluation_slices": "--test-fraction",
    "data_dir": "--out",
    "push_pause_s": "--out",
}


class RunError(RuntimeError):
    """A simulation that cannot be trusted; the message says what went wrong."""


@dataclass(frozen=True)
class Job:
    """One simulation: `strategy` is a name, or a variant such as "two-stage+start=encoder"."""

    strategy: str
    seed: int
    network: str

    @property
    def name(self) -> str:
        """The strategy's name in the registry, or "full"."""
        return self.strategy.split("+", 1)[0]

    @property
    def overrides(self) -> dict[str, Any]:
        """The variant's settings. Raises SettingsError or RunError for one that does not exist."""
        return parse_settings(self.strategy.split("+")[1:])


@dataclass(frozen=True)
class Plan:
    """What all jobs of a table share."""

    folder: Path
    settings: Settings
    edition: str  # "cpu" or "gpu"
    budgets: tuple[float, ...]  # shares of the pool that are labelled when a round runs
    k: int = 0  # slices a round, up to the last budget; 0: a round at each budget
    candidates: float = 6.0  # K / k
    first: str = "cold"  # first batch by the served cold start, or "random"
    loading: Mapping[str, Any] = field(default_factory=dict)  # arguments of data.load()
    hardware: str = ""
    commit: str = ""

    def counts(self, pool: int) -> list[int]:
        """Numbers of labels at which rounds run. Raises RunError if they do not rise."""
        if self.k:
            last = max(self.k, round(self.budgets[-1] * pool))
            return list(range(self.k, last + 1, self.k))
        counts = [round(budget * pool) for budget in self.budgets]
        if not counts or counts[0] < 1 or (np.diff(counts) < 1).any() or counts[-1] > pool:
            raise RunError(f"budgets {self.budgets} of {pool} slices give {counts} labels")
        return counts

    def fingerprint(self, data: LabelledData) -> str:
        """Hex digits that change with whatever decides a row beside strategy, network and seed."""
        plain = replace(self.settings, strategy=_PLAIN, network="", seed=0)
        decided = {
            "data": data.fingerprint,
            "edition": self.edition,
            "counts": self.counts(len(data.pool)),
            "candidates": self.candidates,
            "first": self.first,
            "cold_start": getattr(plain, "cold_start", ""),
            "recipe": recipe(plain, data.class_names),
        }
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:10]

    def of(self, job: Job, folder: Path, test: int, k: int) -> Settings:
        """The served settings of a job whose next batch is of k slices."""
        changed: dict[str, Any] = {
            **asdict(self.settings),
            "network": job.network,
            "strategy": _PLAIN if job.name == FULL else job.name,
            **job.overrides,
            "data_dir": folder,
            "seed": _SEED_STEP * job.seed,
            "k": k,
            "K": max(k, round(self.candidates * k)),
            "evaluation_slices": test,
            "push_pause_s": 0.0,
        }
        with _simulated():
            return Settings(**changed)


def parse_settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Fields of Settings from "name=value" words. Raises SettingsError, or RunError for others."""
    texts = {}
    for word in assignments:
        name, sign, text = word.partition("=")
        if not sign or name not in Settings.__dataclass_fields__:
            raise RunError(f"{word!r} is no setting: write name=value, as in start=encoder")
        if name in _DECIDED:
            raise RunError(f"{name} is the plan's to decide: see {_DECIDED[name]}")
        texts[name] = text
    # All at once: what is possible depends on what else is set, as a side in pixels on the scales.
    read = Settings.from_environment({variable_of(name): text for name, text in texts.items()})
    return {name: getattr(read, name) for name in texts}


def simulate(
    plan: Plan, data: LabelledData, job: Job, done: Sequence[Row], kept: Path
) -> Iterator[Row]:
    """Rows of a job after those that are there, whose picks are annotated again untrained.

    `kept` is a folder for the committees of first batches, which strategies share.
    Raises RunError if a round reports problems or its order runs dry.
    """
    pool, test = data.pool, data.test
    counts = [len(pool)] if job.name == FULL else plan.counts(len(pool))
    if len(done) >= len(counts):
        return
    index_of = {piece.name: index for index, piece in enumerate(data.slices)}
    project = InMemoryProject(data)
    project.annotate(test)
    with TemporaryDirectory(prefix="quorum-bench-") as folder:
        store = Store(Path(folder) / "store", PROJECT_ID)
        store.keep_sides(project.sides())
        if job.name == FULL:
            following = pool
        elif done:
            following = [index_of[name] for name in done[-1]["next"]]
        else:
            following = _first_batch(plan, job, project, Path(folder), counts[0])
        # Weights are seeded by a version's number: those that were not made again keep theirs.
        for number in range(len(store.versions()), 1 + len(done)):
            store.publish(f"r{number:04d}-000000", [], {})
        for row in done:
            project.annotate([index_of[name] for name in row["picks"]])
        for number in range(len(done), len(counts)):
            project.annotate(following)
            step = counts[min(number + 1, len(counts) - 1)] - counts[number]
            settings = plan.of(job, Path(folder), len(test), max(1, step))
            started = time.perf_counter()
            with _true_foreground_known(project):
                if number == 0 and job.name != FULL:
                    labelled = [data.fingerprint, *(data.slices[i].name for i in following)]
                    outcome = first_round(kept, settings, project, labelled)
                else:
                    outcome = run_round(settings, project, PROJECT_ID, force=True)
            round_s = time.perf_counter() - started + outcome.get("saved_s", 0.0)
            if outcome["did"] != "trained" or outcome["problems"]:
                raise RunError(f"{job}: the round of {counts[number]} labels said {outcome}")
            if outcome["labelled"] != counts[number] or outcome["evaluated_on"] != len(test):
                raise RunError(f"{job}: trained on {outcome['labelled']}, not {counts[number]}")
            picks = [data.slices[index].name for index in following]
            following = project.next_slices(step)
            if len(following) != step:
                raise RunError(f"{job}: the order holds {len(following)} slices, not {step}")
            yield {
                "data": data.name,
                "edition": plan.edition,
                "fingerprint": plan.fingerprint(data),
                "strategy": job.strategy,
                "network": job.network,
                "seed": job.seed,
                "round": number,
                "labels": counts[number],
                "fraction": counts[number] / len(pool),
                "pool": len(pool),
                "test": len(test),
                **measured_quality(settings, project, outcome["version"]),
                "train_s": outcome["train_s"],
                "score_s": outcome["score_s"],
                "select_s": outcome.get("select_s", outcome["reorder_s"]),
                "round_s": round_s,
                "recipe": recipe(settings, data.class_names),
                "K": settings.K,
                "version": outcome["version"],
                "picks": picks,
                "next": [data.slices[index].name for index in following],
                "hardware": plan.hardware,
                "commit": plan.commit,
            }


def _first_batch(
    plan: Plan, job: Job, project: InMemoryProject, folder: Path, count: int
) -> list[int]:
    """The slices labelled before any committee exists: the same for all strategies of a seed.

    A variant that sets cold_start begins with that, whatever the plan says.
    """
    pool = project.data.pool
    if plan.first == "random" and "cold_start" not in job.overrides:
        order = np.random.default_rng(job.seed).permutation(len(pool))
        return [pool[index] for index in order[:count]]
    settings = replace(plan.of(job, folder, len(project.data.test), count), strategy=_PLAIN)
    outcome = run_round(settings, project, PROJECT_ID)
    if outcome["did"] != "ordered" or outcome["problems"]:
        raise RunError(f"{job}: the first order said {outcome}")
    return project.next_slices(count)


@contextmanager
def _simulated(select: Select | None = None) -> Iterator[None]:
    """Let the strategy that no deployment could use be set, and choose by `select` if given."""
    refused = STRATEGIES[_LEAKING]
    STRATEGIES[_LEAKING] = replace(refused, select=select or refused.select, simulation_only=False)
    try:
        yield
    finally:
        STRATEGIES[_LEAKING] = refused


@contextmanager
def _true_foreground_known(project: InMemoryProject) -> Iterator[None]:
    """Let the strategy that needs it see the true foreground, which no deployment could know.

    The leak is kept here: the product's code has no way to it. Rounds hand a strategy the open
    slices in the order of their tasks, which is the project's.
    """
    honest = STRATEGIES[_LEAKING]
    shares = np.array([(project.data.slices[i].label_map > 0).mean() for i in project.open_pool()])

    def select(candidates: Candidates, K: int, k: int) -> npt.NDArray[np.int64]:
        if len(candidates.uncertainty) != len(shares):
            raise RunError(f"{len(candidates.uncertainty)} slices are open, not {len(shares)}")
        return honest.select(replace(candidates, foreground=shares), K, k)

    with _simulated(select):
        yield


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is the only one of."""
    return tuple(row[name] for name in ("fingerprint", "strategy", "network", "seed", "round"))


def rows_of(rows: Sequence[Row], fingerprint: str, job: Job) -> list[Row]:
    """A job's rows, in the order of rounds."""
    wanted = (fingerprint, job.strategy, job.network, job.seed)
    return sorted((r for r in rows if key(r)[:4] == wanted), key=lambda r: int(r["round"]))


@lru_cache(maxsize=1)
def _loaded(folder: Path, loading: str) -> LabelledData:
    return load(folder, **json.loads(loading))


def run_job(plan: Plan, job: Job, out: Path, say: Callable[[str], None] = print) -> int:
    """Run what lacks of a job and append its rows; how many were appended."""
    data = _loaded(plan.folder, json.dumps(dict(plan.loading)))
    rows = Rows(out)
    done = rows_of(rows.read(), plan.fingerprint(data), job)
    count = 0
    for row in simulate(plan, data, job, done, out / "first-committees"):
        rows.append(row)
        count += 1
        say(
            f"{job.strategy:<24} {job.network:<9} seed {job.seed}  {row['labels']:>4} labels  "
            f"mean IoU {row['mean_iou']:.4f}  Dice {row['dice']:.4f}  {row['round_s']:.1f} s"
        )
    return count


def _run_apart(plan: Plan, job: Job, out: Path) -> int:
    import torch

    keep_large_blocks()
    torch.set_num_threads(1)
    return run_job(plan, job, out, _say_now)


def _say_now(text: str) -> None:
    print(text, flush=True)


def run_grid(plan: Plan, jobs: Sequence[Job], out: Path, processes: int = 1) -> int:
    """Run all jobs, `processes` at a time with one thread each; how many rows were appended."""
    with Rows(out).held():
        if processes == 1:
            return sum(run_job(plan, job, out, _say_now) for job in jobs)
        # Spawned, not forked: torch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        # None outlives a run that is killed: it would write rows beside those of the next.
        with ProcessPoolExecutor(processes, context, die_with_parent, (os.getpid(),)) as pool:
            running = [pool.submit(_run_apart, plan, job, out) for job in jobs]
            try:
                return sum(future.result() for future in as_completed(running))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
