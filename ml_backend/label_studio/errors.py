"""What can go wrong between Quorum and Label Studio."""

from __future__ import annotations

from ..errors import QuorumError


class LabelStudioError(QuorumError, RuntimeError):
    """Label Studio is down, refuses, or lacks what was asked; the message names the remedy."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LabelStudioDown(LabelStudioError):
    """Label Studio does not answer, or renews no bearer: no task is to blame."""
