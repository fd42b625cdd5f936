"""Label Studio's pixel masks: its brush code, and the PNGs of its bitmask tool.

The brush code is a bit-packed run-length code of RGBA values (@thi.ng/rle-pack). It is written by
``label_studio_sdk.converter.brush``, and read here: what an annotation holds may come from anyone,
and the package's reader takes 60 bytes for each bit and believes whatever size the code claims.
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

BoolMask = npt.NDArray[np.bool_]

_HEADER_BITS = 32 + 5 + 4 * 4  # number of values, word size, four sizes of run lengths
_DAMAGED = "a brush region's code is damaged: draw it again"
_PNG = "data:image/png;base64,"


class MaskError(ValueError):
    """A region or a label config that cannot be used; the message says which and why."""


def encode_rle(mask: npt.NDArray[Any]) -> list[int]:
    """Encode a mask, (H, W) bool, as Label Studio's brush code: a list of bytes.

    Inside is 255 in all four channels: 1 would be an all but invisible alpha.
    Raises MaskError if the mask is not two-dimensional or empty in size.
    """
    from label_studio_sdk.converter import brush

    flat = np.asarray(mask, dtype=bool)
    if flat.ndim != 2 or flat.size == 0:
        raise MaskError(f"a mask must be (H, W) with pixels in it: its shape is {flat.shape}")
    encoded = brush.encode_rle(np.repeat(flat.ravel().astype(np.uint8) * np.uint8(255), 4))
    return [int(byte) for byte in encoded]


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
        raise MaskError(f"a brush region's code does not belong to {width} x {height} pixels")
    alpha: BoolMask = _values(data, count).reshape(height, width, 4)[:, :, 3] > 0
    return alpha


def _values(data: bytes, count: int) -> npt.NDArray[np.uint8]:
    """The values, (count,), of a code with 8 bits a value; they are 0 unless it says otherwise."""
    head = int.from_bytes(data[:7], "big") >> 3  # 53 bits
    if (head >> 16) & 31 != 7:
        raise MaskError(_DAMAGED)
    run_bits = [((head >> shift) & 15) + 1 for shift in (12, 8, 4, 0)]
    values = np.zeros(count, dtype=np.uint8)
    end = len(data) * 8
    data += bytes(8)
    at, done = _HEADER_BITS, 0
    while done < count:
        # 64 bits, of which 57 are ours: a run's head and its value take 27 at most.
        window = int.from_bytes(data[at >> 3 : (at >> 3) + 8], "big") << (at & 7)
        repeated = (window >> 63) & 1
        size = run_bits[(window >> 61) & 3]
        length = ((window >> (61 - size)) & ((1 << size) - 1)) + 1
        at += 3 + size
        bits = 8 if repeated else 8 * length
        if at + bits > end or done + length > count:
            raise MaskError(_DAMAGED)
        if repeated or length == 1:
            value = (window >> (53 - size)) & 255
            if value:
                values[done : done + length] = value
        else:
            first, shift = at >> 3, at & 7
            pairs = np.frombuffer(data, np.uint8, length + 1, first).astype(np.uint16)
            values[done : done + length] = (pairs[:-1] << shift | pairs[1:] >> (8 - shift)) & 255
        at += bits
        done += length
    return values


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
                raise MaskError(f"a bitmask region's PNG is not {width} x {height} pixels large")
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
