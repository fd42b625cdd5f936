"""Label Studio's own tasks with brush masks, which another Label Studio imports.

A mask that people made becomes an annotation; one that is the committee's becomes a prediction of
its version, so that nobody takes it for a person's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..masks import to_regions
from .config_keys import completed
from .formats import About, FileRecord, Slice
from .png import write_image
from .spool import Spool

# Of one file of tasks: Label Studio reads a file whole, and takes 250 MB at most.
_TASKS, _BYTES = 1000, 50 * 10**6
# Where the images lie for Label Studio: below its document root for local files, by default.
FOLDER = "/data/local-files/?d=quorum-{project}"


def write(slices: Iterator[Slice], out: Path, about: About) -> Iterator[FileRecord]:
    """Write images, ``tasks-001.json`` and on, and ``label_config.xml`` for the new project."""
    number, size = 0, 0
    held: list[int] = []
    spool: Spool | None = None
    try:
        for piece in slices:
            image = write_image(piece, out)
            yield image
            if spool is None:
                number += 1
                spool, size, held = Spool(out / f".tasks-{number:03d}"), 0, []
            size += spool.add(_task(piece, image.path, about))
            held.append(piece.task_id)
            if len(held) == _TASKS or size > _BYTES:
                yield _closed(spool, out, number, held)
                spool = None
        if spool is not None:
            yield _closed(spool, out, number, held)
            spool = None
    finally:
        if spool is not None:
            spool.__exit__(None, None, None)
    (out / "label_config.xml").write_text(about.label_config, encoding="utf-8")
    yield FileRecord("label_config.xml", "other")


def _closed(spool: Spool, out: Path, number: int, held: list[int]) -> FileRecord:
    path = f"tasks-{number:03d}.json"
    with spool, (out / path).open("wb") as stream:
        spool.into(stream)
    return FileRecord(path, "annotations", tuple(held))


def _task(piece: Slice, path: str, about: About) -> dict[str, Any]:
    folder = FOLDER.format(project=about.project_id)
    regions = to_regions(piece.label_map, about.config)
    address = f"{folder}/{path}"
    data = completed(piece.data, about.label_config, address)
    task: dict[str, Any] = {
        "data": {**data, about.config.image_key: address},
        "meta": {
            "split": piece.split,
            "made": piece.made.as_json(),
            "consensus": piece.consensus,
            "agreement": piece.agreement,
        },
    }
    if piece.made.by == "version":
        task["predictions"] = [{"result": regions, "model_version": piece.made.version}]
    else:
        task["annotations"] = [{"result": regions, "ground_truth": piece.ground_truth}]
    return task
