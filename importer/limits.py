"""What one object or archive may cost: hostile input meets these before it meets memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

_PREFIX = "QUORUM_IMPORT_"


class LimitsError(ValueError):
    """A limit in the environment is no positive number; the message names the variable."""


@dataclass(frozen=True)
class Limits:
    """Each can be set as QUORUM_IMPORT_ and its name in capitals, QUORUM_IMPORT_SECONDS=300."""

    object_bytes: int = 2 * 2**30
    inflated_bytes: int = 2**29  # a deflated data set: pydicom takes several times that
    archive_members: int = 200_000
    archive_bytes: int = 64 * 2**30
    archive_ratio: int = 200  # a CT's empty air shrinks by 20 to 50
    archive_nesting: int = 2
    frames: int = 20_000
    frame_pixels: int = 16384 * 16384
    memory_bytes: int = 4 * 2**30  # of one worker, beyond what its libraries take
    seconds: float = 120.0  # of one object, at most this and
    seconds_per_megabyte: float = 2.0
    seconds_per_megapixel: float = 10.0  # that was decoded; read for text it takes about 1

    def timeout_s(self, size_bytes: int) -> float:
        """How long an object of some size may take before its worker is killed."""
        return self.seconds + self.seconds_per_megabyte * size_bytes / 2**20

    def frame_s(self, pixels: int) -> float:
        """How much longer it may take for each frame that is decoded; small ones count as 1 Mpx."""
        return self.seconds_per_megapixel * max(1.0, pixels / 1e6)

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> Limits:
        """The limits, some of them set in the environment. Raises LimitsError."""
        given: dict[str, float] = {}
        for limit in fields(Limits):
            name = _PREFIX + limit.name.upper()
            if name not in environment:
                continue
            try:
                number = float(environment[name])
                given[limit.name] = number if isinstance(limit.default, float) else int(number)
            except (ValueError, OverflowError):
                given[limit.name] = 0
            if not given[limit.name] > 0:
                raise LimitsError(f"{name} must be a number above 0")
        return Limits(**given)  # type: ignore[arg-type]
