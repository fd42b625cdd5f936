"""Errors whose text is the whole story for people."""

DOWN = "Redis cannot be reached: check QUORUM_REDIS_URL"


class JobsError(RuntimeError):
    """Redis cannot be used; the message names the remedy."""


class RoundFailed(RuntimeError):
    """A step ended with an error for people: its text is the whole story."""
