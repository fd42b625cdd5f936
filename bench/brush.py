"""``./quorum bench brush``: the brush code beside Label Studio's own package, mask by mask.

Each row times ``encode_rle`` and ``decode_rle`` beside ``label_studio_sdk.converter.brush`` on the
same mask: one after the other, as often as runs are asked for. Before, the code must be the
package's byte for byte, and read back alike. The package starts from 0 and 255 and ends with all
four channels; ours starts and ends with a mask. Times are processor time of the thread.

The package's reader makes a Python object of each bit: from a megabyte of code on it is left out,
and there only the way there and back is compared. ``label-studio-brush-rle-rs`` is run in an
environment of its own, and is left out where it cannot be installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter import brush
from scipy.ndimage import gaussian_filter

from ml_backend.masks.brush import decode_rle, encode_rle

from .pages import hardware, markdown_table, write_section
from .peers import Peer, install

GOAL = 20.0
_SIZES = (64, 512, 1024, 4096)
_SDK_BYTES = 1_000_000
_LONG_ENOUGH_S = 0.004  # of calls that are timed together
_PEER = Peer(
    "label-studio-brush-rle-rs 0.1.1",
    "label-studio-brush-rle-rs==0.1.1 numpy",
    """
import hashlib, json, time
import numpy
from label_studio_brush_rle_rs import decode_rle, encode_rle
def timed(call, times):
    started = time.thread_time()
    for _ in range(times):
        result = call()
    return (time.thread_time() - started) / times, result
for line in sys.stdin:
    what, file, times = json.loads(line)
    mask = numpy.load(file)
    if what == "encode":
        values = lambda: numpy.repeat(mask.ravel(), 4)
        took, code = timed(lambda: list(encode_rle(values(), 8, [3, 4, 8, 16])), times)
    else:
        code = json.load(open(file + ".json"))
        took, values = timed(lambda: decode_rle(code, False), times)
        code = values.tobytes()
    print(json.dumps([took, hashlib.sha256(bytes(code)).hexdigest()]), flush=True)
""",
)

BoolMask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Measured:
    """Milliseconds of each run of one mask one way; empty where a package was left out."""

    mask: str
    side: int
    way: str  # encode or decode
    code_bytes: int
    ours_ms: list[float]
    sdk_ms: list[float]
    rust_ms: list[float]
    rust_exact: bool

    def ratio(self) -> tuple[float, float, float] | None:
        """The median of the SDK's time by ours, pair by pair, and the least and the largest."""
        ratios = [sdk / ours for sdk, ours in zip(self.sdk_ms, self.ours_ms, strict=False)]
        return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


class Rust:
    """The package in Rust, in a process of its own."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._folder, self._code = folder, [0]
        argv = [str(python), "-c", "import sys\n" + _PEER.convert]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def timed(self, way: str, values: Values, code: list[int], times: int) -> tuple[float, str]:
        """Seconds a call, and the SHA-256 of what came out. Raises RuntimeError if it died."""
        file = self._folder / "mask.npy"
        if code is not self._code:
            np.save(file, values)
            Path(f"{file}.json").write_text(json.dumps(code))
            self._code = code
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process in Rust has no pipes")
        self._process.stdin.write(json.dumps([way, str(file), times]) + "\n")
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{_PEER.name} ended")
        took_s, digest = json.loads(answer)
        return took_s, digest

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.communicate()


def masks(side: int) -> Iterator[tuple[str, BoolMask]]:
    """The masks that are measured, (side, side), always the same."""
    generator = np.random.default_rng(side)
    y, x = np.mgrid[:side, :side]
    smooth = gaussian_filter(generator.standard_normal((side, side)), side / 32)
    rough = gaussian_filter(generator.standard_normal((side, side)), 1.0)
    yield "disc", (y - side / 2) ** 2 + (x - side / 2) ** 2 < side**2 / 9
    yield "ragged blobs", smooth / smooth.std() + 0.6 * rough / rough.std() > 0.8
    yield "noise", generator.random((side, side)) < 0.5
    yield "empty", np.zeros((side, side), dtype=bool)
    yield "full", np.ones((side, side), dtype=bool)
    yield "checkerboard", (x + y) % 2 == 0
    yield "one pixel", (x == side // 3) & (y == side // 2)
    yield "vertical stripes", x % 2 == 0


def measure(name: str, mask: BoolMask, runs: int, rust: Rust | None = None) -> list[Measured]:
    """Time one mask both ways. Raises RuntimeError if ours is not the SDK's."""
    side = len(mask)
    code = encode_rle(mask)
    if not np.array_equal(decode_rle(code, side, side), mask):
        raise RuntimeError(f"{name}, {side}²: the mask is not read back")
    values = mask.astype(np.uint8) * np.uint8(255)
    with_sdk = len(code) < _SDK_BYTES
    if with_sdk and brush.mask2rle(values) != code:
        raise RuntimeError(f"{name}, {side}²: the code is not the SDK's")
    ways: list[tuple[str, Callable[[], Any], Callable[[], Any], bytes]] = [
        ("encode", lambda: encode_rle(mask), lambda: brush.mask2rle(values), bytes(code)),
        (
            "decode",
            lambda: decode_rle(code, side, side),
            lambda: brush.decode_rle(code),
            np.repeat(values.ravel(), 4).tobytes(),
        ),
    ]
    results = []
    for way, ours, sdk, result in ways:
        ours_ms, sdk_ms, rust_ms, exact = [], [], [], True
        times, sdk_times = _times(ours), _times(sdk) if with_sdk else 0
        for _ in range(runs):
            if with_sdk:
                sdk_ms.append(1000 * _timed(sdk, sdk_times))
            ours_ms.append(1000 * _timed(ours, times))
            if rust and with_sdk:
                took, digest = rust.timed(way, values, code, sdk_times)
                rust_ms.append(1000 * took)
                exact &= digest == hashlib.sha256(result).hexdigest()
        results.append(Measured(name, side, way, len(code), ours_ms, sdk_ms, rust_ms, exact))
    return results


