"""``./quorum check [PROJECT…]``: what a deployment needs, tested, with a remedy for each failure.

Each line is a small function in the module of its subject; all are bounded in time, and none of
them shows a token, a password or a secret.
"""

from .cli import main
from .findings import Finding, State
from .run import NAMES, check_all

__all__ = ["NAMES", "Finding", "State", "check_all", "main"]
