"""Finds text in a rendered image, blacks it out and reads the result again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from .banners import banner_boxes
from .boxes import Box, blacken, grown, inside, mask_of, touch
from .regions import RegionsError, kept_regions, outside
from .rules import Care, Verdict, declares_text
from .strokes import cheap_boxes, grey
from .text import OcrMissingError, ocr_boxes, text_boxes

# Blacked out and read again at most so often; what is still found then is for a person.
_ROUNDS = 3
# Text over more than this share of what the picture shows hides findings, or is no text.
_MOST_OF_PICTURE = 0.03
_MOST_OF_IMAGE = 0.25
# A sample is looked at once; only what that finds is worth the two scales that cost twice as much.
_GLANCE = (1.5,)
# Around an alarm of the cheap filter, for the text detector's closer look.
_MARGIN_PX = 24


@dataclass(frozen=True)
class Cleaned:
    """An image that was looked at for text, and what was done to it."""

    image: NDArray[np.uint8]
    """(H, W) or (H, W, 3), as given but for what was blacked out."""
    boxes: tuple[Box, ...]
    """What was blacked out, in pixels; they may overlap."""
    found: tuple[Box, ...]
    """Of these what was seen, here or in an earlier frame; the rest is known from the header."""
    doubt: str | None
    """Reason code if a person must look: the verdict's for HOLD, or "no-ocr", "text-remains",
    "text-in-the-picture", "declared-text-not-found", "ultrasound-regions-invalid" and its like."""
    read: bool
    """Whether the text detector looked at it."""

    @property
    def clear(self) -> bool:
        """Whether it was read and no text is known to be left; whatever else is doubtful."""
        return self.read and self.doubt in (None, "text-in-the-picture")


def clean(
    image: NDArray[np.uint8],
    dataset: Dataset,
    verdict: Verdict,
    *,
    sample: bool,
    before: Sequence[Box] = (),
) -> Cleaned:
    """Black out what looks like text in a rendered (H, W) or (H, W, 3) uint8 frame.

    SCAN runs the cheap filter, and the text detector if that alarms or for a `sample`; all others
    run both, after the device's banner is black or what lies outside an ultrasound's regions, and
    both of these if a person is asked. What was found in an earlier frame (`before`, its `found`)
    is blacked out unread, which saves a reading.
    Raises ValueError for another shape or type.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError("an image must be (H, W) or (H, W, 3) uint8")
    if verdict.care is Care.SCAN:
        alarms = cheap_boxes(image)
        if not (alarms or before):
            if not sample:
                return Cleaned(image, (), (), None, False)
            with contextlib.suppress(OcrMissingError):  # held below
                if not ocr_boxes(image, scales=_GLANCE):
                    return Cleaned(image, (), (), None, True)
    height, width = image.shape[:2]
    known: tuple[Box, ...] = ()
    doubt: str | None = verdict.reason if verdict.care is Care.HOLD else None
    if verdict.care is Care.REGIONS:
        try:
            known = outside(kept_regions(dataset), height, width)
        except RegionsError as error:
            doubt = str(error)
    if verdict.doubted or verdict.care in (Care.READ, Care.HOLD):
        known = (*known, *banner_boxes(dataset, height, width))
    found: list[Box] = list(before)
    work = blacken(image, (*known, *found)) if known or found else image
    remains = False
    try:
        for _ in range(_ROUNDS):
            seen = _confirmed(work) if verdict.care is Care.SCAN else text_boxes(work)
            remains = bool(seen)
            if not seen:
                break
            found += seen
            work = blacken(work, seen)
        else:
            remains = bool(_confirmed(work) if verdict.care is Care.SCAN else text_boxes(work))
        read = True
    except OcrMissingError:
        # Fail closed: what the cheap filter sees goes, and a person looks.
        found += cheap_boxes(work)
        work, read, doubt = blacken(work, found), False, doubt or "no-ocr"
    if doubt is None and remains:
        doubt = "text-remains"
    if doubt is None and _in_picture(image, known, found):
        doubt = "text-in-the-picture"
    if doubt is None and not (known or found) and declares_text(dataset):
        doubt = "declared-text-not-found"
    seen_here = tuple(dict.fromkeys(found))
    return Cleaned(work, (*known, *seen_here), seen_here, doubt, read)


def _confirmed(image: NDArray[np.uint8]) -> tuple[Box, ...]:
    """Text in a scanner's slice: the detector's boxes, and the cheap filter's that touch one.

    An alarm of the cheap filter alone is more often bone or metal than text, so the detector looks
    at it again, three times as large; what it does not see then stays.
    """
    height, width = image.shape[:2]
    seen = list(ocr_boxes(image))
    alarms = cheap_boxes(image)
    for alarm in alarms:
        if any(touch(alarm, box) for box in seen):
            continue
        place = inside(grown(alarm, _MARGIN_PX, _MARGIN_PX), height, width)
        if place is not None:
            row0, column0, row1, column1 = place
            closer = ocr_boxes(image[row0:row1, column0:column1], scales=(1.5, 3.0))
            seen += [
                (r0 + row0, c0 + column0, r1 + row0, c1 + column0) for r0, c0, r1, c1 in closer
            ]
    return (*seen, *(alarm for alarm in alarms if any(touch(alarm, box) for box in seen)))


def _in_picture(image: NDArray[np.uint8], known: tuple[Box, ...], found: list[Box]) -> bool:
    """Whether found text lies over a good part of the picture itself, or over most of the image."""
    if not found:
        return False
    height, width = image.shape[:2]
    text = mask_of(found, height, width)
    if text.mean() > _MOST_OF_IMAGE:
        return True
    # The picture: what is not dark and wider than a letter's stroke.
    shown = (grey(blacken(image, known)) > 24).astype(np.uint8)
    picture = np.asarray(cv2.morphologyEx(shown, cv2.MORPH_OPEN, np.ones((15, 15), np.uint8))) > 0
    area = int(picture.sum())
    return bool(area and (picture & text).sum() > _MOST_OF_PICTURE * area)
