"""How much burned-in text the importer finds, on lines drawn over real slices and on ultrasound.

``./quorum bench burned-in``: lines of invented names, numbers and dates at several sizes, greys and
fonts over MR (the demo's brain) and, with ``--images FOLDER``, over slices of your own. A line
counts as found if boxes cover at least 90 % of its rectangle. A clear line has an ink height of at
least 10 px, and 95 % of its strokes differ from what is below them by at least 80 of 255
grey values, or it has an outline. `deid-data` from PyPI, if installed, adds real
burned-in ultrasound.

READ and SCAN are what the importer does with images that must be read and with original slices
that are no sample: there the detector looks only where the cheap filter alarms, and READ's result
has been read again. Backgrounds and lines are those the thresholds were chosen on, with other
seeds; a scanner's own writing can be harder.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from bench.drawn_lines import SIZES_PX, STYLES, Line, Rendered, write_lines
from demo import brain
from importer.burned_in import Box, care_for, clean
from importer.burned_in.text import cheap_boxes, ocr_boxes, text_boxes
from importer.decode import frames
from importer.render import render

Detector = Callable[[Rendered], tuple[Box, ...]]

COVERED = 0.9

# Lines that name a person, a number, a day or a place in the real ultrasound of deid-data 0.0.20,
# read off its pictures: row0, column0, row1, column1.
DEID_LINES: dict[str, tuple[Box, ...]] = {
    "GREYSCALE_CINE": (
        (6, 6, 17, 135), (6, 142, 17, 220), (6, 305, 17, 403), (6, 434, 17, 535), (6, 642, 17, 790),
    ),
    "GREYSCALE_IMAGE": (
        (6, 8, 19, 172), (6, 183, 19, 282), (6, 391, 19, 514), (6, 556, 19, 685),
        (6, 823, 19, 1010),
    ),
    "RGB_CINE": (
        (5, 112, 23, 240), (29, 112, 45, 222), (5, 405, 20, 565), (5, 608, 23, 807),
        (5, 839, 20, 946), (29, 833, 45, 944),
    ),
    "RGB_IMAGE": (
        (8, 4, 26, 227), (36, 3, 52, 136), (8, 503, 23, 715), (8, 775, 23, 881), (36, 503, 51, 768),
    ),
}  # fmt: skip


def plain_slices(folder: Path | None, limit: int) -> list[Rendered]:
    """Slices without text: the demo's brain, pydicom's small files, images of a folder."""
    slices = brain.slices()[0]
    step = max(1, len(slices) // limit)
    listed = [np.ascontiguousarray(image) for image in slices[::step]][:limit]
    # At twice the size as well: 466 rows are nearer to what a scanner sends today.
    listed += [
        np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
        for image in listed[::2]
    ]
    for name in ("CT_small.dcm", "MR_small.dcm"):
        dataset = dcmread(str(get_testdata_file(name)))
        listed.append(render(dataset.pixel_array, dataset))
    if folder is not None:
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png"))
        step = max(1, len(files) // limit)
        listed += [np.asarray(Image.open(p).convert("L")) for p in files[::step][:limit]]
    return listed


def covered(box: Box, found: Sequence[Box]) -> float:
    """Share of a box's area that lies inside any of the found boxes."""
    row0, column0, row1, column1 = box
    hit = np.zeros((row1 - row0, column1 - column0), dtype=bool)
    for r0, c0, r1, c1 in found:
        hit[max(0, r0 - row0) : max(0, r1 - row0), max(0, c0 - column0) : max(0, c1 - column0)] = 1
    return float(hit.mean())


@dataclass(frozen=True)
class Look:
    """What one way of looking found in all images, and milliseconds an image."""

    on_text: list[tuple[Box, ...]]
    on_plain: list[tuple[Box, ...]]
    text_ms: float
    plain_ms: float


def look(detector: Detector, text: Sequence[Rendered], plain: Sequence[Rendered]) -> Look:
    """Run a detector over images with and without text."""
    detector(text[0])  # loads the model
    times = [time.perf_counter()]
    on_text = [detector(image) for image in text]
    times.append(time.perf_counter())
    on_plain = [detector(image) for image in plain]
    times.append(time.perf_counter())
    text_ms, plain_ms = (1e3 * seconds for seconds in np.diff(times).tolist())
    return Look(on_text, on_plain, text_ms / len(text), plain_ms / len(plain))


def recall(
    drawn: Sequence[Sequence[Line]],
    found: Sequence[tuple[Box, ...]],
    keep: Callable[[Line], bool],
) -> tuple[int, int]:
    """How many of the kept lines boxes cover by 90 %, and how many there are."""
    hits = [
        covered(line.box, boxes) >= COVERED
        for lines, boxes in zip(drawn, found, strict=True)
        for line in lines
        if keep(line)
    ]
    return sum(hits), len(hits)


def ultrasound(folder: Path | None) -> Iterator[tuple[str, Rendered, Dataset]]:
    """The named files of deid-data, first frame: name, picture, header; nothing if not there."""
    if folder is None:
        spec = find_spec("deid_data")
        if spec is None or spec.origin is None:
            return
        folder = Path(spec.origin).parent
    for path in sorted(folder.rglob("*")):
        if path.stem not in DEID_LINES or path.suffix not in (".dcm", ".zip"):
            continue
        content = path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                content = archive.read(f"{path.stem}.dcm")
        dataset = dcmread(io.BytesIO(content))
        yield path.stem, render(next(iter(frames(dataset))), dataset), dataset


