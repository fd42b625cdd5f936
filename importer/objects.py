"""What becomes of one DICOM object: its slices' files and task data, or why there are none.

This runs in a worker that may be killed at any moment, so each file is written under a temporary
name and renamed, and what the parent hears is complete or nothing.
"""

from __future__ import annotations

import errno
import hashlib
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from . import quarantine
from .burned_in import Box, Care, Verdict, blacken, care_for, clean
from .copies import CopyError, rebuild
from .decode import DecodeError, Pixels, frames, parse, quiet, to_rgb
from .deidentify import allowed_attributes, dropped_keywords, identifiers, position_along_normal_mm
from .functional_groups import attribute
from .image_files import encode
from .journal import write_atomically
from .pseudonyms import pseudonym
from .recipe import BurnedIn, Recipe
from .render import Rendered, render, square

# How many frames of a held object a person is shown.
_PICTURES = 6

# Series of which this worker has had a slice read by OCR, and those that showed text.
_sampled: set[str] = set()
_suspicious: set[str] = set()


class OutOfSpace(Exception):
    """The disk is full: the import cannot go on, and goes on from here when there is room."""


@dataclass
class Slice:
    """One task's data, and where the slice lies in the scanner's coordinates."""

    data: dict[str, Any]
    position_mm: float | None


@dataclass
class Outcome:
    """What became of an object. `reason` is a code, never a value of the object."""

    kind: str  # "slices", "not-dicom", "without-pixels", "held" or "unreadable"
    reason: str = ""
    where: str = ""  # "render.py:44", where the importer met an unexpected failure
    digest: str = "-"  # 12 hex digits of the content's SHA-256, for those that need a name
    slices: list[Slice] = field(default_factory=list)
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)  # for the vault
    redacted: int = 0  # slices on which something was blacked out
    copied: int = 0
    copy_problem: str = ""  # reason code: the slices came in, the DICOM copy could not be made
    dropped: Counter[str] = field(default_factory=Counter)  # attributes by keyword, in a dry run


def process(content: bytes | None, path: str, recipe: Recipe, released: str = "") -> Outcome:
    """Import one object, given as bytes or by its path.

    `released` is "redacted" or "original" if a person has looked at a held object and said how it
    may go. Raises OutOfSpace, MemoryError.
    """
    try:
        if content is None:
            content = Path(path).read_bytes()
    except OSError:
        return Outcome("unreadable", "cannot-be-read")
    try:
        with quiet():
            outcome = _process(content, recipe, released)
    except DecodeError as error:
        outcome = Outcome("unreadable", error.reason)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpace from None
        raise
    except (MemoryError, OutOfSpace):
        raise
    except Exception as error:  # pydicom converts lazily: any access can fail, its text may quote
        outcome = Outcome("unreadable", "damaged", where=_place(error))
    if outcome.kind in ("held", "unreadable"):
        outcome.digest = hashlib.sha256(content).hexdigest()[:12]
    return outcome


def _place(error: BaseException) -> str:
    """The last line of this package that a failure passed: tells a bug from a damaged file."""
    frames_passed = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent.parts[-2:].count("importer")
    ]
    return frames_passed[-1] if frames_passed else ""


