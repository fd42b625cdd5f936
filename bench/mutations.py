"""Sound DICOM files made hostile; a seed and an index decide each mutation, so any can be repeated.

Sources are the files inside pydicom's package and the planted corpus, whose canaries tell whether a
damaged header lets identity through.
"""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config, dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from .canaries import Canary

_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.100",
    "1.2.3.4",
)
_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OW PN SH SL SQ SS ST TM UC UI UL UN US UT ZZ"
_LENGTHS = (0, 1, 3, 0xFFFF, 0x7FFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 65537)
_NUMBERS = (0, 1, 2, 3, 7, 9, 13, 17, 31, 32, 64, 255, 4097, 32767, 65535)
_SHORTS = (
    "Rows Columns BitsAllocated BitsStored HighBit SamplesPerPixel PixelRepresentation "
    "PlanarConfiguration SmallestImagePixelValue PixelPaddingValue"
).split()
_TEXTS = (
    "NumberOfFrames WindowCenter WindowWidth RescaleSlope RescaleIntercept PixelSpacing "
    "PixelAspectRatio ImagePositionPatient ImageOrientationPatient SliceThickness "
    "PhotometricInterpretation SpecificCharacterSet Modality ImageType SOPClassUID "
    "SOPInstanceUID SeriesInstanceUID InstanceNumber BodyPartExamined Laterality"
).split()
_ODD_TEXTS = (
    "", "0", "-1", "1A", "1e308", "nan", "inf", "99999999999", "2147483648", "\\", "\\\\\\",
    "PALETTE COLOR", "YBR_FULL_422", "MONOCHROME1", "../../etc/passwd", "\x00", "1\\2\\3\\4\\5\\6",
    "ISO 2022 IR 87", "A" * 70000,
)  # fmt: skip
# SOF and DHT and SOS of JPEG, SOF of JPEG-LS, SIZ, COD, QCD and SOT of JPEG 2000.
_MARKERS = (0xC0, 0xC1, 0xC3, 0xC4, 0xDA, 0xF7, 0x51, 0x52, 0x5C, 0x90)
_MAX_SOURCE_BYTES = 400_000
_BOMB_BYTES = 600 * 2**20
_DEPTH = 3000

Source = tuple[str, bytes]


@dataclass(frozen=True)
class Mutation:
    """One hostile file and how it came about."""

    index: int
    kind: str
    source: str
    content: bytes


def sources(planted: Path) -> list[Source]:
    """Sound files by name: those inside pydicom's package, and a planted corpus."""
    package = Path(pydicom.__file__).parent / "data"
    listed = [*sorted(package.rglob("*")), *sorted(planted.rglob("*"))]
    found = []
    for path in listed:
        if path.is_file() and 200 < path.stat().st_size < _MAX_SOURCE_BYTES:
            content = path.read_bytes()
            if content[128:132] == b"DICM" or content[:4] == b"PK\x03\x04":
                found.append((path.name, content))
    return found


def identifiers(listed: Sequence[Source]) -> list[Canary]:
    """UIDs, names and patient IDs of pydicom's files, long enough not to occur by chance."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in listed:
            try:
                elements = list(dcmread(io.BytesIO(content), force=True).iterall())
            except Exception:  # some of pydicom's files are broken on purpose
                continue
            for element in elements:
                value = str(element.value)
                named = element.VR == "PN" or element.keyword in ("PatientID", "AccessionNumber")
                unique = element.VR == "UI" and value.count(".") > 5 and not _is_public(value)
                if len(value) >= 8 and (unique or named) and value.isascii():
                    found[value] = Canary("pydicom", name, (value.lower().encode(),))
    return list(found.values())


def _is_public(uid: str) -> bool:
    """Whether a UID is DICOM's own or names pydicom, which wrote the copies."""
    return uid.startswith(("1.2.840.10008.", "1.2.826.0.1.3680043.8.498."))


