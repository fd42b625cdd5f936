"""Colour frames of JPEG, JPEG-LS and JPEG 2000 as RGB, whatever they were stored as.

A header says one thing of its three samples and a codestream may say another: JPEG's markers are
what its encoder did, so they win. JPEG 2000 says nothing, but undoes its own transformation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.pixels import convert_color_space

Pixels = npt.NDArray[Any]

_YBR = ("YBR_FULL", "YBR_FULL_422")
_RGB_IDS = (b"RGB", b"rgb")
_APP0, _APP14 = 0xE0, 0xEE
# Start of frame, ITU T.81 table B.1 and (JPEG-LS) T.87 table C.1; of them those without loss.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})


@dataclass(frozen=True)
class _Stream:
    """What a JPEG or JPEG-LS codestream says of itself."""

    frame: int  # its start-of-frame marker
    components: int
    is_rgb: bool | None  # None if it does not say


def decoded(codec: Callable[..., Any], encoded: bytes, interpretation: str) -> Pixels:
    """A frame by one of imagecodecs' decoders, (H, W) or (H, W, 3) RGB.

    interpretation: the header's PhotometricInterpretation (PS3.3 C.7.6.3.1.2).
    Raises whatever the codec raises; ValueError for YBR of more than 8 bits.
    """
    stream = _stream(encoded) if codec is not imagecodecs.jpeg2k_decode else None
    is_rgb = stream.is_rgb if stream else None
    if codec is imagecodecs.jpeg_decode and stream and stream.components == 3:
        if stream.frame not in _LOSSLESS:
            # Lossy JPEG is YBR unless something says RGB; libjpeg is the fastest to convert.
            is_rgb = interpretation == "RGB" if is_rgb is None else is_rgb
            space = "RGB" if is_rgb else "YCBCR"
            return np.asarray(codec(encoded, colorspace=space, outcolorspace="RGB"))
        pixels = np.asarray(codec(encoded, colorspace="RGB", outcolorspace="RGB"))  # as stored
    else:
        pixels = np.asarray(codec(encoded))
    if is_rgb is None:
        is_rgb = interpretation not in _YBR
    return pixels if is_rgb or pixels.ndim != 3 else convert_color_space(pixels, "YBR_FULL", "RGB")


def _stream(encoded: bytes) -> _Stream | None:
    """What the codestream's first markers say; None if it has no frame header.

    In libjpeg's order: JFIF is YBR, Adobe's marker says (ITU T.872 6.5.3), then the components'
    names.
    """
    is_rgb: bool | None = None
    has_jfif = False
    for marker, content in _segments(encoded):
        if marker == _APP0 and content.startswith(b"JFIF\0"):
            is_rgb, has_jfif = False, True
        elif marker == _APP14 and content.startswith(b"Adobe") and len(content) > 11:
            is_rgb = is_rgb if has_jfif else content[11] == 0
        elif marker in _FRAMES and len(content) > 5:
            if is_rgb is None and content[6::3] in _RGB_IDS:
                is_rgb = True
            return _Stream(marker, content[5], is_rgb)
    return None


def _segments(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker segments at the start of a codestream (ITU T.81 B.1.1.4): marker, content."""
    at = 2  # after the start of image
    while at + 4 <= len(encoded) and encoded[at] == 0xFF:
        marker, length = encoded[at + 1], int.from_bytes(encoded[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        yield marker, encoded[at + 4 : at + 2 + length]
        at += 2 + max(2, length)
