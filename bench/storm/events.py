"""Webhook bodies as Label Studio sends them: an annotation with masks, its task, the project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_backend.masks import BrushConfig, to_regions

_MASK_BYTES = 20_000  # of JSON: a brush stroke with a ragged rim on a usual slice
_SIDE_PX = 256
_ID = "0123456789"  # replaced by each event's own number, of as many digits


class Event:
    """An ANNOTATION_CREATED of one project; events differ in the annotation's number alone."""

    def __init__(self, project: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        config = BrushConfig.parse(str(project["label_config"]))
        annotation = {
            "id": int(f"9{_ID}"),
            "result": _regions(config),
            "task": task["id"],
            "project": project["id"],
            "completed_by": 1,
            "created_username": " reader@bench.example, 1",
            "created_at": "2026-01-01T12:00:00.000000Z",
            "updated_at": "2026-01-01T12:00:00.000000Z",
            "was_cancelled": False,
            "ground_truth": False,
            "lead_time": 31.7,
            "prediction": {},
            "result_count": 1,
        }
        body = {
            "action": "ANNOTATION_CREATED",
            "annotation": annotation,
            "task": dict(task),
            "project": dict(project),
        }
        self._before, _, self._after = json.dumps(body).encode().partition(_ID.encode())

    def body(self, number: int) -> bytes:
        """The body of the event with that number."""
        return self._before + str(number).zfill(len(_ID)).encode() + self._after


def _regions(config: BrushConfig) -> list[dict[str, Any]]:
    """A disc whose rim is frayed until its code is as long as a real stroke's."""
    rows, columns = np.indices((_SIDE_PX, _SIDE_PX)) - _SIDE_PX / 2
    radius = np.hypot(rows, columns)
    fray = np.random.default_rng(0).normal(0, 1, radius.shape)
    width_px = 0.0
    regions: list[dict[str, Any]] = []
    while len(json.dumps(regions)) < _MASK_BYTES:
        width_px += 1.0
        drawn = (radius + width_px * fray < _SIDE_PX / 3).astype(np.uint8)
        regions = to_regions(drawn, config)
    return regions
