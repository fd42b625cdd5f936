"""Stored values to what a person looks at: rescaled, windowed, 8 bits, as a bare PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

Pixels = npt.NDArray[Any]
Rendered = npt.NDArray[np.uint8]

# Without a window, the brightest and darkest half percent are metal, air and noise.
_PERCENTILES = (0.5, 99.5)


def render(pixels: Pixels, dataset: Dataset) -> Rendered:
    """One frame's stored values as displayed: (H, W) uint8, or (H, W, 3) uint8 for colour.

    Modality LUT, then VOI LUT or the first window (PS3.3 C.11.1 and C.11.2), else the 0.5 to 99.5
    percentiles without padding; MONOCHROME1 is inverted (C.7.6.3.1.2). Colour frames must be RGB
    or PALETTE COLOR. Raises ValueError for another shape.
    """
    interpretation = str(dataset.get("PhotometricInterpretation", ""))
    if interpretation == "PALETTE COLOR":
        colour = apply_color_lut(pixels, dataset)
        return _eight_bits(colour, bits=8 * colour.dtype.itemsize)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return _eight_bits(pixels, bits=int(dataset.get("BitsStored", 8)))
    if pixels.ndim != 2:
        raise ValueError("a frame must be (H, W) or (H, W, 3)")
    padding = _padding(pixels, dataset)
    values = np.asarray(apply_modality_lut(pixels, dataset), dtype=np.float64)
    lowest, highest = _window(pixels, values, dataset, padding)
    if lowest is None or highest is None:  # a VOI LUT, which is no window
        values = np.asarray(apply_voi_lut(values.astype(pixels.dtype), dataset), dtype=np.float64)
        lowest, highest = float(values.min()), float(values.max())
    scaled = (values - lowest) / max(highest - lowest, 1e-9) * 255.0
    image: Rendered = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    if interpretation == "MONOCHROME1":
        image = np.uint8(255) - image
    if padding is not None:
        image[padding] = 0
    return image


def to_png(image: Rendered) -> bytes:
    """A PNG of the pixels alone: no text, time or profile chunk."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def _window(
    pixels: Pixels, values: npt.NDArray[np.float64], dataset: Dataset, padding: Any
) -> tuple[float | None, float | None]:
    """Values shown as black and white; (None, None) if a VOI LUT maps them instead."""
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if center is not None and width is not None and width > 1:
        # The ends of the linear function of PS3.3 C.11.2.1.2.1.
        return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    if dataset.get("VOILUTSequence"):
        return None, None
    shown = values if padding is None else values[~padding]
    if shown.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(shown, _PERCENTILES)
    return float(low), float(high if high > low else low + 1)


def _padding(pixels: Pixels, dataset: Dataset) -> npt.NDArray[np.bool_] | None:
    """Pixels outside the scanned field (PS3.3 C.7.5.1.1.2), None if there are none."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    padding: npt.NDArray[np.bool_] = (pixels >= low) & (pixels <= high)
    return padding if padding.any() else None


def _first(value: Any) -> float | None:
    try:
        if value is None:
            return None
        number = float(value if isinstance(value, str | int | float) else value[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def _eight_bits(colour: Pixels, bits: int) -> Rendered:
    shift = max(0, bits - 8)
    return np.clip(colour >> shift, 0, 255).astype(np.uint8)
