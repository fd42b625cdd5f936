"""What a picture hides of its stored values, and what a DICOM copy would show at another window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLACK, _WHITE = 0, 255
# A picture that uses fewer grey values than this is windowed wider than its values reach.
_FEW_GREYS = 128


def hidden_views(stored: NDArray[Any], shown: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """Pictures of the stored values that `shown` makes alike, each uint8 of the shape of `stored`.

    stored: (H, W) or (H, W, 3) integers. shown: the same frame as rendered, before redaction.
    All that is shown black is stretched from black to white in one view, all that is shown white
    in another: values beyond the window, and padding wherever it lies. Colours by palette are
    viewed by their indices, and a flat picture over its whole range. None are made where the
    picture shows neither black nor white, nor of floating point, of which there are no copies.
    """
    if stored.dtype.kind not in "iu":
        return ()
    ends = []
    if stored.shape != shown.shape or int(np.ptp(shown)) < _FEW_GREYS:
        ends.append(_ends(stored))
    if stored.shape == shown.shape:
        ends += [_ends(stored[shown == grey]) for grey in (_BLACK, _WHITE)]
    distinct = dict.fromkeys((low, high) for low, high in ends if low < high)
    return tuple(_stretched(stored, low, high) for low, high in distinct)


def _ends(values: NDArray[Any]) -> tuple[int, int]:
    return (int(values.min()), int(values.max())) if values.size else (0, 0)


def _stretched(values: NDArray[Any], low: int, high: int) -> NDArray[np.uint8]:
    between = np.clip(values, low, high).astype(np.float32)
    between -= low
    between *= 255 / (high - low)
    return np.rint(between, out=between).astype(np.uint8)
