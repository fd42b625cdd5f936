"""Where text stands in an image: a text detector at several scales, and the cheap filter.

The detector is PP-OCRv4's (DBNet, arXiv:1911.08947), whose weights come inside the package
rapidocr_onnxruntime; nothing is recognised, so no text is ever held in memory as text.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .boxes import Box, grown, inside, lines_of
from .strokes import cheap_boxes, grey, stroke_edges

__all__ = ["OcrMissingError", "cheap_boxes", "ocr_boxes", "text_boxes"]

_MODEL = "models/ch_PP-OCRv4_det_infer.onnx"
# Up to this size letters of 10 px need doubling; larger images are read as they are and halved.
_DOUBLE_UP_TO_PX = 1_600_000
# Read in tiles, which bounds memory; one with fewer edges than four small letters is left out.
_TILE_PX, _OVERLAP_PX, _FEWEST_EDGES = 768, 96, 16
# The detector's own thresholds: probability of a pixel, mean of a line.
_PIXEL, _LINE = 0.3, 0.5
# DBNet learns shrunk lines; this gives the area back (`unclip_ratio`).
_UNCLIP = 1.6
_ENDS = 0.4
# What a line of text is not: flatter or higher than this, nearly square, or without strokes.
# Letters of any size have as many edges side by side, so a line's edges in a column of pixels grow
# with its height.
_LOWEST_PX, _HIGHEST_PX = 5, 96
_LONGER_THAN_HIGH = 1.5
_EDGES_PER_COLUMN, _EDGES_PER_PIXEL = 1.0, 1 / 16
_STROKE_CONTRAST, _EDGE_CONTRAST = 20, 25


class OcrMissingError(RuntimeError):
    """The text detector is not installed; the message names the package."""


def text_boxes(image: NDArray[np.uint8]) -> tuple[Box, ...]:
    """All boxes of both detectors in an (H, W) or (H, W, 3) uint8 image, upright and sideways.

    Film labels and cassette markers stand upright or lie, and are few and large: one scale is
    enough for those that lie. Raises OcrMissingError.
    """
    height, width = image.shape[:2]
    turned = np.ascontiguousarray(np.rot90(image))
    scale = 1.5 if height * width <= _DOUBLE_UP_TO_PX else 0.75
    lying = ocr_boxes(turned, scales=(scale,)) + cheap_boxes(turned)
    return (
        *ocr_boxes(image),
        *cheap_boxes(image),
        *((c0, width - r1, c1, width - r0) for r0, c0, r1, c1 in lying),
    )


def ocr_boxes(image: NDArray[np.uint8], scales: tuple[float, ...] = ()) -> tuple[Box, ...]:
    """Lines of text that the detector sees in an (H, W) or (H, W, 3) RGB uint8 image.

    Without `scales` at 1 and 2, or at 0.5 and 1 for more than 1.6 million pixels. Lines are at
    most 96 px high. Raises OcrMissingError without the package.
    """
    _session()  # without it nothing is known of the image, however empty
    height, width = image.shape[:2]
    if min(height, width) < _LOWEST_PX:
        return ()
    if not scales:
        scales = (1.0, 2.0) if height * width <= _DOUBLE_UP_TO_PX else (0.5, 1.0)
    bright, dark = stroke_edges(grey(image), _STROKE_CONTRAST, _EDGE_CONTRAST)
    edges = cv2.max(bright, dark)
    found: list[Box] = []
    for scale in scales:
        words = [box for box in _words(image, edges, scale) if box[2] - box[0] <= _HIGHEST_PX]
        for line in lines_of(words):
            box = inside(line, height, width)
            if box and _is_text(box, edges):
                # Half a letter more: the first and the last are the least certain.
                ends = round(_ENDS * min(box[2] - box[0], box[3] - box[1]))
                rows, columns = (0, ends) if box[3] - box[1] > box[2] - box[0] else (ends, 0)
                longer = inside(grown(box, rows, columns), height, width)
                found.append(longer or box)
    return tuple(dict.fromkeys(found))


def _is_text(box: Box, edges: Any) -> bool:
    row0, column0, row1, column1 = box
    high, long = row1 - row0, column1 - column0
    if high > long:  # written upwards or downwards
        high, long = long, high
    if not _LOWEST_PX <= high <= _HIGHEST_PX or long < _LONGER_THAN_HIGH * high:
        return False
    count = np.count_nonzero(edges[row0:row1, column0:column1])
    return bool(count >= max(_EDGES_PER_COLUMN, _EDGES_PER_PIXEL * high) * long)


def _words(image: NDArray[np.uint8], edges: Any, scale: float) -> list[Box]:
    """Boxes in pixels of the image, from the image at this scale, tile by tile."""
    height, width = image.shape[:2]
    # The network halves its input five times.
    rows, columns = (max(32, round(n * scale / 32) * 32) for n in (height, width))
    resized = cv2.resize(
        np.ascontiguousarray(image),
        (columns, rows),
        interpolation=cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA,
    )
    picture = cv2.cvtColor(resized, cv2.COLOR_GRAY2BGR if resized.ndim == 2 else cv2.COLOR_RGB2BGR)
    down, across = height / rows, width / columns
    found: list[Box] = []
    for top, bottom in _tiles(rows):
        for left, right in _tiles(columns):
            below = edges[int(top * down) : int(bottom * down) + 1,
                          int(left * across) : int(right * across) + 1]  # fmt: skip
            if np.count_nonzero(below) < _FEWEST_EDGES:
                continue
            for row0, column0, row1, column1 in _components(
                _detect(picture[top:bottom, left:right])
            ):
                found.append(
                    (
                        int((top + row0) * down) - 1,
                        int((left + column0) * across) - 2,
                        int(np.ceil((top + row1) * down)) + 1,
                        int(np.ceil((left + column1) * across)) + 2,
                    )
                )
    return found


def _tiles(length: int) -> list[tuple[int, int]]:
    """Starts and ends of the fewest tiles, alike in size, that overlap and cover the length."""
    count = max(1, -(-(length - _OVERLAP_PX) // (_TILE_PX - _OVERLAP_PX)))
    size = -(-(length + (count - 1) * _OVERLAP_PX) // count)
    size = min(length, -(-size // 32) * 32)
    starts = [round(n * (length - size) / max(1, count - 1)) for n in range(count)]
    return [(start, start + size) for start in starts]


def _components(probability: NDArray[np.float32]) -> list[tuple[float, float, float, float]]:
    """Upright rectangles around connected probable pixels, grown by DBNet's rule."""
    mask = (probability > _PIXEL).astype(np.uint8)
    count, labels, places, _ = cv2.connectedComponentsWithStats(mask)
    found = []
    for label in range(1, count):
        x, y, w, h, _ = (int(n) for n in places[label])
        if min(w, h) < 3:
            continue
        window = (slice(y, y + h), slice(x, x + w))
        if probability[window][labels[window] == label].mean() < _LINE:
            continue
        margin = w * h * _UNCLIP / (2 * (w + h))
        found.append((y - margin, x - margin, y + h + margin, x + w + margin))
    return found


def _detect(tile: Any) -> NDArray[np.float32]:
    """Probability of text (H, W) for an (H, W, 3) BGR uint8 tile, both multiples of 32."""
    session = _session()
    values = tile.astype(np.float32) / 127.5 - 1
    batch = np.ascontiguousarray(values.transpose(2, 0, 1)[None])
    (output,) = session.run(None, {session.get_inputs()[0].name: batch})
    probability: NDArray[np.float32] = np.asarray(output, dtype=np.float32)[0, 0]
    return probability


@lru_cache(maxsize=1)
def _session() -> Any:
    """The model, loaded once a process; on one thread, since the importer runs one process a core.

    Raises OcrMissingError.
    """
    # The package's own code is not run: the file of weights is all that is needed of it.
    spec = find_spec("rapidocr_onnxruntime")
    try:
        onnxruntime: Any = import_module("onnxruntime")
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        raise OcrMissingError("text detection needs the package rapidocr-onnxruntime")
    model = Path(spec.origin).parent / _MODEL
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Freed after each image: sizes differ, and a worker's memory is limited.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(
            str(model), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own classes are not public
        raise OcrMissingError(
            "the model inside rapidocr-onnxruntime cannot be loaded: install release 1.4.4"
        ) from error
