"""One frame in all its pictures: read for text, and blacked out alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from .boxes import Box, blacken
from .clean import clean
from .rules import Care, Verdict

Picture = NDArray[np.uint8]

# Series of which this process has had a slice read by OCR, and those that showed text.
_sampled: set[str] = set()
_suspicious: set[str] = set()


@dataclass(frozen=True)
class FrameRead:
    """What was found on a frame, and its pictures without it."""

    shown: list[Picture]
    boxes: tuple[Box, ...]  # all that was blacked out, in pixels
    found: tuple[Box, ...]  # of these what was seen: `before` of the next frame
    doubt: str  # reason code if a person must look, else empty
    clear: bool  # every picture was read, the hidden ones too, and no text is known to be left


def read_frame(
    shown: Sequence[Picture],
    hidden: Sequence[Picture],
    dataset: Dataset,
    verdict: Verdict,
    before: Sequence[Box],
    *,
    sample: bool,
) -> FrameRead:
    """Black out text in a frame's windows, which are `shown`; `hidden` ones are read alone.

    What one window hides, white on white, another shows: each is read, and what is found in one is
    blacked out in all.
    """
    read = [
        clean(image, dataset, verdict, sample=sample, before=before) for image in (*shown, *hidden)
    ]
    boxes = tuple(dict.fromkeys(box for cleaned in read for box in cleaned.boxes))
    return FrameRead(
        [read[0].image] if len(read) == 1 else [blacken(image, boxes) for image in shown],
        boxes,
        tuple(dict.fromkeys(box for cleaned in read for box in cleaned.found)),
        next((cleaned.doubt for cleaned in read if cleaned.doubt), ""),
        all(cleaned.clear for cleaned in read),
    )


def is_sample(series: str, instance: str, every: int) -> bool:
    """Whether a scanner's slice is read by OCR: the first of each series that this process sees, a
    keyed draw of one in `every` of the rest, and all once one has shown text.

    A draw by the pseudonym is the same at every import, and none that can be foreseen.
    """
    first = series not in _sampled
    _sampled.add(series)
    return first or series in _suspicious or int(instance[:8], 16) % every == 0


def suspect(series: str, verdict: Verdict) -> None:
    """Have the series' next slices read, if they are a scanner's: this one showed text."""
    if verdict.care is Care.SCAN:
        _suspicious.add(series)
