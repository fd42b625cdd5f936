"""Where slices lie in their series, from one end of it to the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .held_out import Unit

_FEWEST = 3  # positions; of fewer none is between the ends


def relative_depths(units: Sequence[Unit]) -> npt.NDArray[np.float64]:
    """Each slice's place in its series, (N,): 0 at its lowest position, 1 at its highest.

    NaN where that is not known: without a series or a position, or in a series of fewer than 3
    different positions.
    """
    depths = np.full(len(units), np.nan)
    series: dict[tuple[str, str], list[int]] = {}
    for index, unit in enumerate(units):
        if unit.series is not None and unit.position_mm is not None:
            series.setdefault((unit.name, unit.series), []).append(index)
    for indices in series.values():
        positions = np.array([units[index].position_mm for index in indices], dtype=np.float64)
        lowest, extent = positions.min(), np.ptp(positions)
        if len(np.unique(positions)) >= _FEWEST:
            depths[indices] = (positions - lowest) / extent
    return depths