def mutate(listed: Sequence[Source], seed: int, index: int) -> Mutation:
    """The mutation of an index."""
    rng = random.Random(f"{seed}/{index}")
    name, content = rng.choice(listed)
    while not _has_pixels(content) and rng.random() < 0.7:  # decoders are what breaks
        name, content = rng.choice(listed)
    mutator = rng.choices(_MUTATORS, _WEIGHTS)[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changed = mutator(rng, content)
    except Exception:  # pydicom cannot rewrite every file: then its bytes are flipped
        mutator, changed = _flip, _flip(rng, content)
    return Mutation(index, mutator.__name__.strip("_"), name, changed)


def _has_pixels(content: bytes) -> bool:
    """Whether the tag of Pixel Data is in the bytes, of either order."""
    return b"\xe0\x7f\x10\x00" in content or b"\x7f\xe0\x00\x10" in content


def _flip(rng: random.Random, content: bytes) -> bytes:
    """Flip up to 64 bits, half of the times in the header."""
    changed = bytearray(content)
    end = len(changed) if rng.random() < 0.5 else min(len(changed), 3000)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def _splice(rng: random.Random, content: bytes) -> bytes:
    """Remove, repeat or overwrite a stretch, or put random bytes in."""
    start = rng.randrange(len(content))
    length = rng.choice((1, 2, 7, 64, 500, 5000))
    stretch = content[start : start + length]
    rest = content[start + length :]
    middle = rng.choice((b"", stretch * 2, rng.randbytes(length), b"\0" * length, b"\xff" * length))
    return content[:start] + middle + rest


def _element_places(content: bytes) -> list[tuple[int, int]]:
    """Where explicit VR elements with short lengths have their VR, and how long the value is."""
    places: list[tuple[int, int]] = []
    position = 132
    while position + 8 <= len(content) and len(places) < 400:
        vr = content[position + 4 : position + 6]
        if not (vr.isalpha() and vr.isupper()):
            break
        if vr in (b"OB", b"OW", b"OF", b"OD", b"SQ", b"UC", b"UN", b"UR", b"UT"):
            length, header = int.from_bytes(content[position + 8 : position + 12], "little"), 12
        else:
            length, header = int.from_bytes(content[position + 6 : position + 8], "little"), 8
        places.append((position, header))
        if length == 0xFFFFFFFF:  # on into the first item
            position += header + 8
            continue
        position += header + length
    return places


def _element(rng: random.Random, content: bytes) -> bytes:
    """Edit the tag, the VR or the length of one to three elements."""
    changed = bytearray(content)
    places = _element_places(content)
    for position, header in rng.sample(places, min(len(places), rng.choice((1, 1, 3)))):
        what = rng.randrange(4)
        if what == 0:
            changed[position + 4 : position + 6] = rng.choice(_VRS.split())
        elif what == 1 and header == 8:
            length = rng.choice(_LENGTHS) & 0xFFFF
            changed[position + 6 : position + 8] = length.to_bytes(2, "little")
        elif what == 1:
            changed[position + 8 : position + 12] = rng.choice(_LENGTHS).to_bytes(4, "little")
        elif what == 2:
            changed[position : position + 4] = rng.randbytes(4)
        else:  # identity under a tag that an importer may keep
            kept = (0x00180015, 0x00200060, 0x00080060, 0x00280030, 0x00281050, 0x00280004,
                    0x00080008, 0x00185100, 0x00280008, 0x00200013, 0x7FE00010)  # fmt: skip
            tag = rng.choice(kept)
            changed[position : position + 4] = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    return bytes(changed)


def _rewrite(content: bytes, change: Callable[[Any], None]) -> bytes:
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        dataset = dcmread(io.BytesIO(content))
        change(dataset)
        stream = io.BytesIO()
        dcmwrite(stream, dataset, enforce_file_format=False)
        return stream.getvalue()
    finally:
        config.settings.writing_validation_mode = before


def _attribute(rng: random.Random, content: bytes) -> bytes:
    """Give one to four attributes of the image absurd values."""

    def change(dataset: Any) -> None:
        for _ in range(rng.choice((1, 1, 2, 4))):
            if rng.random() < 0.5:
                setattr(dataset, rng.choice(_SHORTS), rng.choice(_NUMBERS))
            else:
                dataset.add_new(rng.choice(_TEXTS), "LO", rng.choice(_ODD_TEXTS))

    return _rewrite(content, change)


def _syntax(rng: random.Random, content: bytes) -> bytes:
    """Name another transfer syntax than the one that the data set is written in."""
    start = 144 + int.from_bytes(content[140:144], "little")
    return _head(rng.choice(_SYNTAXES)) + content[start:]


def _codec(rng: random.Random, content: bytes) -> bytes:
    """Damage the pixel data alone: the codec's markers, sizes and entropy-coded bytes."""
    start = content.rfind(b"\xe0\x7f\x10\x00")
    if start < 0:
        return _flip(rng, content)
    changed = bytearray(content)
    starts = [b"\xff" + bytes([code]) for code in _MARKERS] + [b"\xfe\xff\x00\xe0"]
    markers = [place for mark in starts if (place := content.find(mark, start)) >= 0]
    for _ in range(rng.choice((1, 1, 2, 8))):
        if markers and rng.random() < 0.6:
            place = min(rng.choice(markers) + rng.randrange(2, 40), len(changed) - 1)
        else:
            place = rng.randrange(start + 8, len(changed)) if start + 8 < len(changed) else start
        changed[place] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
    return bytes(changed)


def _head(syntax: str) -> bytes:
    """Preamble and file meta of a transfer syntax, built by hand: pydicom writes no unknown one."""
    elements = b""
    for tag, uid in ((0x02, SecondaryCaptureImageStorage), (0x10, syntax)):
        value = uid.encode() + b"\0" * (len(uid) % 2)
        elements += struct.pack("<HH2sH", 2, tag, b"UI", len(value)) + value
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements))
    return b"\0" * 128 + b"DICM" + length + elements


