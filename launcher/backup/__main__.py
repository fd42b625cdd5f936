"""``python -m launcher.backup backup|restore …``, for containers, which have no ``./quorum``."""

import sys

from . import COMMANDS

if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
    print("usage: python -m launcher.backup backup|restore …", file=sys.stderr)
    raise SystemExit(2)
raise SystemExit(COMMANDS[sys.argv[1]](sys.argv[2:]))
