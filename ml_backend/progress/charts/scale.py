"""Values laid over a chart: what is known of them, where they lie, and round ticks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard


@dataclass(frozen=True)
class Scale:
    """A range of values laid over 0 to 100 percent; by their logarithm where they are ratios."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, in percent, kept within the chart."""
        low, high, here = self.low, self.high, value
        if self.logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(max(value, self.low))
        if high <= low:
            return 50.0
        return min(100.0, max(0.0, 100.0 * (here - low) / (high - low)))


def known(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def bounds(interval: Mapping[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    """An interval's mean, low and high; None for what is not known."""
    found = [(interval or {}).get(name) for name in ("mean", "low", "high")]
    mean, low, high = (float(value) if known(value) else None for value in found)
    return mean, low, high


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values within a range, at most about as many as wanted, by steps of 1, 2 or 5."""
    if not (known(low) and known(high)) or high <= low:
        return [low] if known(low) else []
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]
