"""Slices and masks of labelled tasks as arrays, kept on this machine between rounds.

A round reads every label; most of them are those of the round before. Label Studio's answer, the
brush code and the picture are decoded once, and again only when Task.changed, the picture's address
or the label config differ. What is kept can be lost at any time: it is then read anew.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..label_studio import Annotation, Task
from ..masks import BrushConfig, LabelMap, MaskError, to_label_map
from .disk import DiskCache

_FORMAT = 4
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Drawn:
    """An annotation whose mask is decoded; of its regions all but the drawing itself is left."""

    annotation: Annotation
    label_map: LabelMap | None  # (H, W); None where it cannot be used
    complaint: str = ""  # why

    @classmethod
    def of(cls, annotation: Annotation, config: BrushConfig, height: int, width: int) -> Drawn:
        """Decode an annotation for a slice of that size in pixels."""
        regions = [
            {name: value for name, value in region.items() if name != "value"}
            if isinstance(region, Mapping)
            else {}  # of an import; to_label_map() complains of it
            for region in annotation.regions
        ]
        light = replace(annotation, regions=regions)
        try:
            return cls(light, to_label_map(annotation.regions, config, height, width))
        except MaskError as error:
            return cls(light, None, str(error))

    # What target_of() reads of an annotation.

    @property
    def id(self) -> int:
        return self.annotation.id

    @property
    def annotator(self) -> int:
        return self.annotation.annotator

    @property
    def updated_at(self) -> str:
        return self.annotation.updated_at

    @property
    def ground_truth(self) -> bool:
        return self.annotation.ground_truth

    def mask(self) -> LabelMap:
        """The label map. Raises MaskError if the annotation cannot be used."""
        if self.label_map is None:
            raise MaskError(self.complaint)
        return self.label_map


@dataclass(frozen=True)
class Slice:
    """A labelled task as arrays."""

    image: Grey  # (H, W) or (H, W, 3)
    drawn: Sequence[Drawn]


class LabelCache:
    """Labelled tasks of one project, in this machine's cache."""

    def __init__(self, folder: Path, server: str, project_id: int, limit_bytes: int) -> None:
        """`folder` and `limit_bytes` are the machine's, whatever else is kept there.

        `server` is Label Studio's address: another one's task of that number is another.
        """
        self._server = server
        self._cache = DiskCache(folder, limit_bytes)
        self._prefix = f"projects/{int(project_id)}/labels"

    def get(self, task: Task, config: BrushConfig) -> Slice | None:
        """A task as it was kept; None if it was not, or has changed since."""
        content = self._cache.get(self._key(task.id))
        return _read(content, self._state(task, config)) if content else None

    def keep(self, task: Task, config: BrushConfig, found: Slice) -> None:
        """Keep a task, if there is room."""
        if self._cache.keeps:
            self._cache.put(self._key(task.id), _written(self._state(task, config), found))

    def forget_others(self, task_ids: Collection[int]) -> None:
        """Remove all tasks but these."""
        self._cache.keep_only(self._prefix, {_name(task_id) for task_id in task_ids})

    def _key(self, task_id: int) -> str:
        return f"{self._prefix}/{_name(task_id)}"

    def _state(self, task: Task, config: BrushConfig) -> str:
        """What must be the same for a kept slice to be the task's own."""
        named = [config.from_name, config.to_name, list(config.labels), sorted(config.other_labels)]
        shown = [_FORMAT, self._server, task.changed, task.data.get(config.image_key), named]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def _name(task_id: int) -> str:
    return f"{int(task_id)}.safetensors"


def _written(state: str, found: Slice) -> bytes:
    arrays: dict[str, npt.NDArray[np.uint8]] = {"image": np.ascontiguousarray(found.image)}
    annotations = []
    for number, drawn in enumerate(found.drawn):
        annotations.append({**asdict(drawn.annotation), "complaint": drawn.complaint})
        if drawn.label_map is not None:
            # Masks shrink to a hundredth; of pictures little would be gained for much time.
            packed = zlib.compress(np.ascontiguousarray(drawn.label_map).tobytes(), 1)
            arrays[f"mask.{number}"] = np.frombuffer(packed, dtype=np.uint8)
    about = json.dumps({"state": state, "annotations": annotations}).encode()
    arrays["about"] = np.frombuffer(about, dtype=np.uint8)
    content = save(arrays)
    return zlib.crc32(content).to_bytes(4, "big") + content


def _read(content: bytes, state: str) -> Slice | None:
    if zlib.crc32(content[4:]) != int.from_bytes(content[:4], "big"):
        return None  # a power cut may leave a file whose content is not all there
    try:
        arrays = load(content[4:])
        about: dict[str, Any] = json.loads(arrays["about"].tobytes())
        if about["state"] != state:
            return None
        image = arrays["image"]
        drawn = []
        for number, fields in enumerate(about["annotations"]):
            complaint = fields.pop("complaint")
            packed = arrays.get(f"mask.{number}")
            mask = None if packed is None else _unpacked(packed, image.shape[:2])
            drawn.append(Drawn(Annotation(**fields), mask, complaint))
        return Slice(image, drawn)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return None  # damaged, or another format's


def _unpacked(packed: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> LabelMap:
    size = int(np.prod(shape))
    stream = zlib.decompressobj()
    found = stream.decompress(packed.tobytes(), size + 1)  # no more than the slice has pixels
    return np.frombuffer(found, dtype=np.uint8).reshape(shape)
