"""Generated slices of several patients, and what a reader draws on each.

A body in cross-section with an organ, and in about half of the slices a lesion inside it. Slices of
a patient differ little from one another, patients differ much, as in a real series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE_PX = 96
SLICES_A_PATIENT = 50
SPACING_MM = 5.0
LABEL_CONFIG = """\
<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="mask" toName="image">
    <Label value="Organ"/><Label value="Lesion"/>
  </BrushLabels>
</View>
"""
_BACKGROUND, _ORGAN, _LESION = 0, 1, 2
_GREY = np.array([70.0, 130.0, 175.0])
_NOISE = 10.0
_ROWS, _COLUMNS = np.indices((SIDE_PX, SIDE_PX), dtype=np.float32)

LabelMap = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Hand:
    """How someone draws: all radii times `scale`, everything moved by `shift` pixels."""

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


PERFECT = Hand()


def label_map(number: int, hand: Hand = PERFECT) -> LabelMap:
    """What a hand draws on a slice, (SIDE_PX, SIDE_PX): 0 background, 1 organ, 2 lesion."""
    patient, place = divmod(number, SLICES_A_PATIENT)
    body = np.random.default_rng([1, patient])
    own = np.random.default_rng([2, number])
    along = 0.6 + 0.4 * np.sin(np.pi * (place + 0.5) / SLICES_A_PATIENT)  # thin at both ends
    centre = (body.uniform(0.42, 0.58, 2) + own.normal(0, 0.01, 2)) * SIDE_PX
    radii = body.uniform(0.2, 0.3, 2) * along * SIDE_PX
    drawn = np.zeros((SIDE_PX, SIDE_PX), dtype=np.uint8)
    drawn[_ellipse(centre, radii, hand)] = _ORGAN
    if own.random() < 0.5:
        inside = centre + own.uniform(-0.4, 0.4, 2) * radii
        drawn[_ellipse(inside, own.uniform(0.2, 0.35, 2) * radii, hand)] = _LESION
    return drawn


def _ellipse(
    centre: npt.NDArray[np.float64], radii: npt.NDArray[np.float64], hand: Hand
) -> npt.NDArray[np.bool_]:
    row, column = centre + np.array(hand.shift)
    height, width = radii * hand.scale
    within: npt.NDArray[np.bool_] = (
        np.hypot((_ROWS - row) / height, (_COLUMNS - column) / width) <= 1
    )
    return within


def png(number: int) -> bytes:
    """The slice as annotators see it: grey values with noise, air around the body."""
    drawn = label_map(number)
    patient = number // SLICES_A_PATIENT
    bright = np.random.default_rng([3, patient]).uniform(0.8, 1.2)
    noise = np.random.default_rng([4, number]).normal(0, _NOISE, drawn.shape)
    body = np.hypot(_ROWS / SIDE_PX - 0.5, _COLUMNS / SIDE_PX - 0.5) < 0.47
    grey = np.where(body, bright * _GREY[drawn], 8.0) + noise
    # Fewer grey levels than 256: the noise alone would make each file three times as large.
    coarse = (np.clip(grey, 0, 255) / 8).astype(np.uint8) * np.uint8(8)
    content = BytesIO()
    Image.fromarray(coarse).save(content, "PNG")
    return content.getvalue()


def task_data(number: int, address: str) -> dict[str, Any]:
    """A task's data as the importer would write it."""
    patient, place = divmod(number, SLICES_A_PATIENT)
    return {
        "image": address,
        "slice": f"s{number:05d}",
        "patient": f"p{patient:03d}",
        "series": f"p{patient:03d}-1",
        "slice_position_mm": place * SPACING_MM,
    }


def number_in(data: Mapping[str, Any]) -> int:
    """A slice's number, from its task's data."""
    return int(str(data["slice"])[1:])
