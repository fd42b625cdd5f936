"""A task's image as an array."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

_MAX_PIXELS = 8192 * 8192


class ImageError(ValueError):
    """Bytes that are no usable image; the message says why and the remedy."""


def read_image(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode PNG or JPEG bytes to (H, W) uint8 grey values, or (H, W, 3) uint8 if it has colour.

    A picture whose three channels are equal is a grey one. Raises ImageError for other formats,
    damage, or more than 8192 x 8192 pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as stored:
            if stored.width * stored.height > _MAX_PIXELS:
                raise ImageError(
                    f"the image has {stored.width} x {stored.height} pixels: too large"
                )
            # As the browser shows it, and annotators draw on it.
            image = ImageOps.exif_transpose(stored)
            if image.mode in ("1", "L", "LA", "I", "I;16", "F"):
                return np.asarray(image.convert("L"), dtype=np.uint8)
            colour = np.asarray(image.convert("RGB"), dtype=np.uint8)
            grey = (colour[..., 0] == colour[..., 1]) & (colour[..., 0] == colour[..., 2])
            return np.ascontiguousarray(colour[..., 0]) if grey.all() else colour
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError):
        raise ImageError("the image is damaged, or neither PNG nor JPEG: import it again") from None
