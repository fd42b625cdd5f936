"""An object's frames, looked at one by one: the pictures that may go, or why a person must look."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from dicom.functional_groups import attribute

from . import quarantine
from .burned_in import (
    SAID,
    Box,
    Care,
    Verdict,
    blacken,
    care_for,
    hidden_views,
    is_sample,
    read_frame,
    suspect,
)
from .decode import Pixels, frames
from .image_files import encode
from .quarantine import Release, Seen
from .recipe import BurnedIn, Recipe
from .render import render, square
from .staging import Staged

# Doubts that the frame itself gives, not the object's header or a reader that is not there.
_ABOUT_A_FRAME = ("text-remains", "text-in-the-picture")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass
class Judged:
    """What was found on an object's frames so far."""

    found: tuple[Box, ...]  # on any frame, or at the release: blacked out on the next ones too
    boxes: tuple[Box, ...]  # those and what the header told: all that was blacked out so far
    clear: bool  # all stored values were read for text, and none is known to be left
    redacted: int = 0  # frames on which something was blacked out
    doubt: str = ""  # reason code if a person must look
    frame: int | None = None  # the first that is doubtful and not accepted, from 0
    stored: list[Pixels] = field(default_factory=list)  # for the copy, text blacked out


def verdict_for(dataset: Dataset, recipe: Recipe, release: Release | None) -> Verdict | None:
    """How the pixels must be looked at; None if they need not be."""
    if recipe.burned_in is BurnedIn.OFF or (release is not None and release.how == "original"):
        return None
    if release is not None:
        return verdict_for_person(dataset)
    verdict = care_for(dataset)
    vouched = str(attribute(dataset, "Modality") or "").strip().upper() in recipe.accept
    if verdict.care is Care.HOLD and vouched and verdict.reason not in SAID:
        return Verdict(Care.READ, verdict.reason)
    return verdict


def verdict_for_person(dataset: Dataset) -> Verdict:
    """How the pixels are looked at of what a person is asked about: for the contact sheet and at
    the release alike. A scanner's are read as a screen's are, for there was a doubt.
    """
    verdict = care_for(dataset)
    care = Care.REGIONS if verdict.care is Care.REGIONS else Care.READ
    return Verdict(care, verdict.reason, doubted=True)


def release_for(dataset: Dataset, instance: str, recipe: Recipe, released: str) -> Release | None:
    """How a person lets the object go, now or since an earlier import."""
    if released:
        seen = Seen(frames=None)
        if released == "redacted" and recipe.quarantine is not None:
            seen = quarantine.seen_of(recipe.quarantine, instance)
        boxes = (*recipe.black_out, *seen.boxes)
        return Release(released, boxes, pixel_digest(dataset), seen.frames)
    if recipe.quarantine is None:
        return None
    noted = quarantine.release_of(recipe.quarantine, instance)
    return noted if noted is not None and noted.pixels == pixel_digest(dataset) else None


def judge(
    dataset: Dataset,
    data: Mapping[str, Any],
    files: Mapping[int, Sequence[Path]],
    images: Staged,
    verdict: Verdict | None,
    release: Release | None,
    recipe: Recipe,
    *,
    copying: bool,
) -> Judged:
    """Stage the pictures of all frames, up to the first that a person has yet to look at.

    files: by frame, one for each of the recipe's windows. Raises DecodeError, OSError.
    """
    # A scanner's slice has OCR on samples only: that is no claim of clean pixels.
    whole = verdict is not None and verdict.care is not Care.SCAN
    drawn = release.boxes if release else recipe.black_out
    judged = Judged(drawn, drawn, clear=whole)
    for frame, pixels in enumerate(frames(dataset, recipe.limits)):
        if frame not in files and not copying:
            continue
        shown = [render(pixels, dataset, frame, window) for window in recipe.windows]
        if verdict is not None:
            sample = is_sample(data["series"], data["instance"], recipe.ocr_every)
            # The copy has all stored values, also those that no window of ours shows.
            hidden = hidden_views(pixels, shown[0]) if copying and whole else ()
            read = read_frame(shown, hidden, dataset, verdict, judged.found, sample=sample)
            other = set(read.found) - set(judged.found)
            shown, judged.found, judged.boxes = read.shown, read.found, read.boxes
            judged.clear &= read.clear
            if read.boxes:
                suspect(data["series"], care_for(dataset))  # a scanner's, released or not
            judged.doubt = read.doubt
            if not read.doubt and read.boxes and recipe.burned_in is BurnedIn.QUARANTINE:
                judged.doubt = "shows-text"
            if judged.doubt and not _is_accepted(judged.doubt, frame, release, bool(other)):
                judged.frame = frame
                return judged
        elif judged.boxes:
            shown = [blacken(image, judged.boxes) for image in shown]
        judged.redacted += bool(judged.boxes)
        if recipe.dry_run:
            continue
        if copying:
            judged.stored.append(_without(pixels, judged.boxes, dataset))
        for image, file in zip(shown, files.get(frame, ()), strict=False):
            upright = square(image, dataset, frame) if recipe.square_pixels else image
            images.add(file, encode(upright, recipe.image_format))
    return judged


def _is_accepted(doubt: str, frame: int, release: Release | None, is_other: bool) -> bool:
    """Whether a person has let a doubt pass: any on a frame that they saw, or that the header gave
    or no text-reading can dispel; on others none about text that was on no frame before.
    """
    if release is None:
        return False
    if release.seen is None or frame in release.seen:
        return True
    return doubt not in _ABOUT_A_FRAME or (doubt == "text-in-the-picture" and not is_other)


def pixel_digest(dataset: Dataset) -> str:
    """SHA-256 of the pixels as they are stored, and of their shape, in hex."""
    shape = [attribute(dataset, k) for k in ("Rows", "Columns", "NumberOfFrames")]
    digest = hashlib.sha256(repr(shape).encode())
    for keyword in PIXELS:
        if keyword in dataset:
            digest.update(dataset[keyword].value or b"")
    return digest.hexdigest()


def _without(pixels: Pixels, boxes: Sequence[Box], dataset: Dataset) -> Pixels:
    """Stored values with the boxes at the value that is shown as black."""
    if not boxes:
        return pixels
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        return blacken(pixels, boxes, int(pixels.max()))
    return blacken(pixels, boxes, 0 if pixels.ndim == 3 else int(pixels.min()))
