"""What of planted identity survives, tool beside tool.

``./quorum bench privacy``: a corpus with a canary in every place that can hold identity goes
through the importer and through other de-identifiers, and every byte that comes out is searched.
Exits with 1 if a canary survives our importer, or if it left out a sound image.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from launcher import CLONE

from . import peers
from .canaries import Canary
from .planted import PLACES, Planted, plant, survivors

_OURS = "Quorum: PNG, tasks, copies, logs"


@dataclass(frozen=True)
class Row:
    """One tool: how many canaries of each kind of place survived, and what it made."""

    tool: str
    survived: dict[str, int]
    came_out: int  # objects that it converted
    files_per_s: float | None
    where: tuple[str, ...]  # the first survivors, by place; never their values


def ours(planted: Planted, work: Path, many: Path | None) -> tuple[Row, int]:
    """The importer as a command, with DICOM copies and without: its row, and how many slices.

    `many` is a folder for its speed, of which nothing is searched.
    """
    out, keys, temporary, data = (work / name for name in ("out", "keys", "tmp", "data"))
    for folder in (temporary, data):
        folder.mkdir(parents=True)

    def command(source: Path, out: Path, *options: str, copies: bool = True) -> bytes:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "launcher", "import", str(source), "--out", str(out)),
                *("--key", str(keys / "key"), *options),
                *(["--dicom-out", str(out / "dicom")] if copies else []),
                *("--quarantine", str(work / "quarantine"), "--burned-in", "off"),
            ],
            cwd=CLONE,
            env=os.environ | {"TMPDIR": str(temporary), "QUORUM_DATA_DIR": str(data)},
            capture_output=True,
            check=False,
        )
        return done.stdout + done.stderr

    said = command(planted.folder, out)
    # Without copies another reader takes the headers apart.
    said += command(planted.folder, work / "bare", copies=False)
    # Again, told as JSON: now all is known already. And dry: what would stay behind, by name.
    said += command(planted.folder, out, "--json")
    said += command(planted.folder, work / "dry", "--dry-run")
    found = survivors(planted, out, work / "bare", keys, temporary, data, said)
    try:
        slices = len(json.loads((out / "tasks.json").read_text()))
    except (OSError, ValueError):
        slices = 0
    copies = sum(path.is_file() for path in (out / "dicom").rglob("*"))
    many = many if slices else None  # to refuse everything is fast
    speed = _files_per_s(many, lambda many: command(many, work / "many", "--workers", "1"))
    return _row(_OURS, found, copies, speed), slices


def theirs(
    peer: peers.Peer, planted: Planted, work: Path, environments: Path, many: Path | None
) -> Row:
    """Another tool over the same corpus; what it says on a terminal is searched as well."""
    python = peers.install(peer, environments)
    out, temporary, elsewhere = work / "out", work / "tmp", work / "many"
    for folder in (out, temporary, elsewhere):
        folder.mkdir(parents=True)
    run = peers.run(peer, python, planted.folder, out, temporary)
    found = survivors(planted, out, temporary, run.said)
    speed = _files_per_s(many, lambda many: peers.run(peer, python, many, elsewhere, temporary))
    return _row(peer.name, found, run.converted, speed)


def _files_per_s(many: Path | None, convert: Callable[[Path], object]) -> float | None:
    """Files a second of one process, from its start to its end; None if not asked for."""
    if many is None:
        return None
    started = time.perf_counter()
    convert(many)
    return sum(path.is_file() for path in many.rglob("*")) / (time.perf_counter() - started)


def _row(tool: str, found: Sequence[Canary], came_out: int, files_per_s: float | None) -> Row:
    survived = Counter(canary.place for canary in found)
    return Row(
        tool,
        {place: survived[place] for place in PLACES},
        came_out,
        round(files_per_s, 1) if files_per_s else None,
        tuple(canary.where for canary in found[:40]),
    )


def table(rows: Sequence[Row], planted: Planted) -> str:
    """Surviving / planted for each tool and kind of place, as Markdown."""
    total = Counter(canary.place for canary in planted.canaries)
    head = ["tool", *PLACES, "objects out", "files/s"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [f"{row.survived[place]}/{total[place]}" for place in PLACES]
        cells += [
            f"{row.came_out}/{planted.files}",
            f"{row.files_per_s:.0f}" if row.files_per_s else "–",
        ]
        lines.append(f"| {row.tool} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench privacy``; its exit status."""
    parser = argparse.ArgumentParser(prog="quorum bench privacy", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the canaries (%(default)s)")
    parser.add_argument("--no-peers", action="store_true", help="our importer alone")
    parser.add_argument(
        "--corpora", type=int, default=8, help="further ones, for files/s; 0: none (%(default)s)"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args(argv)
    data = Path(os.environ.get("QUORUM_DATA_DIR") or CLONE / ".quorum")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        planted = plant(work / "corpus", arguments.seed)
        many = work / "speed" if arguments.corpora else None
        for number in range(arguments.corpora):
            plant(work / "speed" / str(number), arguments.seed + 1 + number)
        print(
            f"{len(planted.canaries)} canaries in {planted.files} objects, seed {arguments.seed}",
            flush=True,
        )
        row, slices = ours(planted, work / "ours", many)
        rows = [row]
        for number, peer in enumerate(() if arguments.no_peers else peers.PEERS):
            try:
                its = work / f"peer-{number}"
                rows.append(theirs(peer, planted, its, data / "bench" / "peers", many))
            except RuntimeError as error:
                print(f"quorum bench privacy: {error}", file=sys.stderr)
        print(table(rows, planted))
        print(f"{slices} slices imported, {planted.slices} in sound images")
        for where in row.where:
            print(f"survived: {where}")
        if arguments.json:
            figures = {
                "seed": arguments.seed,
                "planted": Counter(canary.place for canary in planted.canaries),
                "slices": slices,
                "sound_slices": planted.slices,
                "tools": [asdict(each) for each in rows],
            }
            arguments.json.write_text(json.dumps(figures, indent=1))
    return 1 if any(row.survived.values()) or slices < planted.slices else 0


if __name__ == "__main__":
    raise SystemExit(main())
