"""Command line of ``./quorum bench faults``: the undisturbed runs, the faults, and the table."""

from __future__ import annotations

import argparse
import json
import math
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .disk import Disk, enter_own_mounts
from .plan import KINDS, Fault, plan


def main(argv: Sequence[str] | None = None) -> int:
    """Run the faults; the exit status: 1 if the system did not recover from one."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    enter_own_mounts(words)
    from demo.crowd import CrowdError
    from launcher.processes import ServiceError, stop_on_signals
    from ml_backend.label_studio import LabelStudioError

    from .project import ProjectError

    stop_on_signals()
    folder = Path(tempfile.mkdtemp(prefix="quorum-faults-"))
    failed = True
    try:
        rows = _run(arguments, folder)
        failed = not all(row["recovered"] for row in rows)
    except (ServiceError, LabelStudioError, CrowdError, ProjectError) as error:
        print(f"quorum bench faults: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("quorum bench faults: stopped", file=sys.stderr)
        return 130
    finally:
        if failed:
            logs = folder / "servers" / "logs"
            if logs.is_dir():
                kept = Path(f"{folder}-logs")
                shutil.move(logs, kept)
                print(f"The servers' logs are in {kept}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def _run(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    from .scenario import confirm, next_project, run
    from .servers import Servers

    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    count = max(arguments.count, (arguments.only or 0) + 1)
    faults = plan(seed, count, arguments.kinds)
    if arguments.only is not None:
        faults = faults[arguments.only :][:1]
    started = time.monotonic()
    servers: Servers | None = None
    disk = Disk(folder / "disk", lambda: servers.writers() if servers else [])
    rows: list[dict[str, Any]] = []
    try:
        servers = Servers(folder / "servers", disk.folder, arguments.workers)
        _say(f"{len(faults)} faults, seed {seed}; full disk: {disk.way}")
        references: dict[tuple[bool, int], Any] = {}
        project = next_project(servers, -1)
        round_s, rounds = 2.0, []
        # Twice the same, for a comparison means something only if undisturbed runs are equal.
        kinds = ["", ""] + (["during", "before"] if any(f.further for f in faults) else [])
        for further in kinds:
            known = references if further == "" and references else {}
            outcome = run(
                project, disk, None, known, round_s, further=further, limit_s=arguments.limit
            )
            project = next_project(servers, -1)
            confirm(outcome)
            outcome.project.remove()
            if not outcome.recovered or outcome.state is None:
                raise _failure(f"an undisturbed run fails: {'; '.join(_reasons(outcome))}")
            if further != "before":
                rounds.append(outcome.round_s)
                round_s = statistics.fmean(rounds[-2:])
            references[(bool(further), outcome.state.number)] = outcome.state
            _say(
                f"undisturbed{', further labels ' + further if further else ''}: "
                f"{outcome.state.current} after {outcome.round_s:.1f} s, "
                f"{outcome.watch.looks if outcome.watch else 0} looks"
            )
        for fault in faults:
            outcome = run(project, disk, fault, references, round_s, limit_s=arguments.limit)
            if outcome.too_late and outcome.round_s < round_s:
                # The machine has become quicker since: the next faults are to fall into a round.
                round_s = (round_s + outcome.round_s) / 2
            if outcome.wrong:
                servers.renew()
            project = next_project(servers, fault.number + 1)
            confirm(outcome)
            rows.append(_row(outcome, fault))
            _say(_line(rows[-1], seed, arguments))
            outcome.project.remove()
    finally:
        if servers:
            servers.stop()
        disk.close()
    report = {
        "seed": seed,
        "workers": arguments.workers,
        "full_disk": disk.way,
        "undisturbed_round_s": round_s,
        "minutes": (time.monotonic() - started) / 60,
        "faults": rows,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    print(_table(report))
    return rows


def _failure(words: str) -> Exception:
    from .project import ProjectError

    return ProjectError(words)


def _reasons(outcome: Any) -> list[str]:
    return [*outcome.wrong, *outcome.halves]


def _row(outcome: Any, fault: Fault) -> dict[str, Any]:
    return {
        **asdict(fault),
        "what": outcome.what,
        "step": outcome.step,
        "recovered": outcome.recovered,
        "recovery_s": round(outcome.recovery_s, 2),
        "labels_lost": outcome.lost,
        "half_versions": outcome.halves,
        "looks": outcome.watch.looks if outcome.watch else 0,
        "topped_up": outcome.topped_up,
        "wrong": outcome.wrong,
    }


def _line(row: dict[str, Any], seed: int, arguments: argparse.Namespace) -> str:
    where = f"at {100 * row['moment']:.0f} % of a round (step: {row['step']})"
    labels = ", labels meanwhile" if row["further"] else ""
    told = f"#{row['number']} {row['kind']} {where}: {row['what']}{labels}"
    if row["recovered"]:
        return f"{told}; recovered in {row['recovery_s']:.1f} s"
    again = f"./quorum bench faults --seed {seed} --only {row['number']}"
    if tuple(arguments.kinds) != KINDS:
        again += f" --kinds {' '.join(arguments.kinds)}"
    reasons = "; ".join([*row["wrong"], *row["half_versions"]])
    return f"{told}; NOT RECOVERED: {reasons}\n    again: {again}"


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"{'kind':<16}{'faults':>7}{'recovered':>11}{'labels lost':>13}{'half versions':>15}"
        f"{'median s':>10}{'max s':>8}"
    ]
    rows = report["faults"]
    for kind in [*KINDS, "all"]:
        chosen = [row for row in rows if kind in (row["kind"], "all")]
        if not chosen:
            continue
        times = [row["recovery_s"] for row in chosen if not math.isnan(row["recovery_s"])]
        lines.append(
            f"{kind:<16}{len(chosen):>7}{sum(row['recovered'] for row in chosen):>11}"
            f"{sum(row['labels_lost'] for row in chosen):>13}"
            f"{sum(len(row['half_versions']) for row in chosen):>15}"
            f"{statistics.median(times):>10.1f}{max(times):>8.1f}"
        )
    steps = Counter(row["step"] for row in rows)
    lines += [
        "Steps hit: " + ", ".join(f"{step} {count}" for step, count in steps.most_common()),
        f"Seed {report['seed']}, {report['workers']} workers, {report['minutes']:.1f} min; an "
        f"undisturbed round takes {report['undisturbed_round_s']:.1f} s from the last label to the "
        f"switch. Full disk: {report['full_disk']}.",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum bench faults",
        description="Kill, fill, hide and lose things at random moments of a round, on a real "
        "Label Studio, Redis, backend and workers, and compare how the project ends with how it "
        "ends undisturbed. Needs about 12 s a fault.",
    )
    parser.add_argument("--count", type=int, default=50, help="faults (%(default)s)")
    parser.add_argument("--seed", type=int, help="of kinds and moments (a random one, printed)")
    parser.add_argument("--only", type=int, help="run the fault of this number alone")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="these kinds only")
    parser.add_argument(
        "--limit",
        type=float,
        default=90.0,
        help="seconds within which a project must have recovered (%(default)s)",
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes (%(default)s)")
    parser.add_argument("--json", type=Path, help="write every fault to this file")
    return parser
