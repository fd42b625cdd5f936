"""``python -m bench.latency``."""

from . import main

raise SystemExit(main())
