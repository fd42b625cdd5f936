"""``python -m bench.campaign``."""

from . import main

raise SystemExit(main())