def _times(call: Callable[[], Any]) -> int:
    """How often to call, so that a clock can tell."""
    return max(1, int(_LONG_ENOUGH_S / max(_timed(call, 1), 1e-7)))


def _timed(call: Callable[[], Any], times: int) -> float:
    started = time.thread_time()
    for _ in range(times):
        call()
    return (time.thread_time() - started) / times


def section(results: Sequence[Measured], runs: int, command: str) -> str:
    """The page's section: a table each way, and where the goal is missed."""
    head = ["mask", "side", "code, kB", "SDK, ms", "ours, ms", "times as fast", "Rust"]
    parts = [
        "## The brush code beside Label Studio's own package",
        "`encode_rle` and `decode_rle` beside `label_studio_sdk.converter.brush`, on the same mask "
        f"one after the other, {runs} times: medians of the times, and of the ratios, with the "
        "least and the largest. Codes are the package's byte for byte, or the bench fails. "
        f"*Rust*: `{_PEER.requirement.split()[0]}`, also as times as fast as the package; † where "
        "what came out is not the same. –: left out, for the package makes an object of each bit "
        f"of a code, or the library cannot be installed here. Times are of the processor.",
    ]
    for way in ("encode", "decode"):
        rows: list[list[object]] = [list(head)]
        for measured in (r for r in results if r.way == way):
            row = [measured.mask, f"{measured.side}²", f"{measured.code_bytes / 1000:,.1f}"]
            row += [_median(measured.sdk_ms), _median(measured.ours_ms)]
            rows.append([*row, _shown(measured), _rust(measured)])
        parts += [f"### {way.capitalize()}", markdown_table(rows)]
    return "\n\n".join([*parts, _verdict(results), f"```\n{command}\n```\n\n{hardware()}."])


def _median(times_ms: Sequence[float]) -> str:
    if not times_ms:
        return "–"
    median = statistics.median(times_ms)
    return f"{median:,.3f}" if median < 1 else f"{median:,.1f}"


def _shown(measured: Measured) -> str:
    ratio = measured.ratio()
    return f"{ratio[0]:.0f} ({ratio[1]:.0f} to {ratio[2]:.0f})" if ratio else "–"


def _rust(measured: Measured) -> str:
    if not measured.rust_ms:
        return "–"
    ratio = statistics.median(measured.sdk_ms) / statistics.median(measured.rust_ms)
    return f"{ratio:.1f}" + ("" if measured.rust_exact else " †")


def _verdict(results: Sequence[Measured]) -> str:
    compared = [(r, ratio[0]) for r in results if (ratio := r.ratio())]
    below = [f"{r.mask} {r.side}², {r.way} ({x:.0f}×)" for r, x in compared if x < GOAL]
    if not below:
        return f"{GOAL:.0f} times as fast or more in all {len(compared)} comparisons."
    return (
        f"{GOAL:.0f} times as fast or more in {len(compared) - len(below)} of {len(compared)} "
        f"comparisons. Below: {'; '.join(below)}. Codes of few runs take the package itself little "
        "time; calls into numpy, some microseconds to some tens, are what is left of ours."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write them into a page; 1 if a code is not the SDK's."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="quorum bench brush", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=_sizes, default=_SIZES, metavar="A,B,…",
        help=f"sides of the masks ({','.join(map(str, _SIZES))})")  # fmt: skip
    add("--runs", type=int, default=5, help="of each row (%(default)s)")
    add("--no-peer", action="store_true", help="leave the library in Rust out")
    add("--page", type=Path, help="page whose section is replaced")
    add("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args(words)
    results: list[Measured] = []
    with ExitStack() as stack:
        rust = None if arguments.no_peer else _rust_if_there(stack)
        for side in arguments.sizes:
            for name, mask in masks(side):
                try:
                    results += measure(name, mask, arguments.runs, rust)
                except RuntimeError as error:
                    print(f"quorum bench brush: {error}", file=sys.stderr)
                    return 1
            print(f"{side}² measured", file=sys.stderr, flush=True)
    body = section(results, arguments.runs, shlex.join(["./quorum", "bench", "brush", *words]))
    print(body)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    if arguments.page:
        write_section(arguments.page, "brush", body)
    return 0


def _rust_if_there(stack: ExitStack) -> Rust | None:
    environments = Path(os.environ.get("QUORUM_DATA_DIR") or ".quorum") / "peers"
    try:
        python = install(_PEER, environments)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"quorum bench brush: without the library in Rust: {error}", file=sys.stderr)
        return None
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="quorum-brush-"))
    rust = Rust(python.absolute(), Path(folder))
    stack.callback(rust.close)
    return rust


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))
