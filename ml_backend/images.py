"""A task's image as an array."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from .errors import QuorumError

_MAX_PIXELS = 8192 * 8192
_MAX_SCANS = 100  # of a JPEG; each goes over all its pixels. Usual encoders make ten
# What brings a picture upright, by its EXIF orientation (CIPA DC-008, 4.6.5.1); 1 is upright.
_UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise, found by giving them broken files.
_DAMAGED = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    struct.error,
    zlib.error,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    EOFError,
)


class ImageError(QuorumError, ValueError):
    """Bytes that are no usable image; the message says why and the remedy."""


def read_image(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode PNG or JPEG bytes to (H, W) uint8 grey values, or (H, W, 3) uint8 if it has colour.

    A picture whose three channels are equal is a grey one; of 16 bits the upper 8 count, as on the
    browser's screen. It is turned as browsers turn it, by EXIF before the pixels and no other mark.
    Raises ImageError for other formats, damage, more than 8192 x 8192 pixels, or text and scans
    that serve only to wear out whoever reads them.
    """
    # In a JPEG's data 0xFF is followed by 0: this is the marker (ITU T.81 B.1.1.5), or a preview's.
    if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > _MAX_SCANS:
        raise ImageError(f"the image has more than {_MAX_SCANS} scans: save it as PNG")
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as stored:
            if stored.width * stored.height > _MAX_PIXELS:
                raise ImageError(
                    f"the image is too large, {stored.width} x {stored.height} pixels: import it "
                    "smaller, with 8192 x 8192 at most"
                )
            # As the browser shows it, and annotators draw on it.
            turn = _turn(stored)
            image = stored if turn is None else stored.transpose(turn)
            if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut them off
                return (np.asarray(image) >> 8).astype(np.uint8)
            if image.mode in ("1", "L", "LA"):
                return np.asarray(image.convert("L"), dtype=np.uint8)
            colour = np.asarray(image.convert("RGB"), dtype=np.uint8)
            grey = (colour[..., 0] == colour[..., 1]) & (colour[..., 0] == colour[..., 2])
            return np.ascontiguousarray(colour[..., 0]) if grey.all() else colour
    except ImageError:
        raise
    except _DAMAGED:
        raise ImageError("the image is damaged, or neither PNG nor JPEG: import it again") from None


def _turn(stored: Image.Image) -> Image.Transpose | None:
    """What brings a picture upright, asked before its pixels are read; None: it is.

    Not by getexif(), which also heeds XMP, ImageMagick's text in a PNG, and, once the pixels are
    read, EXIF behind them. Browsers heed none of these.
    """
    exif = Image.Exif()
    try:
        exif.load(stored.info.get("exif") or b"")
    except (SyntaxError, ValueError, struct.error):  # Pillow's, for what is no EXIF: no mark
        return None
    return _UPRIGHT.get(exif.get(ExifTags.Base.Orientation))
