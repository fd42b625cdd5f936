"""Canaries in and beside the pixels: overlays, unused bits, codec streams, fragments, regions."""

from __future__ import annotations

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

from .corpus import BELOW, PIXELS, SIZE, TABLE, TEXT_OR_DATE, Corpus, table_rows

_SR = UID("1.2.840.10008.5.1.4.1.1.88.11")


def hide_above_bits_stored(words: np.ndarray, nibbles: bytes) -> None:
    """Write one nibble above the 12 stored bits of each of the first pixels, which become 0."""
    words[: len(nibbles)] = np.frombuffer(nibbles, dtype=np.uint8).astype(np.uint16) << 12


def overlays(corpus: Corpus) -> None:
    """Overlays, curves, unused high bits and more pixel bytes than the image has."""
    dataset = corpus.image()
    name = "overlays.dcm"
    for group in (0x6000, 0x6002, 0x601E):
        for element, vr in ((0x22, "LO"), (0x1500, "LO"), (0x3000, "OW"), (0x4000, "LT")):
            corpus.element(dataset, PIXELS, group << 16 | element, vr, name)
    for group in (0x5000, 0x5002):
        for element, vr in (
            (0x22, "LO"),
            (0x30, "SH"),
            (0x40, "SH"),
            (0x3000, "OW"),
            (0x2500, "LO"),
        ):
            corpus.element(dataset, TABLE, group << 16 | element, vr, name)
    words = np.frombuffer(dataset.PixelData, dtype="<u2").copy()
    hide_above_bits_stored(words, corpus.mint.bits(PIXELS, f"{name} bits above Bits Stored"))
    excess = corpus.text(PIXELS, f"{name} bytes after the last pixel").encode()
    dataset.PixelData = words.tobytes() + excess
    corpus.write(dataset, name)


def encapsulated(corpus: Corpus) -> None:
    """Comments inside the codecs' streams, bytes after them, and fragments after the frame."""
    grey8 = np.tile(np.arange(SIZE, dtype=np.uint8) * 4, (SIZE, 1))
    grey16 = grey8.astype(np.uint16) * 16
    streams = (
        ("jpeg", JPEGBaseline8Bit, 8, imagecodecs.jpeg8_encode(grey8), b"\xff\xfe"),
        ("jpeg-lossless", JPEGLosslessSV1, 12,
         imagecodecs.ljpeg_encode(grey16, bitspersample=12), b"\xff\xfe"),
        ("jpeg-ls", JPEGLSLossless, 12, imagecodecs.jpegls_encode(grey16), b"\xff\xfe"),
        ("jpeg-2000", JPEG2000Lossless, 12,
         imagecodecs.jpeg2k_encode(grey16, codecformat="j2k", reversible=True, level=0,
                                   bitspersample=12), b"\xff\x64"),
    )  # fmt: skip
    for name, syntax, bits, stream, marker in streams:
        dataset = corpus.image(bits=bits)
        dataset.file_meta.TransferSyntaxUID = syntax
        comment = corpus.text(PIXELS, f"{name}.dcm comment in the stream").encode()
        start = 2
        if marker == b"\xff\x64":  # a COM of JPEG 2000 comes after SIZ; its Rcom 1 is text
            start = 4 + int.from_bytes(stream[4:6], "big")
            comment = b"\0\1" + comment
        segment = marker + (len(comment) + 2).to_bytes(2, "big") + comment
        if name == "jpeg":
            exif = b"Exif\0\0" + corpus.text(PIXELS, "jpeg.dcm APP1").encode()
            segment += b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        after = corpus.text(PIXELS, f"{name}.dcm bytes after the stream").encode()
        frame = stream[:start] + segment + stream[start:] + after
        dataset.PixelData = _with_fragment(corpus, bytes(frame), name)
        dataset["PixelData"].is_undefined_length = True
        corpus.write(dataset, f"{name}.dcm")
    dataset = corpus.image(bits=8)
    dataset.file_meta.TransferSyntaxUID = RLELossless
    # One segment at byte 64 of literal runs (PS3.5 annex G); a canary in the header's unused rest.
    rows = b"".join(bytes([SIZE - 1]) + row.tobytes() for row in grey8)
    unused = corpus.text(PIXELS, "rle.dcm unused header bytes").encode()
    header = ((1).to_bytes(4, "little") + (64).to_bytes(4, "little") + b"\0" * 8 + unused).ljust(
        64, b"\0"
    )
    frame = header + rows + corpus.text(PIXELS, "rle.dcm bytes after the segment").encode()
    dataset.PixelData = _with_fragment(corpus, bytes(frame), "rle")
    dataset["PixelData"].is_undefined_length = True
    corpus.write(dataset, "rle.dcm")


def _with_fragment(corpus: Corpus, frame: bytes, name: str) -> bytes:
    """The frame encapsulated, with one more fragment after it."""
    extra = corpus.text(PIXELS, f"{name}.dcm extra fragment").encode()
    item = b"\xfe\xff\x00\xe0" + len(extra).to_bytes(4, "little") + extra
    return encapsulate([frame], has_bot=False) + item


def other_images(corpus: Corpus) -> None:
    """Deflated, big endian, an ultrasound loop with a region, and a report without pixels."""
    for name, syntax in (
        ("deflated", DeflatedExplicitVRLittleEndian),
        ("big", ExplicitVRBigEndian),
    ):
        dataset = corpus.image(MRImageStorage, "MR")
        dataset.file_meta.TransferSyntaxUID = syntax
        for tag, vr in list(table_rows().items())[::6]:
            if vr in TEXT_OR_DATE - {"DA", "DT"} and tag not in dataset:
                corpus.element(dataset, TABLE, tag, vr, f"{name}.dcm")
        corpus.write(dataset, f"{name}.dcm")
    dataset = corpus.image(UltrasoundMultiFrameImageStorage, "US", frames=3, colour=True, bits=8)
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 4
    region.RegionLocationMaxX1 = region.RegionLocationMaxY1 = SIZE - 5
    region.TransducerData = corpus.text(BELOW, "us.dcm region TransducerData")
    region.PixelComponentOrganization = 0
    dataset.SequenceOfUltrasoundRegions = Sequence([region])
    dataset.PatientName = corpus.mint.value(TABLE, "us.dcm PatientName", "PN")
    corpus.write(dataset, "us.dcm")
    dataset = corpus.image(_SR, "SR")
    corpus.slices -= 1
    del dataset.PixelData
    content = Dataset()
    content.TextValue = corpus.text(BELOW, "sr.dcm TextValue")
    content.PersonName = corpus.mint.value(BELOW, "sr.dcm PersonName", "PN")
    dataset.ContentSequence = Sequence([content])
    corpus.write(dataset, "sr.dcm")
