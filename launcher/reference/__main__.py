"""``python -m launcher.reference [--check]``: write docs/reference, or see whether it is right."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import COMMAND, FOLDER, stale, write


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 if --check finds a page that differs from the code."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Write the reference in docs/reference from the code."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one differs")
    arguments = parser.parse_args(argv)
    if not arguments.check:
        for path in write():
            print(path)
        return 0
    differ = stale()
    for name in differ:
        print(f"{FOLDER / name} differs from the code: run {COMMAND}", file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
