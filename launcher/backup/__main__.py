"""``python -m launcher.backup backup|restore …``, for containers, which have no ``./quorum``."""

import sys

from . import COMMANDS

_USAGE = "usage: python -m launcher.backup backup|restore …; --help after it lists the options"

if sys.argv[1:] in (["-h"], ["--help"]):
    print(_USAGE)
    raise SystemExit(0)
if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
    print(_USAGE, file=sys.stderr)
    raise SystemExit(2)
try:
    raise SystemExit(COMMANDS[sys.argv[1]](sys.argv[2:]))
except KeyboardInterrupt:
    raise SystemExit(130) from None
