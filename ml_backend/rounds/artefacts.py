"""What steps hand to one another through the store, as bytes: safetensors and JSON, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..gathering import LabelledSet
from ..pool import Draft

Array = npt.NDArray[Any]


class ArtefactError(ValueError):
    """An artefact cannot be read; it is to be made again."""


def from_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Arrays by name as safetensors."""
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def to_arrays(content: bytes) -> dict[str, Array]:
    """Arrays by name. Raises ArtefactError if the content is damaged."""
    try:
        arrays: dict[str, Array] = load(content)
    except (SafetensorError, ValueError, KeyError):
        raise ArtefactError("an artefact of the round is damaged") from None
    return arrays


def from_value(value: Any) -> bytes:
    """A JSON-able value as bytes."""
    return json.dumps(value).encode()


def to_value(content: bytes) -> Any:
    """The value that from_value() was given. Raises ArtefactError if the content is damaged."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ArtefactError("an artefact of the round is damaged") from None


def from_labelled(labelled: LabelledSet) -> bytes:
    """A labelled set, images at their own sizes, as bytes."""
    arrays: dict[str, Array] = {"task_ids": np.array(labelled.task_ids, dtype=np.int64)}
    pairs = zip(labelled.images, labelled.label_maps, strict=True)
    for index, (image, label_map) in enumerate(pairs):
        arrays[f"image.{index}"] = image
        arrays[f"label_map.{index}"] = label_map
    about = from_value(
        {
            "groups": labelled.groups,
            "fingerprint": labelled.fingerprint,
            "spacings": labelled.spacings,
        }
    )
    arrays["about"] = np.frombuffer(about, dtype=np.uint8)
    return from_arrays(arrays)


def to_labelled(content: bytes) -> LabelledSet:
    """The labelled set that from_labelled() was given. Raises ArtefactError if it is damaged."""
    arrays = to_arrays(content)
    if not {"about", "task_ids"} <= arrays.keys():
        raise ArtefactError("an artefact of the round is damaged")
    about = to_value(arrays["about"].tobytes())
    ids = [int(task_id) for task_id in arrays["task_ids"]]
    count = range(len(ids))
    return LabelledSet(
        ids,
        [arrays[f"image.{index}"] for index in count],
        [arrays[f"label_map.{index}"] for index in count],
        about["groups"],
        about["fingerprint"],
        spacings=[tuple(each) if each else None for each in about.get("spacings", ())],
    )


def from_drafts(drafts: Mapping[int, Draft]) -> bytes:
    """Compressed drafts by task id as bytes."""
    ids = list(drafts)
    pieces = [drafts[task_id].packed for task_id in ids]
    return from_arrays(
        {
            "ids": np.array(ids, dtype=np.int64),
            "shapes": np.array([drafts[i].shape for i in ids], dtype=np.int64).reshape(-1, 2),
            "ends": np.cumsum([len(piece) for piece in pieces], dtype=np.int64),
            "bytes": np.frombuffer(b"".join(pieces), dtype=np.uint8),
        }
    )


def to_drafts(content: bytes) -> dict[int, Draft]:
    """The drafts that from_drafts() was given. Raises ArtefactError if they are damaged."""
    arrays = to_arrays(content)
    every, start = arrays["bytes"].tobytes(), 0
    drafts = {}
    rows = zip(*(arrays[name].tolist() for name in ("ids", "shapes", "ends")), strict=True)
    for task_id, (height, width), end in rows:
        drafts[task_id] = Draft((height, width), every[start:end])
        start = end
    return drafts