def _projection() -> Dataset:
    """The header of an image that must be read."""
    dataset = Dataset()
    dataset.Modality = "CR"
    return dataset


def _scanner() -> Dataset:
    """The header of an original slice."""
    dataset = Dataset()
    dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY"]
    dataset.SamplesPerPixel, dataset.BitsAllocated = 1, 16
    return dataset


def _clear(line: Line, size_px: int | None = None, style: str | None = None) -> bool:
    return line.clear and line.size_px == (size_px or line.size_px) and style in (None, line.style)


def measure(
    drawings: int, seed: int, folder: Path | None, deid_data: Path | None
) -> dict[str, Any]:
    """All figures of the benchmark, as ``--json`` writes them."""
    rng = np.random.default_rng(seed)
    plain = plain_slices(folder, 60)
    large = [image for image in plain if min(image.shape) >= 150]
    pictures: list[Rendered] = []
    drawn: list[list[Line]] = []
    while len(pictures) < drawings:
        n = len(pictures)
        size_px, style = SIZES_PX[n % len(SIZES_PX)], STYLES[n // len(SIZES_PX) % len(STYLES)]
        picture, lines = write_lines(large[rng.integers(len(large))], size_px, style, rng)
        if lines:
            pictures.append(picture)
            drawn.append(lines)
    cheap, detector = look(cheap_boxes, pictures, plain), look(ocr_boxes, pictures, plain)

    def by_rule(header: Dataset) -> Look:
        verdict = care_for(header)
        return look(
            lambda image: clean(image, header, verdict, sample=False).boxes, pictures, plain
        )

    ways = {
        "cheap filter": cheap,
        "detector": detector,
        "both, turned as well": look(text_boxes, pictures, plain),
        "READ": by_rule(_projection()),
        "SCAN": by_rule(_scanner()),
    }
    rows: dict[str, Callable[[Line], bool]] = {
        **{f"clear, {n} px": partial(_clear, size_px=n) for n in SIZES_PX[1:]},
        **{f"clear, {s}": partial(_clear, style=s) for s in STYLES},
        "clear, all": _clear,
        "not clear": lambda line: not line.clear,
    }
    figures: dict[str, Any] = {
        "seed": seed,
        "drawn images": len(pictures),
        "plain images": len(plain),
    }
    for way, seen in ways.items():
        with_clear = [
            bool(boxes)
            for boxes, lines in zip(seen.on_text, drawn, strict=True)
            if any(line.clear for line in lines)
        ]
        figures[way] = {
            "recall": {name: recall(drawn, seen.on_text, keep) for name, keep in rows.items()},
            "images with a clear line that alarm": (sum(with_clear), len(with_clear)),
            "plain images with a box": (sum(map(bool, seen.on_plain)), len(plain)),
            "ms an image with text": seen.text_ms,
            "ms a plain image": seen.plain_ms,
        }
    figures["ultrasound"] = {
        name: {
            "care": care_for(dataset).reason,
            "lines": len(DEID_LINES[name]),
            **{
                way: sum(covered(box, boxes) >= COVERED for box in DEID_LINES[name])
                for way, boxes in {
                    "cheap filter": cheap_boxes(picture),
                    "detector": ocr_boxes(picture),
                    "both": text_boxes(picture),
                    "by rule": clean(picture, dataset, care_for(dataset), sample=False).boxes,
                }.items()
            },
        }
        for name, picture, dataset in ultrasound(deid_data)
    }
    return figures


def _table(figures: dict[str, Any]) -> str:
    ways = [way for way, value in figures.items() if isinstance(value, dict) and "recall" in value]

    def share(pair: Sequence[int]) -> str:
        return f"{pair[0] / pair[1]:.3f} ({pair[0]}/{pair[1]})" if pair[1] else "–"

    lines = [f"| lines covered ≥ 90 % | {' | '.join(ways)} |", "|---" * (len(ways) + 1) + "|"]
    for row in figures[ways[0]]["recall"]:
        cells = [share(figures[way]["recall"][row]) for way in ways]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    for row in ("images with a clear line that alarm", "plain images with a box"):
        lines.append(f"| {row} | {' | '.join(share(figures[way][row]) for way in ways)} |")
    for row in ("ms an image with text", "ms a plain image"):
        lines.append(f"| {row} | {' | '.join(f'{figures[way][row]:.1f}' for way in ways)} |")
    lines.append("")
    if not figures["ultrasound"]:
        return "\n".join([*lines, "deid-data is not installed: `pip install deid-data`"])
    columns = ("lines", "cheap filter", "detector", "both", "by rule")
    lines += [f"| ultrasound | care | {' | '.join(columns)} |", "|---" * 7 + "|"]
    for name, row in figures["ultrasound"].items():
        lines.append(f"| {name} | {row['care']} | {' | '.join(str(row[c]) for c in columns)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``./quorum bench burned-in``; its exit status."""
    parser = argparse.ArgumentParser(prog="quorum bench burned-in", description=__doc__)
    parser.add_argument("--images", type=Path, metavar="FOLDER",
                        help="slices without text (JPEG, PNG) to draw over as well")  # fmt: skip
    parser.add_argument("--deid-data", type=Path, metavar="FOLDER",
                        help="where deid-data lies, if it is not installed")  # fmt: skip
    parser.add_argument("--drawings", type=int, default=180, help="images drawn (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the lines drawn (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args(argv)
    if arguments.drawings < 1:
        parser.error("--drawings must be at least 1")
    cv2.setNumThreads(1)
    figures = measure(arguments.drawings, arguments.seed, arguments.images, arguments.deid_data)
    print(_table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
