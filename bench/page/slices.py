"""Slices that are made up: something like a liver in a body, what is drawn in it, and a draft."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

LABELS = ("Liver", "Tumour", "Vessel")
SIDE_PX = 256


def drawn(task_id: int) -> tuple[Grey, Grey, Grey]:
    """A slice, its label map, and a draft of it; (H, W) uint8 each."""
    generator = np.random.default_rng(task_id)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX - 0.5

    def ellipse(y: float, x: float, height: float, width: float, turn: float = 0.0) -> Any:
        down, right = rows - y, columns - x
        along, across = (
            right * np.cos(turn) + down * np.sin(turn),
            down * np.cos(turn) - right * np.sin(turn),
        )
        wobble = 1 + 0.06 * np.sin(3 * np.arctan2(across, along) + 6 * generator.random())
        return (along / width) ** 2 + (across / height) ** 2 < wobble

    body = ellipse(0, 0, 0.36, 0.46)
    y, x = generator.uniform(-0.1, 0.02), generator.uniform(-0.22, -0.12)
    liver = ellipse(y, x, 0.17, 0.22, generator.uniform(-0.5, 0.2)) & body
    spots = [
        ellipse(y + dy, x + dx, r, r * 1.2)
        for dy, dx, r in generator.uniform((-0.07, -0.1, 0.015), (0.07, 0.1, 0.05), (2, 3))
    ]
    tumour = (spots[0] if task_id % 3 else np.zeros_like(body)) & liver
    vessel = (ellipse(y, x + 0.08, 0.014, 0.09, generator.uniform(-1, 1)) | spots[1]) & liver
    spine = ellipse(0.2, 0, 0.08, 0.07)
    grain = generator.normal(0, 4, (SIDE_PX // 2, SIDE_PX // 2)).repeat(2, 0).repeat(2, 1)
    brightness = (
        8.0 + 82 * body + 46 * liver - 34 * tumour + 40 * (vessel & ~tumour) + 96 * (spine & body)
    )
    image = np.clip(brightness + grain * (0.3 + 0.7 * body), 0, 255).astype(np.uint8)
    label_map = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    for index, mask in enumerate((liver, tumour, vessel & ~tumour), start=1):
        label_map[mask] = index
    dy, dx = (int(n) for n in generator.integers(-5, 6, 2))
    return image, label_map, np.roll(label_map, (dy, dx), axis=(0, 1))
