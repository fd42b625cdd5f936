"""Command line of ``./quorum bench active-learning``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ml_backend.learning.strategies import STRATEGIES
from ml_backend.learning.training import preset, torch_device
from ml_backend.settings import Settings

from ..pages import commit, hardware
from .data import LabelledData, load
from .figures import FiguresError
from .page import write_page
from .rows import Rows, RowsError
from .run import FULL, Job, Plan, RunError, parse_settings, run_grid

# With these a round on 100 slices takes about 15 s on two cores.
# With fewer steps committees are not trained, and strategies are ranked by chance.
_CPU = {"steps": 500, "width": 8, "scales": 5, "side_px": 64, "members": 4, "batch_size": 4}


def main(argv: Sequence[str] | None = None) -> int:
    """Run, or go on with, a benchmark and write its page; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    try:
        loading = {
            "classes": arguments.classes,
            "volumes": arguments.volumes,
            "every": arguments.every,
            "test_fraction": arguments.test_fraction,
        }
        data = load(arguments.data, **loading)
        plan = _plan(arguments, data, loading)
        jobs = _jobs(arguments, plan)
        print(
            f"{data.name}: {len(data.pool)} slices to label, {len(data.test)} to test with, "
            f"classes {', '.join(data.class_names)}; labels {plan.counts(len(data.pool))}; "
            f"{len(jobs)} simulations; settings {plan.fingerprint(data)}",
            flush=True,
        )
        if not arguments.page_only:
            added = run_grid(plan, jobs, arguments.out, arguments.jobs)
            print(f"{added} rows added to {Rows(arguments.out).path}", flush=True)
        page = arguments.page or arguments.out / "benchmarks.md"
        rows = [
            row
            for row in Rows(arguments.out).read()
            if row["fingerprint"] == plan.fingerprint(data)
        ]
        shown = [word for word in words if word != "--page-only"]
        command = shlex.join(["./quorum", "bench", "active-learning", *shown])
        write_page(rows, page, _notes(rows), command, plan.settings, arguments.title)
        print(f"page: {page}")
    except (FiguresError, RunError, RowsError, ValueError) as error:
        print(f"quorum bench active-learning: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum bench active-learning", description=__doc__, allow_abbrev=False
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the labelled set")
    add("--strategies", nargs="+", default=[Settings.strategy, "random"], metavar="NAME",
        help=f"of {', '.join(sorted(STRATEGIES))}; a variant changes settings for itself alone, "
        "as in two-stage+start=encoder, and begins as it says with +cold_start=…")  # fmt: skip
    add("--seeds", type=int, default=3, help="runs of each (%(default)s)")
    add(
        "--first-seed",
        type=int,
        default=0,
        help="the first: others than those that led to a choice bear it out (%(default)s)",
    )
    add("--out", type=Path, required=True, help="results folder; a stopped run goes on there")
    add("--budgets", type=_numbers, default=(0.1, 0.2, 0.3, 0.4, 0.5), metavar="A,B,…",
        help="shares of the pool that are labelled (0.1,0.2,0.3,0.4,0.5)")  # fmt: skip
    add("--k", type=int, default=0, help="slices a round (default: as the budgets ask)")
    add(
        "--candidates",
        type=float,
        default=6.0,
        help="K / k of the first stage (%(default)s), half the pool at most",
    )
    add("--first", choices=("cold", "random"), default="cold",
        help="first batch: the served cold start, or random (%(default)s)")  # fmt: skip
    add("--networks", type=_words, default=(), metavar="A,B,…",
        help="full labels with each of these networks as well")  # fmt: skip
    add("--network", default="fcn", help="the committee's network (%(default)s)")
    add("--edition", choices=("cpu", "gpu"), help="default: what is there; never mixed")
    for name in ("steps", "width", "scales", "members"):
        add(f"--{name}", type=int, default=0)
    add("--side", type=int, default=0, dest="side_px", help="slices are fitted into this square")
    add("--batch-size", type=int, default=0, help="slices an optimizer step")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", dest="assignments",
        help="any other setting of the product, for all strategies")  # fmt: skip
    add("--jobs", type=int, default=1, help="simulations at once, one thread each (%(default)s)")
    add("--classes", type=_words, default=(), metavar="A,B,…", help="names of the classes")
    add("--volumes", type=int, default=24, help="NIfTI volumes at most (%(default)s)")
    add("--every", type=int, default=4, help="each n-th slice of a volume (%(default)s)")
    add("--test-fraction", type=float, default=0.25,
        help="of patients, for a set without a division of its own (%(default)s)")  # fmt: skip
    add("--title", default="", help="of the section (default: the data's name)")
    add("--page", type=Path, help="page to write the tables to (OUT/benchmarks.md)")
    add("--page-only", action="store_true", help="write the page from the rows that are there")
    add("--commit", default="", help="commit to note, if this is no clone")
    return parser


