"""Stored values to what a person looks at: rescaled, windowed, 8 bits, upright, square pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from dicom.functional_groups import attribute, frame_value

from .windows import AUTO, HEADER, Window, apply, automatic, choose, lookup_table

Pixels = npt.NDArray[Any]
Rendered = npt.NDArray[np.uint8]

# Pixels whose sides differ less than this are shown as they are.
_SQUARE_WITHIN = 0.01
_MAX_STRETCH = 8.0


def render(pixels: Pixels, dataset: Dataset, frame: int = 0, window: str = HEADER) -> Rendered:
    """One frame's stored values as displayed: (H, W) uint8, or (H, W, 3) uint8 for colour.

    Modality LUT, then the window or VOI LUT (PS3.3 C.11.1 and C.11.2), else percentiles without
    padding; MONOCHROME1 is inverted (C.7.6.3.1.2). Colour frames must be RGB or PALETTE COLOR.
    Raises ValueError for another shape or an unknown window.
    """
    interpretation = str(attribute(dataset, "PhotometricInterpretation") or "")
    if interpretation == "PALETTE COLOR":
        colour = apply_color_lut(pixels, dataset)[..., :3]  # a fourth is the alpha palette's
        return _eight_bits(colour, bits=_palette_bits(colour, dataset))
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return _eight_bits(pixels, bits=int(dataset.get("BitsStored", 8)))
    if pixels.ndim != 2:
        raise ValueError("a frame must be (H, W) or (H, W, 3)")
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    chosen = choose(window, dataset, frame)
    invert = interpretation == "MONOCHROME1"
    padding = _padding_range(dataset)
    has_lut = bool(
        attribute(dataset, "ModalityLUTSequence")
        or (chosen is None and window != AUTO and frame_value(dataset, "VOILUTSequence", frame))
    )
    if has_lut or pixels.dtype.kind not in "iu" or pixels.dtype.itemsize > 2:
        return _by_values(pixels, dataset, frame, chosen, window, invert, padding)
    slope, intercept = _rescale(dataset, frame)
    if chosen is None:
        values, counts = _histogram(pixels, padding)
        chosen = automatic(values * slope + intercept, counts)
    table = _table(pixels.dtype.str, slope, intercept, chosen, invert, padding)
    ramp = _ramp(pixels.dtype.str, slope, intercept, chosen, invert, padding)
    if ramp is not None:
        return ramp.applied(pixels)
    return np.take(table, pixels.view(np.dtype(f"u{pixels.dtype.itemsize}")))


def square(image: Rendered, dataset: Dataset, frame: int = 0) -> Rendered:
    """The image with its coarser side stretched, so that a circle looks like a circle.

    PS3.3 C.7.6.3.1.7 (PixelAspectRatio) and 10.7.1.3 (PixelSpacing, which wins).
    """
    ratio = _aspect(dataset, frame)
    if abs(ratio - 1) <= _SQUARE_WITHIN or not 1 / _MAX_STRETCH <= ratio <= _MAX_STRETCH:
        return image
    rows, columns = image.shape[:2]
    size = (columns, round(rows * ratio)) if ratio > 1 else (round(columns / ratio), rows)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _aspect(dataset: Dataset, frame: int) -> float:
    """A pixel's height by its width."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        value = frame_value(dataset, keyword, frame)
        try:
            height, width = (float(part) for part in value)
        except (TypeError, ValueError):
            continue
        if height > 0 and width > 0 and math.isfinite(height / width):
            return height / width
    return 1.0


def _rescale(dataset: Dataset, frame: int) -> tuple[float, float]:
    numbers = []
    for keyword, otherwise in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        value = frame_value(dataset, keyword, frame)
        try:
            number = float(value) if value is not None else otherwise
        except (TypeError, ValueError):
            number = otherwise
        numbers.append(number if math.isfinite(number) else otherwise)
    return numbers[0] or 1.0, numbers[1]


@lru_cache(maxsize=32)
def _table(
    dtype: str,
    slope: float,
    intercept: float,
    window: Window,
    invert: bool,
    padding: tuple[int, int] | None,
) -> Rendered:
    """What each stored value is shown as, (2^bits,) uint8, indexed by its unsigned bits.

    A series shares it: one look-up a pixel instead of three operations in floating point.
    """
    stored = _all_values(dtype)
    shown = apply(stored * slope + intercept, window)
    if invert:
        shown = np.uint8(255) - shown
    if padding is not None:
        shown[(stored >= padding[0]) & (stored <= padding[1])] = 0
    return shown


@dataclass(frozen=True)
class _Ramp:
    """Stored values to grey values by one multiplication, between two ends."""

    low: int  # stored values
    high: int
    gain: float
    offset: float

    def applied(self, pixels: Pixels) -> Rendered:
        """(H, W) integers as displayed, (H, W) uint8."""
        between = np.clip(pixels, self.low, self.high)
        return np.asarray(cv2.convertScaleAbs(between, alpha=self.gain, beta=self.offset), np.uint8)


