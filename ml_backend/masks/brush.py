"""Label Studio's pixel masks: its brush code, and the PNGs of its bitmask tool.

The brush code is a bit-packed run-length code of RGBA values (@thi.ng/rle-pack): 32 bits for the
number of values, 5 for the size of a value and 4 for each of four sizes of lengths; then runs. A
run is a bit that says whether one value is repeated, 2 bits for which size its length has, the
length less 1, and the value, or as many values as the length says. ``label_studio_sdk`` reads and
writes it too, through strings of bits, and believes whatever size a code claims; what an annotation
holds may come from anyone.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import QuorumError
from .arrays import BoolMask
from .brush_reading import DamagedCode, read_alpha
from .brush_writing import encoded

_DAMAGED = "a brush region's code is damaged: draw it again"
_GIGAPIXEL = 2**30  # of four values each: a code has 32 bits for their number
_PNG = "data:image/png;base64,"


class MaskError(QuorumError, ValueError):
    """A region or a label config that cannot be used; the message says which and why."""


def encode_rle(mask: npt.NDArray[Any]) -> list[int]:
    """Encode a mask, (H, W) bool, as Label Studio's brush code: a list of bytes.

    Inside is 255 in all four channels: 1 would be an all but invisible alpha.
    Raises MaskError if the mask is not two-dimensional, empty in size, or of a gigapixel.
    """
    pixels = np.asarray(mask, dtype=bool)
    if pixels.ndim != 2 or not 0 < pixels.size < _GIGAPIXEL:
        raise MaskError(f"a mask must be (H, W) with pixels in it: its shape is {pixels.shape}")
    return list(encoded(pixels.ravel()))


def decode_rle(rle: object, height: int, width: int) -> BoolMask:
    """Decode Label Studio's brush code, a list of bytes, to a mask (height, width) bool.

    Any alpha above 0 is inside, as in Label Studio's own export: the editor anti-aliases a
    stroke's rim. What an eraser took away is missing from the code already. Time and memory are
    bounded by the mask's size. Raises MaskError if the code is damaged or of another size.
    """
    count = height * width * 4
    # Not whatever bytes() takes: of a number it would make as many zeros.
    if not isinstance(rle, list | tuple | bytes) or len(rle) < 8:
        raise MaskError("a brush region's code is too short to be one: draw it again")
    if len(rle) > 4 * count + 64:  # one value takes 27 bits with its run's head, at most
        raise MaskError(_DAMAGED)
    try:
        data = bytes(rle)
    except (TypeError, ValueError):
        raise MaskError(_DAMAGED) from None
    if int.from_bytes(data[:4], "big") != count:
        raise MaskError(
            f"a brush region's code does not belong to {width} x {height} pixels: draw it again"
        )
    try:
        return read_alpha(data, height * width).reshape(height, width)
    except DamagedCode:
        raise MaskError(_DAMAGED) from None


def encode_bitmask(mask: npt.NDArray[Any]) -> str:
    """Encode a mask, (H, W) bool, as the PNG of a bitmask region, a data URL.

    Inside is opaque. Raises MaskError if the mask is not two-dimensional or empty in size.
    """
    inside = np.asarray(mask, dtype=bool)
    if inside.ndim != 2 or not inside.size:
        raise MaskError(f"a mask must be (H, W) with pixels in it: its shape is {inside.shape}")
    pixels = np.zeros((*inside.shape, 4), np.uint8)
    pixels[inside] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return _PNG + base64.b64encode(stream.getvalue()).decode()


def decode_bitmask(url: object, height: int, width: int) -> BoolMask:
    """Decode the PNG of a bitmask region, a data URL, to a mask (height, width) bool.

    Any alpha above 0 is inside, as in the editor. Raises MaskError if it is no such PNG, of
    another size, or has no transparency, for then all of it would be inside.
    """
    longest = 2 * (4 * height * width + 1024)  # base64 of RGBA that did not shrink
    if not isinstance(url, str) or not url.startswith(_PNG) or len(url) > longest:
        raise MaskError("a bitmask region holds no PNG: draw it again")
    try:
        content = base64.b64decode(url[len(_PNG) :], validate=True)
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.size != (width, height):  # known before any pixel is decoded
                raise MaskError(
                    f"a bitmask region's PNG is not {width} x {height} pixels large: draw it again"
                )
            if "A" not in image.getbands() and "transparency" not in image.info:
                raise MaskError("a bitmask region's PNG has no transparency: draw it again")
            alpha: BoolMask = np.asarray(image.convert("RGBA"))[:, :, 3] > 0
    except MaskError:
        raise
    except (
        *(OSError, EOFError, SyntaxError, ValueError, IndexError, TypeError),
        *(struct.error, zlib.error, Image.DecompressionBombError),
    ):
        raise MaskError("a bitmask region's PNG is damaged: draw it again") from None
    return alpha