def _nested(rng: random.Random, content: bytes) -> bytes:
    """Sequences 3,000 deep, of undefined length, ended or not, behind a sound header or alone."""
    sequence = bytes.fromhex("0800 1111") + b"SQ\0\0" + b"\xff" * 4
    item = bytes.fromhex("feff 00e0") + b"\xff" * 4
    ends = (bytes.fromhex("feff 0de0") + b"\0" * 4) + (bytes.fromhex("feff dde0") + b"\0" * 4)
    deep = (sequence + item) * _DEPTH + (ends * _DEPTH if rng.random() < 0.7 else b"")
    if rng.random() < 0.5:
        return _head(ExplicitVRLittleEndian) + deep
    return content + deep


def _deflate_bomb(rng: random.Random, content: bytes) -> bytes:
    """A deflated data set of 600 MB of zeros, or of one element that holds them."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = b""
    if rng.random() < 0.5:
        start = struct.pack("<HH", 0x7FE0, 0x0010) + b"OW\0\0" + struct.pack("<I", _BOMB_BYTES)
    body = deflater.compress(start) + deflater.flush(zlib.Z_FULL_FLUSH)
    million = deflater.compress(b"\0" * 2**20) + deflater.flush(zlib.Z_FULL_FLUSH)
    million_again = deflater.compress(b"\0" * 2**20) + deflater.flush(zlib.Z_FULL_FLUSH)
    body += million + million_again * (_BOMB_BYTES // 2**20 - 1) + deflater.flush()
    return _head(DeflatedExplicitVRLittleEndian) + body


def _zip(rng: random.Random, content: bytes) -> bytes:
    """A zip of the file that is damaged, lies about sizes, bursts, nests or names paths outside."""
    kind = rng.randrange(5)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../outside.dcm" if kind == 1 else "inside.dcm", content)
        if kind == 2:
            archive.writestr("zeros", b"\0" * (40 * 2**20))
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    packed = bytearray(stream.getvalue())
    if kind == 3:
        for _ in range(4):
            outer = io.BytesIO()
            with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("inner.zip", bytes(packed))
            packed = bytearray(outer.getvalue())
    directory = packed.rfind(b"PK\x01\x02")
    if kind == 4:
        size = rng.choice((0, 1, 0xFFFFFFFE, 2**31))
        packed[directory + 24 : directory + 28] = struct.pack("<I", size)
    if kind == 0:
        return _flip(rng, bytes(packed))
    return bytes(packed)


_SHARES: dict[Callable[[random.Random, bytes], bytes], float] = {
    _flip: 22,
    _truncate: 10,
    _splice: 10,
    _element: 18,
    _attribute: 18,
    _syntax: 6,
    _codec: 12,
    _zip: 3,
    _nested: 0.9,
    _deflate_bomb: 0.1,
}
_MUTATORS, _WEIGHTS = tuple(_SHARES), tuple(_SHARES.values())
