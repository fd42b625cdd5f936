"""``./quorum bench round``: where the seconds go between a batch's last annotation and the next.

The demo runs unattended; what its steps, queues and files say of themselves is put on one clock.
"""

from .cli import main

__all__ = ["main"]
