"""``python -m ml_backend.serving``."""

import sys

from . import main

sys.exit(main())
