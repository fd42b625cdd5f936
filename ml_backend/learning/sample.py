"""A part of a long sequence that stands for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """`most` of the items in their order, evenly spread; all of them if they are fewer.

    Slices stand patient by patient: the first ones would be those of few patients.
    """
    spread = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return [items[index] for index in spread]
