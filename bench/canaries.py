"""Unique values that stand for identity, and the search for them in whatever comes out.

A canary is a value that occurs nowhere else, so one hit is a leak. The search reads every byte, and
inflates, unpacks and decodes what holds others: PNG, zlib, gzip, zip, base64, JSON and DICOM.
"""

from __future__ import annotations

import base64
import io
import json
import random
import re
import string
import warnings
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread

# Whole days by which tools shift dates stay below this distance, so that one planted date never
# becomes another.
_YEARS_APART = 22
_EARLY_YEARS = (1150, 1172, 1194, 1216)
_FIRST_YEAR, _LAST_YEAR = 1238, 9950
# SelectorDAValue: dicognito reads the century of its date as an hour and stops after 23.
_EARLY_TAG = 0x00720061
_OUR_TIME = range(1880, 2070)  # left to planted dates that an importer may take for real ones
_UID_ROOT = "1.2.826.0.1.3680043.8.498."
_CHUNK_BYTES = 1 << 23
_MAX_DEPTH = 5
_MAX_INFLATED_BYTES = 1 << 28
_PNG, _GZIP, _ZIP = b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08", b"PK\x03\x04"
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_BASE64 = re.compile(rb"base64,\s*([A-Za-z0-9+/=\s]{40,})")

_HASHED_DIGITS = 30
_DIGITS_BEFORE, _DIGITS_AFTER = re.compile(rb"[0-9]+$"), re.compile(rb"[0-9]+")


@dataclass(frozen=True)
class Canary:
    """One planted value: its kind of place, where exactly, and the bytes that betray it."""

    place: str
    where: str
    needles: tuple[bytes, ...]
    # For values too short to be unique as bytes: the tag and value of a DICOM element.
    element: tuple[int, str] | None = None


