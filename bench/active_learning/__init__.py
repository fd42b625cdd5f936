"""``./quorum bench active-learning``: strategies measured through the code that serves users."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench active-learning``; its exit status."""
    from .cli import main as run

    return run(argv)
