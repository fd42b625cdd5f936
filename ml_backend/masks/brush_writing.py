"""Masks to Label Studio's brush code, byte for byte as ``label_studio_sdk.converter.brush`` does.

A mask's own runs are found first; each becomes one number of 14 to 27 bits, and the numbers are
shifted to their places in words of 32 bits, all with arrays. The SDK walks over the values, four
a pixel, and joins strings of bits.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from .arrays import BoolMask, Integers

_HEADER = 7 << 16 | 2 << 12 | 3 << 8 | 7 << 4 | 15  # 8 bits a value; 3, 4, 8 or 16 for a length
_HEADER_BITS = 5 + 4 * 4
_LONGEST = 2**16 // 4  # pixels in one run; longer ones are cut
# By the pixels in a run, 65 for more: its bits, and its head, to which the length is added in
# values: four a pixel, less 1.
_KIND = np.searchsorted([2, 4, 64], np.arange(66))
_BITS = np.array([14, 15, 19, 27])[_KIND]
_HEADS = np.array([4 << 11, 5 << 12, 6 << 16, 7 << 24])[_KIND] - (1 << 8)
_FEW_RUNS = 40  # arrays cost more than they save on fewer
_RUNS = 2**14  # packed together: what that needs stays in the processor's cache


def encoded(flat: BoolMask) -> bytes:
    """The code of a mask's pixels, (N,) with N > 0."""
    first = bool(flat[0])
    if flat.all() if first else not flat.any():
        bounds = np.array([0, flat.size])
    else:
        bounds = np.concatenate(([0], _changes(flat), [flat.size]))
    parts = [(4 * flat.size).to_bytes(4, "big")]
    if bounds.size + flat.size // _LONGEST < _FEW_RUNS:
        return parts[0] + _few_runs(bounds.tolist(), first)
    # Bits that do not fill a word of 32 yet, and how many.
    carry, carried = _HEADER << (32 - _HEADER_BITS), _HEADER_BITS
    for start in range(0, bounds.size - 1, _RUNS):
        part = bounds[start : start + _RUNS + 1]
        runs, sizes = _runs(part[1:] - part[:-1], inside=(start % 2 == 0) == first)
        words, end = _packed(runs, sizes, carry, carried)
        parts.append(words[: end >> 5].tobytes())
        carry, carried = int(words[end >> 5]), end & 31
    parts.append(carry.to_bytes(4, "big")[: carried // 8 + 1])  # the SDK: at least one zero bit
    return b"".join(parts)


def _changes(flat: BoolMask) -> Integers:
    """Pixels that differ from the one before, in rising order."""
    changed = np.zeros(-(-flat.size // 8) * 8, dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=changed[1 : flat.size])
    eights = np.flatnonzero(changed.view(np.uint64) != 0)
    if eights.size * 64 > changed.size:
        return np.flatnonzero(changed)
    near = np.flatnonzero(changed.reshape(-1, 8)[eights])
    found: Integers = (eights[near >> 3] << 3) | (near & 7)
    return found


def _few_runs(bounds: list[int], inside: bool) -> bytes:
    """The code behind the number of values, by the pixels where runs begin and end."""
    bits, size = _HEADER, _HEADER_BITS
    for start, end in itertools.pairwise(bounds):
        value = 255 if inside else 0
        inside = not inside
        cut = (end - start - 1) // _LONGEST
        for _ in range(cut):
            bits = bits << 27 | 7 << 24 | 0xFFFF << 8 | value
        kind = 65 if cut else min(end - start, 65)
        head = int(_HEADS[kind]) + (end - start - cut * _LONGEST << 10) + value
        bits = bits << int(_BITS[kind]) | head
        size += 27 * cut + int(_BITS[kind])
    return (bits << 8 - size % 8).to_bytes(size // 8 + 1, "big")


def _runs(pixels: Integers, inside: bool) -> tuple[Integers, Integers]:
    """The codes of alternating runs, the first one inside or not, and how many bits each takes."""
    kind = np.minimum(pixels, 65)
    codes = _HEADS[kind]
    codes[0 if inside else 1 :: 2] += 255
    if pixels.max() > _LONGEST:  # cut; what is left has a long run's code, however short it is
        pieces = (pixels - 1) // _LONGEST + 1
        last = np.cumsum(pieces) - 1
        rest = pixels - (pieces - 1) * _LONGEST
        codes, kind = np.repeat(codes, pieces), np.repeat(kind, pieces)
        pixels = np.full(codes.size, _LONGEST)
        pixels[last] = rest
    codes += pixels << 10
    return codes, _BITS[kind]


def _packed(
    codes: Integers, sizes: Integers, carry: int, carried: int
) -> tuple[npt.NDArray[np.uint32], int]:
    """Codes one after the other behind some bits, as big-endian words, and where the bits end."""
    ends = np.cumsum(sizes)
    ends += carried
    starts = ends - sizes
    word = starts >> 5
    # None is longer than 27 bits: each ends in its word or the next, and no word is left out.
    codes <<= 64 - sizes - (starts & 31)
    first = np.concatenate(([0], np.flatnonzero(word[1:] != word[:-1]) + 1))
    double = np.bitwise_or.reduceat(codes.view(np.uint64), first)
    words = np.zeros(double.size + 1, dtype=np.uint64)
    words[0] = carry
    words[:-1] |= double >> np.uint64(32)
    words[1:] |= double & np.uint64(0xFFFFFFFF)
    return words.astype(">u4"), int(ends[-1])
