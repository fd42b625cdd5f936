"""A task's image as an array."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

_MAX_PIXELS = 8192 * 8192


class ImageError(ValueError):
    """Bytes that are no usable image; the message says why and the remedy."""


def read_grey(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode PNG or JPEG bytes to (H, W) uint8 grey values.

    Raises ImageError for other formats, damage, or more than 8192 x 8192 pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ImageError(f"the image has {image.width} x {image.height} pixels: too large")
            return np.asarray(image.convert("L"), dtype=np.uint8)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError):
        raise ImageError("the image is damaged, or neither PNG nor JPEG: import it again") from None
