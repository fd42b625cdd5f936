"""COCO: images as PNG, and annotations with compressed run-length masks.

One annotation is all of one class on one slice. A label map has classes, not objects: two kidneys
or forty nodules of one class are one mask, and to call each connected region an object would
invent a count that nobody has drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from .formats import About, FileRecord, Slice
from .png import write_image
from .rle import bounding_box, encode
from .spool import Spool

# Masks that no person has looked at measure nothing: of held-out patients they stand apart.
_UNSEEN = "evaluation_unseen"
_SPLITS = ("training", "evaluation", _UNSEEN)


def write(slices: Iterator[Slice], out: Path, about: About) -> Iterator[FileRecord]:
    """Write each slice's image, then ``instances_training.json`` and ``instances_evaluation.json``.

    Where there are any, ``instances_evaluation_unseen.json`` has what is held out and masked by the
    committee alone.
    `file_name` is a path below the export's folder, an image's id the number of its task.
    """
    with ExitStack() as stack:
        spools = {
            (split, part): stack.enter_context(Spool(out / f".{part}-{split}"))
            for split in _SPLITS
            for part in ("images", "annotations")
        }
        tasks: dict[str, list[int]] = {split: [] for split in _SPLITS}
        number = 0
        for piece in slices:
            image = write_image(piece, out)
            yield image
            unseen = piece.split == "evaluation" and piece.made.by == "version"
            part_of = _UNSEEN if unseen else piece.split
            tasks[part_of].append(piece.task_id)
            spools[part_of, "images"].add(_image(piece, image.path))
            for annotation in _annotations(piece, len(about.labels), number):
                number += 1
                spools[part_of, "annotations"].add(annotation)
        for split in _SPLITS:
            if split == _UNSEEN and not tasks[split]:
                continue
            path = f"instances_{split}.json"
            with (out / path).open("wb") as stream:
                head = json.dumps({"info": _info(about, split), **_fixed(about)})
                stream.write(head[:-1].encode())
                for part in ("images", "annotations"):
                    stream.write(f', "{part}": '.encode())
                    spools[split, part].into(stream)
                stream.write(b"}")
            yield FileRecord(path, "annotations", tuple(tasks[split]))


def _info(about: About, split: str) -> dict[str, Any]:
    return {
        "description": f"project {about.project_id}, {split} slices",
        "date_created": about.made_at,
        "year": int(about.made_at[:4]),
        "version": about.version or "",
        "contributor": "",
        "url": "",
    }


def _fixed(about: About) -> dict[str, Any]:
    return {
        "licenses": [],
        "categories": [
            {"id": number, "name": label, "supercategory": ""}
            for number, label in enumerate(about.labels, start=1)
        ],
    }


def _image(piece: Slice, path: str) -> dict[str, Any]:
    """An image's entry; `attributes` are ours, the rest is COCO's."""
    height, width = piece.label_map.shape
    return {
        "id": piece.task_id,
        "file_name": path,
        "height": height,
        "width": width,
        "attributes": {
            **piece.data,  # a team's own keys must not pass for ours
            "split": piece.split,
            "mask_by": piece.made.by,
            "version": piece.made.version,
        },
    }


def _annotations(piece: Slice, classes: int, number: int) -> Iterator[dict[str, Any]]:
    for label in range(1, classes + 1):
        mask = piece.label_map == label
        if not mask.any():
            continue
        number += 1
        yield {
            "id": number,
            "image_id": piece.task_id,
            "category_id": label,
            "iscrowd": 0,
            "area": int(np.count_nonzero(mask)),
            "bbox": bounding_box(mask),
            "segmentation": encode(mask),
        }