def _plan(arguments: argparse.Namespace, data: LabelledData, loading: dict[str, Any]) -> Plan:
    chosen = {
        "network": arguments.network,
        "held_out_fraction": arguments.test_fraction,
        **parse_settings(arguments.assignments),
    }
    settings = replace(Settings(), **chosen)
    on_gpu = torch_device(settings.device).type == "cuda"
    edition = arguments.edition or ("gpu" if on_gpu else "cpu")
    if edition == "gpu" and not on_gpu:
        raise RunError("the GPU edition was asked for, but no GPU is usable here")
    device = "cpu" if edition == "cpu" else settings.device
    shape = preset(device)
    numbers: dict[str, Any] = {
        name: getattr(arguments, name) or (_CPU[name] if edition == "cpu" else getattr(shape, name))
        for name in _CPU
    }
    if not arguments.side_px:
        # No larger than the slices are: small ones would only be blown up.
        multiple = 2 ** (numbers["scales"] - 1)
        fitting = -(-data.longest_side_px // multiple) * multiple
        numbers["side_px"] = min(numbers["side_px"], fitting)
    plan = Plan(
        folder=arguments.data.resolve(),
        settings=replace(settings, device=device, **numbers),
        edition=edition,
        budgets=tuple(arguments.budgets),
        k=arguments.k,
        candidates=arguments.candidates,
        first=arguments.first,
        loading=loading,
        hardware=_hardware(on_gpu and edition == "gpu"),
        commit=arguments.commit or commit(),
    )
    plan.counts(len(data.pool))
    return plan


def _jobs(arguments: argparse.Namespace, plan: Plan) -> list[Job]:
    """Seed by seed, so that a run that is stopped early holds whole pairs."""
    if arguments.seeds < 1 or arguments.jobs < 1:
        raise RunError("--seeds and --jobs must be at least 1")
    if arguments.first_seed < 0:
        raise RunError("--first-seed must be at least 0")
    networks = [plan.settings.network, *arguments.networks]
    jobs = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for network in networks:
            jobs.append(Job(FULL, seed, network))
        for strategy in arguments.strategies:
            jobs.append(Job(strategy, seed, plan.settings.network))
    jobs = list(dict.fromkeys(jobs))  # one may be asked for twice, "full" by its name
    for job in jobs:
        if job.name not in STRATEGIES and job.name != FULL:
            raise RunError(f"there is no strategy {job.name!r}: {', '.join(sorted(STRATEGIES))}")
        _ = job.overrides
    return jobs


def _notes(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """One line a strategy, from the registry."""
    notes = {}
    for row in rows:
        found = STRATEGIES.get(str(row["strategy"]).split("+", 1)[0])
        notes[str(row["strategy"])] = str(getattr(found, "note", "") or "")
    return notes


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _hardware(on_gpu: bool) -> str:
    import torch

    if on_gpu:
        return f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores"
    return hardware()
