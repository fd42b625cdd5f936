"""The one base of errors whose text is for people."""

from __future__ import annotations


class QuorumError(Exception):
    """Something a person can mend: the text names it and the remedy, and no traceback is needed.

    Commands print it, rounds show it, and requests answer with it. What is raised by code alone
    (a wrong shape, say) is a ValueError and a fault of ours.
    """