class Mint:
    """Makes canaries for each value representation and remembers them; `seed` decides them all."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.canaries: list[Canary] = []
        self._year = _FIRST_YEAR
        self._early = iter(_EARLY_YEARS)

    def text(self, place: str, where: str) -> str:
        """Twelve capitals, valid in every text VR."""
        token = "ZQ" + "".join(self.random.choices(string.ascii_uppercase, k=10))
        self._keep(place, where, _text_needles(token))
        return token

    def native(self, place: str, where: str, alphabet: str, codecs: Sequence[str]) -> str:
        """Ten letters of a script, and every encoding of them that may come out."""
        letters = "".join(self.random.choices(alphabet, k=10))
        encoded = {letters.encode(codec) for codec in ("utf-8", "utf-16-le", "utf-16-be")}
        for codec in codecs:
            # Code extension (ISO 2022) wraps the letters in escapes that a tool may move.
            encoded |= set(re.split(rb"\x1b[$(),\-]{1,2}[0-9A-Z]", letters.encode(codec)))
        for python_escape in ("ascii", "utf-8"):
            encoded.add(ascii(letters)[1:-1].encode(python_escape))
        encoded.add(repr(letters.encode())[2:-1].encode())
        self._keep(place, where, {n for n in encoded if len(n) >= 8})
        return letters

    def value(self, place: str, where: str, vr: str, tag: int = 0) -> Any:
        """A unique value of a VR (PS3.5 section 6.2)."""
        if vr == "DA":
            return self._date(place, where, tag)
        if vr == "DT":
            return self._date(place, where) + self._clock()
        if vr == "TM":
            clock = self._clock()
            colons = f"{clock[:2]}:{clock[2:4]}:{clock[4:]}"
            self._keep(place, where, [clock.encode(), colons.encode()])
            return clock
        if vr == "UI":
            last = str(self.random.randrange(10**25, 10**26))
            self._keep(place, where, _text_needles(last))
            return _UID_ROOT + last
        if vr in ("IS", "DS"):
            digits = str(self.random.randrange(10**9, 2**31))
            if vr == "DS":
                digits = f"{digits[0]}.{digits[1:]}{self.random.randrange(1001, 9999, 2)}"
            self._keep(place, where, [digits.encode()])
            return digits
        if vr in ("AS", "US"):
            number = self.random.randrange(201, 999)
            value = f"{number}D" if vr == "AS" else number
            self.canaries.append(Canary(place, where, (), (tag, str(value))))
            return value
        token = self.text(place, where)
        if vr == "UR":
            return f"http://{token.lower()}.example/"
        if vr == "PN":
            return f"{token}^Anna"
        return token.encode() if vr in ("OB", "OW", "UN") else token

    def _clock(self) -> str:
        """A time of day with six decimals, as unique as a fraction of a second is."""
        hour, minute = self.random.randrange(10, 24), self.random.randrange(10, 60)
        return f"{hour}{minute}{self.random.randrange(10, 60)}.{self.random.randrange(10**6):06d}"

    def _date(self, place: str, where: str, tag: int = 0) -> str:
        if tag == _EARLY_TAG:
            year = next(self._early)
        else:
            year, self._year = self._year, self._year + _YEARS_APART
        if self._year in _OUR_TIME:
            self._year = _OUR_TIME.stop
        if year > _LAST_YEAR:
            raise ValueError("too many dates to keep them apart: plant fewer")
        month, day = self.random.randrange(1, 13), self.random.randrange(13, 29)
        return self.date(place, where, f"{year}{month:02d}{day:02d}")

    def date(self, place: str, where: str, date: str) -> str:
        """A given date (DA), which must be at least 22 years from every other."""
        written = (s.join((date[:4], date[4:6], date[6:])) for s in ("", "-", ".", ":", "/"))
        self._keep(place, where, [text.encode() for text in written])
        return date

    def bits(self, place: str, where: str) -> bytes:
        """Bytes that are hidden one nibble a pixel: see planted.hide_above_bits_stored()."""
        token = ("ZQ" + "".join(self.random.choices(string.ascii_uppercase, k=10))).encode()
        nibbles = [n for byte in token for n in (byte >> 4, byte & 15)]
        little = b"".join(bytes((0, n << 4)) for n in nibbles)
        # As stored, of either byte order, and as a viewer that does not mask them would show.
        self._keep(place, where, {little, b"".join(bytes((n << 4, 0)) for n in nibbles)})
        return bytes(nibbles)

    def _keep(self, place: str, where: str, needles: Iterable[bytes]) -> None:
        lowered = tuple(sorted({needle.lower() for needle in needles}))
        self.canaries.append(Canary(place, where, lowered))


def _text_needles(token: str) -> set[bytes]:
    """The encodings in which an ASCII token may come out; compared without case."""
    plain = token.encode()
    found = {plain, plain.hex().encode()}
    for case in (token, token.lower()):
        found |= {case.encode("utf-16-le"), case.encode("utf-16-be")}
        for lead in range(3):
            # The middle of its base64, at each of the three alignments.
            whole = base64.b64encode(b"\0" * lead + case.encode())
            found.add(whole[4 if lead else 0 : -4])
    return found


class Search:
    """All canaries at once, in any number of outputs."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self.found: set[Canary] = set()
        self._elements: dict[tuple[int, str], list[Canary]] = defaultdict(list)
        self._by_start: dict[bytes, list[tuple[bytes, Canary]]] = defaultdict(list)
        self._firsts = np.zeros(1 << 16, dtype=bool)
        self._seconds = np.zeros(1 << 16, dtype=bool)
        for canary in canaries:
            if canary.element:
                self._elements[canary.element].append(canary)
            for needle in canary.needles:
                if len(needle) < 8:
                    raise ValueError(f"a needle of {len(needle)} bytes occurs by chance")
                self._by_start[needle[:4]].append((needle, canary))
                self._firsts[int.from_bytes(needle[:2], "big")] = True
                self._seconds[int.from_bytes(needle[2:4], "big")] = True
        self._longest = max((len(n) for v in self._by_start.values() for n, _ in v), default=1)

    def tree(self, folder: Path) -> None:
        """Every name and every byte below a folder; the folder's own path is not searched."""
        for path in sorted(folder.rglob("*")):
            self.content(str(path.relative_to(folder)).encode("utf-8", "surrogateescape"))
            if path.is_file() and not path.is_symlink():
                self.content(path.read_bytes())

    def content(self, content: bytes, depth: int = 0) -> None:
        """The bytes as they are, and whatever is folded up in them."""
        self._bytes(content)
        if depth < _MAX_DEPTH and len(content) > 20:
            for unfolded in _unfold(content):
                self.content(unfolded, depth + 1)
            if self._elements and content[128:132] == b"DICM":
                self._dicom(content)

    def _bytes(self, content: bytes) -> None:
        """Two lookups of two bytes each leave few places to compare at."""
        for start in range(0, max(1, len(content)), _CHUNK_BYTES):
            chunk = content[start : start + _CHUNK_BYTES + self._longest].lower()
            if len(chunk) < 8:
                return
            codes = np.frombuffer(chunk, dtype=np.uint8).astype(np.uint16)
            pairs = (codes[:-1] << 8) | codes[1:]
            for place in np.flatnonzero(self._firsts[pairs[:-2]] & self._seconds[pairs[2:]]):
                for needle, canary in self._by_start.get(chunk[place : place + 4], ()):
                    if chunk.startswith(needle, place) and not _by_chance(chunk, place, needle):
                        self.found.add(canary)

    def _dicom(self, content: bytes) -> None:
        """Short values, which only mean something at their own tag."""
        with warnings.catch_warnings(), suppress(Exception):  # unreadable: searched as bytes
            warnings.simplefilter("ignore")
            for element in dcmread(io.BytesIO(content), force=True).iterall():
                self.found.update(self._elements.get((int(element.tag), str(element.value)), ()))


