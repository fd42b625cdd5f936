"""``python -m bench.active_learning``."""

from . import main

raise SystemExit(main())
