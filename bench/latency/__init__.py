"""``./quorum bench latency``: milliseconds that /predict takes, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench latency``; its exit status."""
    from .cli import main as run

    return run(argv)
