"""Small pictures of slices with the draft drawn in, for people to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.uint8]

SIDE_PX = 192  # the long side, at most

# Okabe and Ito's colours, which colour-blind people can tell apart (Color Universal Design, 2008),
# without black, and blue last: it is dark on a dark slice.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#F0E442", "#0072B2")
_OPACITY = 0.35
_COVERED = 64  # of 255: how much of a small picture's pixel a mask must cover to be drawn there


def legend(labels: Sequence[str]) -> list[dict[str, str]]:
    """Each class with the colour that it is drawn in, as #RRGGBB; after seven they come again."""
    return [{"name": name, "colour": _colour(n)} for n, name in enumerate(labels)]


def thumbnail(image: Grey, label_map: Grey | None, labels: Sequence[str]) -> bytes:
    """A slice, (H, W) or (H, W, 3) uint8, as a PNG of at most 192 pixels a side.

    The draft, (H, W) uint8 with n for the n-th label, is a veil of its class's colour within an
    outline; None is no draft. After seven classes outlines are dotted. Equal arguments give equal
    bytes, which hold nothing but pixels. Raises ValueError if the draft's shape is not the image's.
    """
    height, width = image.shape[:2]
    if label_map is not None and label_map.shape != (height, width):
        raise ValueError(f"the draft is {label_map.shape}, its image {(height, width)}")
    scale = min(1.0, SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    masks = [] if label_map is None else _masks(label_map, len(labels), size)
    if not masks:
        return _png(small)
    drawn = small if small.ndim == 3 else np.repeat(small[..., np.newaxis], 3, axis=2)
    drawn = drawn.astype(np.float32)
    outlines = []
    for index, mask in masks:
        colour = np.array([int(_colour(index)[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
        drawn[mask] = (1 - _OPACITY) * drawn[mask] + _OPACITY * colour
        outline = mask & ~_within(mask)
        if index >= len(_COLOURS):
            outline &= np.add.outer(np.arange(size[1]), np.arange(size[0])) % 4 < 2
        outlines.append((outline, colour))
    for outline, colour in outlines:
        drawn[outline] = colour
    return _png(drawn.round().astype(np.uint8))


def _masks(
    label_map: Grey, classes: int, size: tuple[int, int]
) -> list[tuple[int, npt.NDArray[np.bool_]]]:
    """Where each class that occurs is drawn in the small picture, by its index from 0."""
    masks = []
    occurs = np.bincount(label_map.ravel(), minlength=256) > 0
    for index in np.flatnonzero(occurs[1 : classes + 1]).tolist():
        whole = Image.fromarray((label_map == index + 1).astype(np.uint8) * np.uint8(255))
        covered = np.asarray(whole.resize(size, Image.Resampling.BOX))
        # A speck that covers no pixel enough is drawn where it covers most.
        masks.append((index, covered >= min(_COVERED, max(1, int(covered.max())))))
    return masks


def _within(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels whose four neighbours are of the mask too; beyond the picture's edge all are."""
    padded = np.pad(mask, 1, mode="edge")
    inside: npt.NDArray[np.bool_] = (
        padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    )
    return inside


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()
