"""Label Studio's brush code to masks: whatever the SDK or the editor writes, and no more.

Where a run begins is known only once the one before is read. So all that is asked of each run in a
loop is how many bits it takes, and that is looked up: a table gives it for each bit of the code, as
if a run began there. Lengths and values are then read by arrays, a block of the code at a time, so
that the memory this takes does not grow with what a code claims.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .arrays import BoolMask, Integers

_HEADER_BITS = 32 + 5 + 4 * 4  # number of values, size of a value, four sizes of lengths
_SHORT = 128  # bytes; arrays cost more than they save on less
_BLOCK = 2**14  # bytes read together
_BEHIND = 16  # zeros after a code, so that windows may reach over its end
_OFFSETS = np.arange(8, 0, -1, dtype=np.uint16)


class DamagedCode(ValueError):
    """What is no brush code, or ends before its values do."""


class _Form(NamedTuple):
    """How a code counts."""

    value: int  # bits of a value, 1 to 8
    lengths: tuple[int, ...]  # bits of a length: a run says which of the four


def read_alpha(data: bytes, pixels: int) -> BoolMask:
    """Where a code's alphas, every fourth of its values, are above 0: (pixels,).

    Raises DamagedCode if its values are of more than 8 bits, or end before or behind the pixels.
    """
    head = int.from_bytes(data[4:7], "big") >> 3
    form = _Form((head >> 16) + 1, tuple((head >> shift & 15) + 1 for shift in (12, 8, 4, 0)))
    if form.value > 8:
        raise DamagedCode
    alpha = np.zeros(pixels, dtype=bool)
    if len(data) > _SHORT or not _read_repeats(data, form, alpha):
        _read(data, form, alpha)
    return alpha


def _read_repeats(data: bytes, form: _Form, alpha: BoolMask) -> bool:
    """Read a short code into a mask of zeros; False if it holds more than repeated values."""
    count = 4 * alpha.size
    bits = int.from_bytes(data + bytes(4), "big")
    left, done = 8 * len(data) + 32 - _HEADER_BITS, 0
    while done < count:
        run = bits >> (left - 27) & 0x7FFFFFF  # a run takes no more
        if not run >> 26:
            return False
        size = form.lengths[run >> 24 & 3]
        end = done + (run >> (24 - size) & (1 << size) - 1) + 1
        left -= 3 + size + form.value
        if left < 32 or end > count:
            raise DamagedCode
        if run >> (24 - size - form.value) & (1 << form.value) - 1:
            alpha[done >> 2 : end >> 2] = True
        done = end
    return True


def _read(data: bytes, form: _Form, alpha: BoolMask) -> None:
    """Read a code into a mask of zeros."""
    raw = np.frombuffer(data + bytes(_BEHIND), dtype=np.uint8)
    windows: npt.NDArray[np.uint64] = np.ndarray((raw.size - 7,), ">u8", raw, strides=(1,))
    sizes = np.array(form.lengths)
    at, done, count = _HEADER_BITS, 0, 4 * alpha.size
    while done < count:
        starts, steps = _walk(raw, at, 8 * len(data), form)
        at = int(starts[-1] + steps[-1])
        # 64 bits, of which 57 are ours: all of a repeated value takes 27 at most.
        run = windows[starts >> 3].astype(np.uint64) << (starts & 7).view(np.uint64)
        head = (run >> np.uint64(61)).view(np.int64)
        size = sizes[head & 3]
        run <<= np.uint64(3)
        lengths = (run >> (64 - size).view(np.uint64)).view(np.int64) + 1
        inside = (run << size.view(np.uint64)) >> np.uint64(64 - form.value) > 0
        ends = lengths.cumsum() + done
        last = min(int(ends.searchsorted(count)), ends.size - 1)
        if ends[last] > count or starts[last] + steps[last] > 8 * len(data):
            raise DamagedCode
        runs = slice(last + 1)
        until = ends[runs] >> 2  # pixels; the alpha is a pixel's last value
        since = np.concatenate(([done >> 2], until[:-1]))
        literal = ((head < 4) & (lengths > 1))[runs].nonzero()[0]
        inside[literal] = False
        _fill(alpha, since, until, inside[runs])
        if literal.size:
            behind = 4 * since[literal] + 3 - (ends - lengths)[literal]  # values before its alpha
            bits = (starts + size)[literal] + 3 + form.value * behind
            _fill_values(alpha, since[literal], until[literal], raw, bits, form.value)
        done = int(ends[last])


def _walk(
    raw: npt.NDArray[np.uint8], at: int, total: int, form: _Form
) -> tuple[Integers, Integers]:
    """Bits at which the runs of a block begin, from the one at `at` on, and how many they take.

    The last may reach beyond the block, or the code. Raises DamagedCode if the code is at its end.
    """
    if at >= total:
        raise DamagedCode
    base = at & ~7
    part = raw[base >> 3 : (base >> 3) + _BLOCK + _BEHIND]
    pairs = part[:-1].astype(np.uint16) << 8 | part[1:]
    step_at = (pairs[:, None] >> _OFFSETS).astype(np.uint8).tobytes().translate(_steps(form))
    place, stop = at - base, min(total - base, 8 * _BLOCK)
    code = part.tobytes()
    value, lengths = form
    short = bytearray()
    append = short.append
    long: list[int] = []
    while place < stop:
        step = step_at[place]
        append(step)
        if not step:
            run = int.from_bytes(code[place >> 3 : (place >> 3) + 4], "big") << (place & 7)
            size = lengths[run >> 29 & 3]
            step = 3 + size + value * ((run >> (29 - size) & (1 << size) - 1) + 1)
            long.append(step)
        place += step
    steps = np.frombuffer(short, dtype=np.uint8).astype(np.int64)
    if long:
        steps[steps == 0] = long
    return steps.cumsum() - steps + at, steps


@functools.lru_cache(maxsize=16)
def _steps(form: _Form) -> bytes:
    """How many bits a run takes, by the 8 bits it begins with; 0 where they do not tell."""
    steps = bytearray(256)
    for first in range(256):
        size = form.lengths[first >> 5 & 3]
        if first & 128:
            steps[first] = 3 + size + form.value
        elif size <= 5:
            step = 3 + size + form.value * ((first >> (5 - size) & (1 << size) - 1) + 1)
            steps[first] = step if step < 256 else 0
    return bytes(steps)


def _fill(alpha: BoolMask, since: Integers, until: Integers, inside: BoolMask) -> None:
    """Paint runs, one after the other without a gap, of pixels that are inside or not."""
    if 32 * since.size < until[-1] - since[0]:
        for start, end in zip(since[inside].tolist(), until[inside].tolist(), strict=True):
            alpha[start:end] = True
    else:
        alpha[since[0] : until[-1]] = np.repeat(inside, until - since)


def _fill_values(
    alpha: BoolMask,
    since: Integers,
    until: Integers,
    raw: npt.NDArray[np.uint8],
    bits: Integers,
    size: int,
) -> None:
    """Paint runs of pixels whose alphas stand in the code from certain bits on, pixel by pixel."""
    pixels = until - since
    nth = np.arange(pixels.sum()) - np.repeat(pixels.cumsum() - pixels, pixels)
    place = np.repeat(bits, pixels) + 4 * size * nth
    value = raw[place >> 3].astype(np.int64) << 8 | raw[(place >> 3) + 1]
    value >>= 16 - size - (place & 7)
    alpha[np.repeat(since, pixels) + nth] = value & (1 << size) - 1
