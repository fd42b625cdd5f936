"""An object's bytes to a data set and its frames, quoting nothing.

pydicom's exceptions, warnings and logs quote values: they are caught or silenced here, and a reason
code takes their place.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels import convert_color_space, iter_pixels
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from .limits import Limits

Pixels = npt.NDArray[Any]


class DecodeError(Exception):
    """An object that cannot be used; `reason` is a code, never a value of the object."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log lines, which quote values, from anyone's screen or log."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    mode, config.settings.reading_validation_mode = (
        config.settings.reading_validation_mode,
        config.IGNORE,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
        config.settings.reading_validation_mode = mode


def parse(content: bytes, limits: Limits | None = None) -> Dataset | None:
    """The data set in an object's bytes; None if it is not DICOM.

    Raises DecodeError("damaged" | "too-large").
    """
    has_preamble = content[128:132] == b"DICM"
    try:
        if has_preamble:
            _check_deflated(content, limits or Limits())
        dataset = dcmread(io.BytesIO(content), force=not has_preamble)
        usable = bool(dataset.get("SOPClassUID"))
    except DecodeError:
        raise
    except Exception:  # whatever pydicom meets in hostile bytes, its text may quote them
        if has_preamble:
            raise DecodeError("damaged") from None
        return None
    if not usable and has_preamble and not dataset.get("DirectoryRecordSequence"):
        raise DecodeError("damaged")
    return dataset if usable else None


def _check_deflated(content: bytes, limits: Limits) -> None:
    """Refuse a deflated data set that unfolds beyond the limit, before pydicom inflates it."""
    stream = io.BytesIO(content)
    read_preamble(stream, False)
    meta = _read_file_meta_info(stream)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflater.decompress(content[stream.tell() :], limits.inflated_bytes)
    if inflater.unconsumed_tail:
        raise DecodeError("too-large")


def frames(dataset: Dataset, limits: Limits | None = None) -> Iterator[Pixels]:
    """The frames' stored values, (H, W) or (H, W, 3) RGB, decoded one at a time.

    Raises DecodeError("damaged-pixels" | "too-large").
    """
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        count = int(dataset.get("NumberOfFrames") or 1)
        bits = int(dataset.BitsAllocated)
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
    except Exception:
        raise DecodeError("damaged-pixels") from None
    limits = limits or Limits()
    if count > limits.frames or rows * columns > limits.frame_pixels or bits > 64:
        raise DecodeError("too-large")
    codec = _codec(syntax)
    produced = 0
    try:
        source = (
            (
                _own(codec, frame, dataset)
                for frame in generate_frames(dataset.PixelData, number_of_frames=count)
            )
            if codec
            else iter_pixels(dataset)
        )
        for pixels in source:
            if pixels.shape[:2] != (rows, columns):
                raise DecodeError("damaged-pixels")
            produced += 1
            yield pixels
    except (DecodeError, GeneratorExit):
        raise
    except Exception:
        raise DecodeError("damaged-pixels") from None
    if produced != count:
        raise DecodeError("damaged-pixels")


def _codec(syntax: UID) -> Any:
    """imagecodecs' decoder where pydicom would want a GPL one or has none; None otherwise."""
    if syntax in JPEGLSTransferSyntaxes:
        return imagecodecs.jpegls_decode
    if syntax in JPEGTransferSyntaxes:
        return imagecodecs.jpeg_decode
    if syntax in JPEG2000TransferSyntaxes:
        return imagecodecs.jpeg2k_decode
    return None


def _own(codec: Any, encoded: bytes, dataset: Dataset) -> Pixels:
    """Decode a frame with imagecodecs: signedness and colour stay ours."""
    # A DICOM frame is padded to even length; imagecodecs turns YBR into RGB for JPEG by itself.
    pixels = np.asarray(codec(encoded))
    if pixels.ndim == 2:
        stored = int(dataset.BitsStored)
        unsigned = pixels.astype(np.uint32) & np.uint32((1 << stored) - 1)
        if int(dataset.get("PixelRepresentation", 0)):
            sign = 1 << (stored - 1)
            return ((unsigned.astype(np.int64) ^ sign) - sign).astype(np.int32)
        return unsigned.astype(np.uint16 if stored <= 16 else np.uint32)
    return pixels


def to_rgb(pixels: Pixels, dataset: Dataset) -> Pixels:
    """A colour frame as RGB, whatever it was stored as; grey frames are returned as they are."""
    interpretation = str(dataset.get("PhotometricInterpretation", ""))
    if (
        pixels.ndim == 3
        and interpretation.startswith("YBR_FULL")
        and not _codec(UID(dataset.file_meta.TransferSyntaxUID))
    ):
        return convert_color_space(pixels, interpretation, "RGB")
    return pixels