def _by_chance(chunk: bytes, place: int, needle: bytes) -> bool:
    """Whether a date's eight digits stand inside a number as long as a UID made from a hash.

    Hundreds of dates against thousands of new UIDs, of 39 random digits each (PS3.5 section B.2),
    meet once in some tens of runs. Nothing that a planted date can be part of is that long.
    """
    if len(needle) > 8 or not needle.isdigit():
        return False
    before = _DIGITS_BEFORE.search(chunk[max(0, place - _HASHED_DIGITS) : place])
    after = _DIGITS_AFTER.match(chunk[place : place + _HASHED_DIGITS])
    return len(before[0] if before else b"") + len(after[0] if after else b"") >= _HASHED_DIGITS


def _unfold(content: bytes) -> Iterator[bytes]:
    """What a container holds, decoded; nothing for anything else."""
    if content.startswith(_PNG):
        yield from _png(content)
    elif content.startswith(_ZIP):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                yield member.filename.encode()
                yield archive.read(member)
    elif content.startswith(_GZIP):
        yield zlib.decompressobj(31).decompress(content, _MAX_INFLATED_BYTES)
    elif content[128:132] == b"DICM":
        yield from _pixels(content)
    elif content.lstrip()[:1] in (b"{", b"["):
        with suppress(ValueError, RecursionError):
            yield "\n".join(_leaves(json.loads(content))).encode("utf-8", "surrogatepass")
    for match in _BASE64.finditer(content):
        yield base64.b64decode(b"".join(match[1].split()) + b"==", validate=False)
    if not content.startswith((_PNG, _ZIP)):
        for match in list(_ZLIB.finditer(content))[:200]:
            try:
                yield zlib.decompressobj().decompress(content[match.start() :], _MAX_INFLATED_BYTES)
            except zlib.error:
                continue


def _png(content: bytes) -> Iterator[bytes]:
    """Image data inflated, compressed text inflated, and the pixels themselves (RFC 2083)."""
    position, image_data = 8, b""
    while position + 8 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kind, data = (
            content[position + 4 : position + 8],
            content[position + 8 : position + 8 + length],
        )
        position += length + 12
        if kind == b"IDAT":
            image_data += data
        elif kind in (b"zTXt", b"iTXt", b"iCCP"):
            for match in _ZLIB.finditer(data):
                try:
                    yield zlib.decompress(data[match.start() :])
                except zlib.error:
                    continue
    yield zlib.decompressobj().decompress(image_data, _MAX_INFLATED_BYTES)
    yield Image.open(io.BytesIO(content)).tobytes()


def _pixels(content: bytes) -> Iterator[bytes]:
    """A DICOM file's decoded pixels, if they were encoded, and a deflated data set inflated."""
    with warnings.catch_warnings(), suppress(Exception):  # unreadable: searched as bytes
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(content))
        if dataset.file_meta.TransferSyntaxUID.is_deflated:
            # The file meta's own length (0002,0000) tells where the data set starts.
            start = 144 + int.from_bytes(content[140:144], "little")
            yield zlib.decompressobj(-15).decompress(content[start:], _MAX_INFLATED_BYTES)
        if "PixelData" in dataset and dataset.file_meta.TransferSyntaxUID.is_compressed:
            yield dataset.pixel_array.tobytes()


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield str(value)


def survivors(canaries: Iterable[Canary], *outputs: Path | bytes) -> list[Canary]:
    """The canaries that are in folders (names and contents) or in bytes, in planted order."""
    listed = list(canaries)
    search = Search(listed)
    for output in outputs:
        if isinstance(output, bytes):
            search.content(output)
        else:
            search.tree(output)
    return [canary for canary in listed if canary in search.found]