def _process(content: bytes, recipe: Recipe, released: str) -> Outcome:
    # A dry run counts what stays behind, and copies are built by code that reads all there is.
    whole = recipe.dry_run or recipe.copies is not None
    dataset = parse(content, recipe.limits, whole=whole)
    if dataset is None or attribute(dataset, "DirectoryRecordSequence"):
        return Outcome("not-dicom")
    if not any(k in dataset for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        # The standard's own name of the class; one it does not know is not echoed.
        name = getattr(dataset.SOPClassUID, "name", "")
        return Outcome(
            "without-pixels", name if name and name[0].isalpha() else "unknown SOP class"
        )
    try:
        data = allowed_attributes(dataset, recipe.key)
    except ValueError:
        return Outcome("unreadable", "missing-identifier")
    slices = _slices(dataset, data, recipe)
    outcome = Outcome("slices", slices=slices, identities=identifiers(dataset, data))
    if recipe.dry_run:
        outcome.dropped = dropped_keywords(dataset)
    copy = recipe.copies / f"{data['instance']}.dcm" if recipe.copies else None
    if _all_there(slices, copy, recipe):
        return outcome
    verdict = _verdict(dataset, recipe, released)
    if verdict is not None and verdict.care is Care.HOLD:
        return _hold(content, dataset, data, verdict.reason, recipe)
    stored: list[Pixels] = []
    wanted = {entry.data["frame"]: entry for entry in slices}
    boxes: tuple[Box, ...] = recipe.black_out
    for frame, pixels in enumerate(frames(dataset, recipe.limits)):
        if frame not in wanted and copy is None:
            continue
        colour = to_rgb(pixels, dataset)
        shown = [render(colour, dataset, frame, window) for window in recipe.windows]
        reason = ""
        if verdict is not None:
            shown, boxes, reason = _cleaned(shown, boxes, dataset, data, verdict, recipe)
        elif boxes:
            shown = [blacken(image, boxes) for image in shown]
        if reason and not released:
            # One doubtful frame holds the whole object.
            for file in (file for entry in slices for file in _files(entry, recipe)):
                file.unlink(missing_ok=True)
            return _hold(content, dataset, data, reason, recipe)
        outcome.redacted += bool(boxes)
        if copy is not None:
            stored.append(blacken(colour, boxes, _darkest(colour, dataset)) if boxes else colour)
        if frame in wanted and not recipe.dry_run:
            _write_images(wanted[frame], shown, dataset, frame, recipe)
    if copy is not None and not recipe.dry_run:
        try:
            # A scanner's slice has had OCR on samples only: that is no claim of clean pixels.
            checked = verdict is not None and verdict.care is not Care.SCAN
            write_atomically(copy, rebuild(dataset, stored, recipe.key, cleaned=checked))
            outcome.copied = 1
        except CopyError as error:
            outcome.copy_problem = error.reason
    return outcome


def _slices(dataset: Dataset, data: dict[str, Any], recipe: Recipe) -> list[Slice]:
    count = int(attribute(dataset, "NumberOfFrames") or 1)
    if count > recipe.limits.frames or count < 1:
        raise DecodeError("too-large")
    made = []
    for frame in range(0, count, recipe.frame_step):
        name = pseudonym(recipe.key, "slice", f"{data['instance']}/{frame}")
        images = {
            key: f"images/{name}{'' if key == 'image' else '-' + window}.{recipe.suffix}"
            for window, key in recipe.image_keys().items()
        }
        task = {**images, "slice": name, "frame": frame, **data}
        made.append(Slice(task, position_along_normal_mm(dataset, frame)))
    return made


def _files(entry: Slice, recipe: Recipe) -> list[Path]:
    keys = recipe.image_keys().values()
    return [recipe.images / entry.data[key].rpartition("/")[2] for key in keys]


def _all_there(slices: Sequence[Slice], copy: Path | None, recipe: Recipe) -> bool:
    """Whether an earlier import has made every file, so that nothing need be decoded."""
    if recipe.dry_run or (copy is not None and not copy.exists()):
        return False
    return all(file.exists() for entry in slices for file in _files(entry, recipe))


def _verdict(dataset: Dataset, recipe: Recipe, released: str) -> Verdict | None:
    """How the pixels must be looked at; None if they need not be."""
    if recipe.burned_in is BurnedIn.OFF or released == "original":
        return None
    verdict = care_for(dataset)
    vouched = str(attribute(dataset, "Modality") or "").strip().upper() in recipe.accept
    if verdict.care is Care.HOLD and (released or vouched):
        return Verdict(Care.READ, verdict.reason)
    return verdict


def _cleaned(
    shown: list[Rendered],
    before: tuple[Box, ...],
    dataset: Dataset,
    data: dict[str, Any],
    verdict: Verdict,
    recipe: Recipe,
) -> tuple[list[Rendered], tuple[Box, ...], str]:
    """A frame's windows with text blacked out, the boxes, and why a person must look, if so.

    What one window hides, white on white, another shows: each is read, and what is found in one is
    blacked out in all.
    """
    series = data["series"]
    # The first of each series; a keyed draw of the rest: the same slices at every import, and none
    # that can be foreseen.
    sample = (
        series not in _sampled
        or series in _suspicious
        or int(data["instance"][:8], 16) % recipe.ocr_every == 0
    )
    _sampled.add(series)
    read = [clean(image, dataset, verdict, sample=sample, before=before) for image in shown]
    boxes = tuple(dict.fromkeys(box for cleaned in read for box in cleaned.boxes))
    if boxes and verdict.care is Care.SCAN:
        _suspicious.add(series)
    doubts = [cleaned.doubt for cleaned in read if cleaned.doubt]
    if not doubts and boxes and recipe.burned_in is BurnedIn.QUARANTINE:
        doubts = ["shows-text"]
    if len(read) == 1:
        return [read[0].image], boxes, doubts[0] if doubts else ""
    return [blacken(image, boxes) for image in shown], boxes, doubts[0] if doubts else ""


def _darkest(pixels: Pixels, dataset: Dataset) -> int:
    """The stored value that is shown as black."""
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        return int(pixels.max())
    return 0 if pixels.ndim == 3 else int(pixels.min())


def _write_images(
    entry: Slice, shown: Sequence[Rendered], dataset: Dataset, frame: int, recipe: Recipe
) -> None:
    for image, file in zip(shown, _files(entry, recipe), strict=True):
        upright = square(image, dataset, frame) if recipe.square_pixels else image
        write_atomically(file, encode(upright, recipe.image_format))


def _hold(
    content: bytes, dataset: Dataset, data: dict[str, Any], reason: str, recipe: Recipe
) -> Outcome:
    """Set an object aside for a person, with pictures of some frames before and after."""
    if recipe.quarantine is not None and not recipe.dry_run:
        count = int(attribute(dataset, "NumberOfFrames") or 1)
        shown = set(range(0, count, max(1, -(-count // _PICTURES))))
        pictures = []
        for frame, pixels in enumerate(frames(dataset, recipe.limits)):
            if frame in shown:
                before = render(to_rgb(pixels, dataset), dataset, frame, recipe.windows[0])
                verdict = Verdict(Care.READ, reason)
                pictures.append((before, clean(before, dataset, verdict, sample=True).image))
        quarantine.hold(recipe.quarantine, data["instance"], content, reason, pictures)
    return Outcome("held", reason, identities=identifiers(dataset, data))
