"""``./quorum bench crowd``: a crowd of annotators labels against the real Label Studio and Redis.

Nobody pauses for a round: annotators take, draw and submit while the loop retrains, drafts and
reorders beside them. Every request is recorded with its times, and the recording is then checked.
"""

from .cli import main

__all__ = ["main"]
