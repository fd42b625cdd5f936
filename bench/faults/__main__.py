"""``python -m bench.faults``: the command, started again where it may mount a small disk."""

from .cli import main

raise SystemExit(main())
