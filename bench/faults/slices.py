"""A small project's slices: rings with a core, each with its known label map."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

COUNT = 20
SIDE_PX = 64
LABEL_CONFIG = """\
<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="mask" toName="image"><Label value="Wall"/><Label value="Core"/></BrushLabels>
</View>
"""
_PER_PATIENT = 2


def label_map(number: int) -> npt.NDArray[np.uint8]:
    """What a perfect annotator draws, (SIDE_PX, SIDE_PX): 0 background, 1 wall, 2 core."""
    generator = np.random.default_rng([1, number])
    centre = generator.uniform(0.35, 0.65, 2) * SIDE_PX
    radii = generator.uniform(0.18, 0.32, 2) * SIDE_PX
    rows, columns = np.indices((SIDE_PX, SIDE_PX))
    distance = np.hypot((rows - centre[0]) / radii[0], (columns - centre[1]) / radii[1])
    inner = generator.uniform(0.4, 0.7)
    return np.where(distance > 1, 0, np.where(distance > inner, 1, 2)).astype(np.uint8)


def png(number: int) -> bytes:
    """The slice as annotators see it."""
    noise = np.random.default_rng([2, number]).normal(0, 12, (SIDE_PX, SIDE_PX))
    grey = np.array([40, 150, 100])[label_map(number)] + noise
    content = BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def task_data(number: int, url: str) -> dict[str, Any]:
    """A task's data as the importer would write it."""
    return {"image": url, "slice": f"s{number:02d}", "patient": f"p{number // _PER_PATIENT:02d}"}


def number_in(data: dict[str, Any]) -> int:
    """A slice's number, from its task's data."""
    return int(str(data["slice"])[1:])