@lru_cache(maxsize=32)
def _ramp(
    dtype: str,
    slope: float,
    intercept: float,
    window: Window,
    invert: bool,
    padding: tuple[int, int] | None,
) -> _Ramp | None:
    """The ramp that shows every stored value as _table() does, three times as fast; else None."""
    table = _table(dtype, slope, intercept, window, invert, padding)
    stored = _all_values(dtype)
    kind = np.dtype(dtype)
    if kind.itemsize != 2 or window.function == "SIGMOID" or not window.high > window.low:
        return None
    span = window.high - window.low
    gain, offset = 255 * slope / span, 255 * (intercept - window.low) / span
    if invert:
        gain, offset = -gain, 255 - offset
    if not (gain and math.isfinite(gain) and math.isfinite(offset)):
        return None
    ends = sorted((-offset / gain, (255 - offset) / gain))
    limits = np.iinfo(kind)
    # Within half a grey value of the ends nothing is below 0 in a way that rounding does not heal.
    low, high = (int(np.clip(v, limits.min, limits.max)) for v in (ends[0], math.ceil(ends[1])))
    ramp = _Ramp(low, high, gain, offset)
    every = stored.astype(kind).reshape(256, 256)
    return ramp if np.array_equal(ramp.applied(every).ravel(), table) else None


def _all_values(dtype: str) -> npt.NDArray[np.float64]:
    """Every value of an integer type in the order of its unsigned bits, (2^bits,)."""
    kind = np.dtype(dtype)
    unsigned = np.arange(2 ** (8 * kind.itemsize), dtype=f"u{kind.itemsize}")
    return unsigned.view(kind).astype(np.float64)


def _histogram(
    pixels: Pixels, padding: tuple[int, int] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The stored values that occur outside padding, and how often."""
    bits = pixels.view(np.dtype(f"u{pixels.dtype.itemsize}"))
    counts = np.bincount(bits.ravel(), minlength=1)
    values = _all_values(pixels.dtype.str)[: len(counts)]
    occurs = counts > 0
    if padding is not None:
        occurs &= (values < padding[0]) | (values > padding[1])
    return values[occurs], counts[occurs]


def _by_values(
    pixels: Pixels,
    dataset: Dataset,
    frame: int,
    window: Window | None,
    name: str,
    invert: bool,
    padding: tuple[int, int] | None,
) -> Rendered:
    """The slow way: tables of the instance's own, wide integers and floating point."""
    outside = None
    if padding is not None:
        outside = (pixels >= padding[0]) & (pixels <= padding[1])
    signed = pixels.dtype.kind != "u"
    modality = attribute(dataset, "ModalityLUTSequence")
    if modality:
        table = lookup_table(modality, signed=signed)
        if table is None:
            raise ValueError("the modality LUT makes no sense")
        values, signed = table.applied(pixels).astype(np.float64), False
    else:
        slope, intercept = _rescale(dataset, frame)
        values = pixels.astype(np.float64) * slope + intercept
        signed = signed or slope < 0 or intercept < 0
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    if window is None and name != AUTO:
        table = lookup_table(frame_value(dataset, "VOILUTSequence", frame), signed=signed)
        if table is not None:
            values, window = table.applied(values).astype(np.float64), table.window
    if window is None:
        window = automatic(values if outside is None else values[~outside])
    image = apply(values, window)
    if invert:
        image = np.uint8(255) - image
    if outside is not None:
        image[outside] = 0
    return image


def _padding_range(dataset: Dataset) -> tuple[int, int] | None:
    """Stored values outside the scanned field (PS3.3 C.7.5.1.1.2)."""
    value = attribute(dataset, "PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = attribute(dataset, "PixelPaddingRangeLimit")
    signed = attribute(dataset, "PixelRepresentation") == 1
    ends = (value, limit if isinstance(limit, int) else value)
    low, high = sorted(_as_stored(end, signed) for end in ends)
    return low, high


def _as_stored(word: int, signed: bool) -> int:
    """A 16-bit word signed as the pixels are: files write 63536 (US) for -2000, and the reverse."""
    if signed and 0x8000 <= word < 0x10000:
        return word - 0x10000
    return word + 0x10000 if not signed and word < 0 else word


def _palette_bits(colour: Pixels, dataset: Dataset) -> int:
    """Bits of a palette's entries: 8 where each is a word with an empty high byte, as some write
    them (PS3.3 C.7.6.3.1.5), whatever their descriptor says.
    """
    if colour.dtype.itemsize == 1 or int(colour.max()) > 0xFF:
        return 8 * colour.dtype.itemsize
    every = np.arange(-0x8000, 0x10000)  # whatever a pixel can be
    return 8 if int(apply_color_lut(every, dataset)[..., :3].max()) <= 0xFF else 16


def _eight_bits(colour: Pixels, bits: int) -> Rendered:
    shift = max(0, bits - 8)
    return np.clip(colour >> shift, 0, 255).astype(np.uint8)
