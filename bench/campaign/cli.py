"""Command line of ``./quorum bench campaign``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_backend.settings import Settings

from ..pages import write_section
from .loops import Campaign
from .tables import section
from .times import PAPER, Times, TimesError, measure

_TIMES = Path(__file__).parent / "times.json"
# 10,000 predictions of 512 x 512 stored in 28 s (SQLite), and a pause of 0.05 s every 100.
_SERVER_S_PER_SLICE = 0.0033


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print the tables, write them into a page; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    try:
        if arguments.measure:
            times = measure(Settings(), _SERVER_S_PER_SLICE)
        else:
            times = Times.read(arguments.times)
        if arguments.keep:
            times.write(arguments.keep)
        campaign = Campaign(
            labels=arguments.labels,
            minutes=arguments.minutes,
            spread=arguments.spread,
            draft_saving=arguments.draft_saving,
            k=arguments.k,
            due_after=arguments.due_after or arguments.k,
            pool=arguments.pool,
        )
        if arguments.seeds < 1 or min(arguments.annotators) < 1:
            raise TimesError("--seeds and --annotators must be at least 1")
        body = section(
            campaign,
            {"the paper's": PAPER, "measured": times},
            arguments.annotators,
            arguments.seeds,
            shlex.join(["./quorum", "bench", "campaign", *words]),
        )
        print(body)
        if arguments.page:
            write_section(arguments.page, "campaign", body)
    except ValueError as error:
        print(f"quorum bench campaign: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quorum bench campaign", description=__doc__, allow_abbrev=False
    )
    settings = Settings()
    add = parser.add_argument
    add("--labels", type=int, default=50, help="slices to label (%(default)s)")
    add("--minutes", type=float, default=5.0, help="mean time for one (%(default)s)")
    add("--spread", type=float, default=0.5,
        help="standard deviation of the time's logarithm (%(default)s)")  # fmt: skip
    add("--draft-saving", type=float, default=0.0, metavar="SHARE",
        help="share of the time that a draft saves (%(default)s: none)")  # fmt: skip
    add("--annotators", type=int, nargs="+", default=[1, 5, 20], metavar="N")
    add("--k", type=int, default=settings.k, help="slices a batch (%(default)s)")
    add("--due-after", type=int, default=0, help="new labels that start a round (k)")
    add("--pool", type=int, default=2000, help="slices in the project (%(default)s)")
    add("--seeds", type=int, default=20, help="simulations of each (%(default)s)")
    add("--times", type=Path, default=_TIMES, metavar="FILE",
        help="seconds of a round's steps: of --keep, or of "
        "./quorum demo --simulate --rounds N --json FILE")  # fmt: skip
    add("--measure", action="store_true", help="measure train, score and drafts here and now")
    add("--keep", type=Path, metavar="FILE", help="file for the times that were used")
    add("--page", type=Path, help="page whose section is replaced")
    return parser
