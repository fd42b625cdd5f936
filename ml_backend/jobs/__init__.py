"""Rounds as RQ work: who asks, what is queued, what a worker runs.

Truth lies in Label Studio and in the store. Redis holds four things of a project: whether a look is
asked for, whether a round waits, the round that runs, and the errands of people. A reconcile brings
back the first three and the annotating of the rest if they are lost.
"""

from .errors import JobsError, RoundFailed
from .names import HEAVY, QUICK
from .queue import Jobs

__all__ = ["HEAVY", "QUICK", "Jobs", "JobsError", "RoundFailed"]
