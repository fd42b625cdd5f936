"""COCO's compressed run-length code of a mask (cocodataset/cocoapi, common/maskApi.c).

Runs go down the columns and begin with background; from the third on each is kept as what it
differs from the run before the last, in 5 bits a character with a sixth that says "more follows".
Written here, for it is 30 lines, and read by pycocotools in the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..masks.arrays import BoolMask


def encode(mask: BoolMask) -> dict[str, Any]:
    """A mask, (H, W), as COCO has it: {"size": [H, W], "counts": text}.

    Raises ValueError if it is not two-dimensional.
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask must be (H, W): its shape is {mask.shape}")
    return {"size": [int(n) for n in mask.shape], "counts": _compressed(runs(mask))}


def runs(mask: BoolMask) -> npt.NDArray[np.int64]:
    """Lengths of the runs down the columns; the first is background's, and may be 0."""
    flat = mask.ravel(order="F")
    if not flat.size:
        return np.zeros(0, dtype=np.int64)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    lengths = np.diff(edges).astype(np.int64)
    return np.concatenate([[0], lengths]) if flat[0] else lengths


def _compressed(lengths: npt.NDArray[np.int64]) -> str:
    values = lengths.copy()
    values[3:] -= lengths[1:-2]
    code = bytearray()
    for value in values.tolist():
        more = True
        while more:
            low = value & 31
            value >>= 5
            more = value != (-1 if low & 16 else 0)
            code.append((low | 32 if more else low) + 48)
    return code.decode("ascii")


def bounding_box(mask: BoolMask) -> list[float]:
    """[x, y, width, height] of a mask, (H, W), in pixels; zeros if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return [0.0, 0.0, 0.0, 0.0]
    x, y = int(columns[0]), int(rows[0])
    return [float(x), float(y), float(columns[-1] - x + 1), float(rows[-1] - y + 1)]
