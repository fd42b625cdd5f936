"""Errors whose text is the whole story for people."""

from __future__ import annotations

from ..errors import QuorumError

DOWN = "Redis cannot be reached: check QUORUM_REDIS_URL"


class JobsError(QuorumError, RuntimeError):
    """Redis cannot be used; the message names the remedy."""


class RoundFailed(QuorumError, RuntimeError):
    """A step ended with an error for people: its text is the whole story."""
