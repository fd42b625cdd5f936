"""Lines of invented names, numbers and days, drawn into images as scanners do."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from importer.burned_in import Box

Rendered = npt.NDArray[np.uint8]

SIZES_PX = (8, 10, 12, 16, 24, 40)
STYLES = ("bright", "grey", "dark on bright", "outlined", "faint")
# What a person reads at a glance.
CLEAR_HEIGHT_PX = 10
CLEAR_CONTRAST = 80
CLEAR_SHARE = 0.95
_FAMILIES = "ADEMOLA BRANDT CHEN DUBOIS ESPOSITO FUJIMORI GARCIA HOLM IVANOVA JANSEN".split()
_GIVEN = "Ana Bo Chidi Dolores Emil Fatima Gustav Hanna Igor Jolanta".split()
_HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_PLAIN)


@dataclass(frozen=True)
class Line:
    """One drawn line of text: where its ink is, how it was drawn and how it stands out."""

    box: Box
    size_px: int
    style: str
    clear: bool


def write_lines(
    image: Rendered, size_px: int, style: str, rng: np.random.Generator
) -> tuple[Rendered, list[Line]]:
    """The image with one to four lines of text, and where they are."""
    canvas = image.copy()
    lines: list[Line] = []
    taken = np.zeros(image.shape, dtype=bool)
    for _ in range(int(rng.integers(1, 5))):
        ink = _ink(_words(rng), size_px, rng)
        height, width = ink.shape
        if height + 4 > image.shape[0] or width + 4 > image.shape[1]:
            continue
        row = _place(image.shape[0] - height, rng)
        column = _place(image.shape[1] - width, rng)
        around = (
            slice(max(0, row - 4), row + height + 4),
            slice(max(0, column - 4), column + width + 4),
        )
        if taken[around].any():
            continue
        taken[around] = True
        lines.append(_stamp(canvas, ink, row, column, size_px, style, rng))
    return canvas, lines


def _place(room: int, rng: np.random.Generator) -> int:
    """Half of the lines stand near an edge, as scanners write them, the others anywhere."""
    if rng.random() < 0.5:
        return int(rng.integers(2, room - 1))
    return int(rng.choice([2, room - 2]))


def _words(rng: np.random.Generator) -> str:
    family, given = rng.choice(_FAMILIES), rng.choice(_GIVEN)
    day = f"{rng.integers(1930, 2020)}-{rng.integers(1, 13):02}-{rng.integers(1, 29):02}"
    return str(
        rng.choice(
            [
                f"{family}, {given}",
                f"{given} {str(family).title()}",
                f"{family}^{str(given).upper()}",
                f"ID {rng.integers(10**5, 10**8)}",
                day,
                f"*{day}",
                f"{rng.integers(1, 24)}:{rng.integers(0, 60):02} {day}",
                "General Hospital",
                f"{str(family)[:3]} {rng.integers(10, 99)}Y {rng.choice(['M', 'F'])}",
            ]
        )
    )


def _ink(text: str, size_px: int, rng: np.random.Generator) -> Rendered:
    """Coverage 0 to 255 of a line, cut to its ink and size_px high within a pixel."""
    kind = rng.integers(0, 3)
    canvas: Rendered = np.zeros((160, 40 * len(text) + 80), dtype=np.uint8)
    if kind == 0:
        face = int(rng.choice(_HERSHEY))
        unit = 12.0 if face == cv2.FONT_HERSHEY_PLAIN else 28.0
        cv2.putText(canvas, text, (20, 110), face, size_px / unit,
                    255, 1 + size_px // 20, cv2.LINE_AA)  # fmt: skip
    elif kind == 1 and size_px <= 24:  # a scanner's own dot matrix, in whole multiples
        tile = Image.new("L", (12 * len(text) + 20, 30))
        ImageDraw.Draw(tile).text((5, 5), text, font=ImageFont.load_default_imagefont(), fill=255)
        factor = max(1, round(size_px / 10))
        canvas = np.kron(np.asarray(tile), np.ones((factor, factor), np.uint8)).astype(np.uint8)
    else:
        for points in range(size_px // 2, 2 * size_px + 2):
            font = ImageFont.load_default(points)
            left, top, right, bottom = font.getbbox(text)
            if bottom - top >= size_px:
                break
        sheet = Image.new("L", (int(right - left) + 20, int(bottom - top) + 20))
        ImageDraw.Draw(sheet).text((10 - left, 10 - top), text, font=font, fill=255)
        canvas = np.asarray(sheet)
    rows, columns = np.flatnonzero(canvas.max(1) > 96), np.flatnonzero(canvas.max(0) > 96)
    return canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _stamp(
    canvas: Rendered,
    ink: Rendered,
    row: int,
    column: int,
    size_px: int,
    style: str,
    rng: np.random.Generator,
) -> Line:
    """Draw the ink into the canvas; the line."""
    height, width = ink.shape
    place = (slice(row, row + height), slice(column, column + width))
    if style == "dark on bright":
        m = 3
        canvas[max(0, row - m) : row + height + m, max(0, column - m) : column + width + m] = (
            rng.integers(170, 256)
        )
    grey: int = {
        "bright": int(rng.integers(235, 256)),
        "grey": int(rng.integers(150, 200)),
        "dark on bright": int(rng.integers(0, 40)),
        "outlined": 255,
        "faint": int(rng.integers(50, 90)),
    }[style]
    if style == "outlined":
        padded = np.pad(ink, 2)
        edge = cv2.dilate(padded, np.ones((3, 3), np.uint8))
        around = np.asarray(edge[2:-2, 2:-2], np.float64) / 255
        canvas[place] = np.rint(canvas[place] * (1 - around)).astype(np.uint8)
    below = canvas[place].astype(float)
    part = ink.astype(float) / 255
    canvas[place] = np.rint(below * (1 - part) + float(grey) * part).astype(np.uint8)
    stands_out = np.abs(float(grey) - below[ink > 128]) >= CLEAR_CONTRAST
    visible = 1.0 if style == "outlined" else float(stands_out.mean())
    clear = height >= CLEAR_HEIGHT_PX and visible >= CLEAR_SHARE
    box = (row, column, row + height, column + width)
    return Line(box, size_px, style, clear)
