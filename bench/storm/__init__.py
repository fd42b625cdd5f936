"""``./quorum bench storm``: thousands of webhooks on the real backend while a round trains.

Events are sent when they are due, whether or not earlier ones were answered, and an answer's time
is counted from the moment its event was due: queueing anywhere is seen, not hidden.
"""

from .cli import main

__all__ = ["main"]
