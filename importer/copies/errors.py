"""Why a copy cannot be made."""

from __future__ import annotations


class CopyError(ValueError):
    """An instance of which no copy is made; `reason` is a code, never a value of the instance.

    Codes: "sop-class-not-allowed", "identifier-missing", "frame-count", "pixels-mismatch", "bits",
    "palette", "too-large", "not-encodable".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
