"""Rounds as RQ work: who asks, what is queued, what a worker runs.

Truth lies in Label Studio and in the store. Redis holds three things of a project that a reconcile
brings back if they are lost: whether a look is asked for, whether a round waits, and the round
that runs.
"""

from .queue import HEAVY, QUICK, Jobs, JobsError, RoundFailed

__all__ = ["HEAVY", "QUICK", "Jobs", "JobsError", "RoundFailed"]
