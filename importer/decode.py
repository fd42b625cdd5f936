"""An object's bytes to a data set and its frames, quoting nothing.

pydicom's exceptions, warnings and logs quote values: they are caught or silenced here, and a reason
code takes their place.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels import iter_pixels, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from dicom.functional_groups import attribute

from .colour import decoded
from .deadline import earn
from .explicit_vr import quick_read
from .limits import Limits

Pixels = npt.NDArray[Any]

_PLAIN_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF  # length
_OTHER_PIXEL_DATA = (0x7FE00008, 0x7FE00009)  # float, double


class DecodeError(Exception):
    """An object that cannot be used; `reason` is a code, never a value of the object."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse(content: bytes, limits: Limits | None = None, *, whole: bool = True) -> Dataset | None:
    """The data set in an object's bytes; None if it is not DICOM.

    If it need not be `whole`, private elements may be missing: that is several times as fast.
    Raises DecodeError("damaged" | "too-large").
    """
    has_preamble = content[128:132] == b"DICM"
    dataset: Dataset | None = None
    try:
        if not whole:
            dataset = quick_read(content)
        if has_preamble and dataset is None:
            _check_deflated(content, limits or Limits())
        if dataset is None:
            dataset = dcmread(io.BytesIO(content), force=not has_preamble)
            _name_syntax(dataset)
        usable = bool(attribute(dataset, "SOPClassUID"))
    except DecodeError:
        raise
    except Exception:  # whatever pydicom meets in hostile bytes, its text may quote them
        if has_preamble:
            raise DecodeError("damaged") from None
        return None
    if not usable and has_preamble and not dataset.get("DirectoryRecordSequence"):
        raise DecodeError("damaged")
    return dataset if usable else None


def _name_syntax(dataset: Dataset) -> None:
    """Name the transfer syntax of a data set without file meta, as it was read; that of
    encapsulated pixels is not known.
    """
    pixels = dataset.get_item(_PIXEL_DATA)
    if "TransferSyntaxUID" in dataset.file_meta or getattr(pixels, "length", 0) == _UNDEFINED:
        return
    is_implicit, is_little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit


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
        rows, columns = int(attribute(dataset, "Rows")), int(attribute(dataset, "Columns"))
        count = int(attribute(dataset, "NumberOfFrames") or 1)
        bits = int(attribute(dataset, "BitsAllocated"))
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
    except Exception:
        raise DecodeError("damaged-pixels") from None
    limits = limits or Limits()
    if count > limits.frames or rows * columns > limits.frame_pixels or bits > 64:
        raise DecodeError("too-large")
    plain = _plain_frame(dataset, syntax, rows, columns) if bits == 16 and count == 1 else None
    produced = 0
    try:
        for pixels in _each(dataset, syntax, count) if plain is None else [plain]:
            if pixels.shape[:2] != (rows, columns):
                raise DecodeError("damaged-pixels")
            produced += 1
            earn(limits.frame_s(rows * columns))
            yield pixels
    except (DecodeError, GeneratorExit):
        raise
    except Exception:
        raise DecodeError("damaged-pixels") from None
    if produced != count:
        raise DecodeError("damaged-pixels")


def _each(dataset: Dataset, syntax: UID, count: int) -> Iterator[Pixels]:
    """The frames as imagecodecs or pydicom decodes them, grey or RGB."""
    codec = _codec(syntax)
    if codec:
        for encoded in generate_frames(dataset.PixelData, number_of_frames=count):
            yield _own(codec, encoded, dataset)
    elif attribute(dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        # iter_pixels() takes the second frame to be as long as the first became.
        for index in range(count):
            yield pixel_array(dataset, index=index)
    else:
        yield from iter_pixels(dataset)


def _plain_frame(dataset: Dataset, syntax: UID, rows: int, columns: int) -> Pixels | None:
    """The only frame of uncompressed grey 16-bit pixels as pydicom decodes it, which takes ten
    times as long; None for anything else. (rows, columns) uint16 or int16.
    """
    if syntax not in _PLAIN_SYNTAXES:
        return None
    try:
        content = dataset[_PIXEL_DATA].value
        stored = attribute(dataset, "BitsStored")
        signed = attribute(dataset, "PixelRepresentation")
        if (
            any(tag in dataset for tag in _OTHER_PIXEL_DATA)
            or attribute(dataset, "NumberOfFrames") not in (None, 1)
            or attribute(dataset, "SamplesPerPixel") != 1
            or attribute(dataset, "PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2")
            or not isinstance(content, bytes)
            or len(content) != 2 * rows * columns
            or not (rows > 0 and columns > 0 and 0 < stored <= 16)
            or signed not in (0, 1)
        ):
            return None
    except Exception:  # missing, or of a wrong kind: pydicom says what it thinks of that
        return None
    pixels = np.frombuffer(content, dtype="<i2" if signed else "<u2").reshape(rows, columns)
    if stored == 16:
        return pixels
    # What stands above the stored bits is not the pixel's (PS3.5 section 8.1.1).
    unused = 16 - stored
    return (pixels << unused) >> unused


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
    pixels = decoded(codec, encoded, str(attribute(dataset, "PhotometricInterpretation") or ""))
    if pixels.ndim == 2:
        stored = int(dataset.BitsStored)
        unsigned = pixels.astype(np.uint32) & np.uint32((1 << stored) - 1)
        if int(dataset.get("PixelRepresentation", 0)):
            sign = 1 << (stored - 1)
            return ((unsigned.astype(np.int64) ^ sign) - sign).astype(np.int32)
        return unsigned.astype(np.uint16 if stored <= 16 else np.uint32)
    return pixels
