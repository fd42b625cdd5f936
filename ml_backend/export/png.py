"""Images and label maps as PNG: ``images/task-7.png`` and ``masks/task-7.png``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from .formats import About, FileRecord, Slice

IMAGES, MASKS = "images", "masks"
_LEVEL = 3  # of zlib: twice as fast as the usual 6, for files that are a tenth larger


def write(slices: Iterator[Slice], out: Path, about: About) -> Iterator[FileRecord]:
    """Write each slice's image, and its label map as grey values (0 background, n label n)."""
    (out / MASKS).mkdir(parents=True, exist_ok=True)
    for piece in slices:
        yield write_image(piece, out)
        path = f"{MASKS}/{piece.name}.png"
        Image.fromarray(piece.label_map).save(out / path, compress_level=_LEVEL)
        yield FileRecord(path, "mask", (piece.task_id,))


def write_image(piece: Slice, out: Path) -> FileRecord:
    """Write a slice's image as it was drawn on, grey or RGB."""
    (out / IMAGES).mkdir(parents=True, exist_ok=True)
    path = f"{IMAGES}/{piece.name}.png"
    Image.fromarray(piece.image).save(out / path, compress_level=_LEVEL)
    return FileRecord(path, "image", (piece.task_id,))
