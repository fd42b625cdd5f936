"""``./quorum bench faults``: what is left of the loop's promises when machines fail under it."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench faults``; its exit status."""
    from .cli import main as run

    return run(argv)
