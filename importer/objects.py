"""What becomes of one DICOM object: its slices' files and task data, or why there are none.

This runs in a worker that may be killed at any moment, so each file is written under a temporary
name and renamed, and what the parent hears is complete or nothing.
"""

from __future__ import annotations

import errno
import hashlib
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary

from dicom.functional_groups import attribute
from dicom.quiet import quiet

from . import quarantine
from .burned_in import Care
from .claims import claim, claimed
from .copies import CopyError, obstacle, rebuild
from .decode import DecodeError, parse
from .deidentify import allowed_attributes, dropped_keywords, identifiers, position_along_normal_mm
from .journal import write_atomically
from .judging import PIXELS, judge, pixel_digest, release_for, verdict_for
from .pseudonyms import pseudonym
from .recipe import Recipe
from .showing import look
from .staging import Staged

# What an object takes in memory before it is copied: the file, its stream and its data set.
_TIMES_THE_FILE = 3


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
    instance: str = ""  # pseudonym
    pixels: str = ""  # tells an object's stored pixels from others' (see are_other_pixels)
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
        outcome.digest = content_digest(content)
    return outcome


def content_digest(content: bytes) -> str:
    """12 hex digits of an object's SHA-256: how a report names it."""
    return hashlib.sha256(content).hexdigest()[:12]


def _place(error: BaseException) -> str:
    """The last line of our own that a failure passed: tells a bug from a damaged file."""
    frames_passed = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if {"importer", "dicom"} & set(Path(frame.filename).parent.parts[-2:])
    ]
    return frames_passed[-1] if frames_passed else ""


def _process(content: bytes, recipe: Recipe, released: str) -> Outcome:
    # A dry run counts what stays behind, and copies are built by code that reads all there is.
    whole = recipe.dry_run or recipe.copies is not None
    dataset = parse(content, recipe.limits, whole=whole)
    if dataset is None or attribute(dataset, "DirectoryRecordSequence"):
        return Outcome("not-dicom")
    if not any(keyword in dataset for keyword in PIXELS):
        return Outcome("without-pixels", _class_name(dataset))
    try:
        data = allowed_attributes(dataset, recipe.key)
    except ValueError:
        return Outcome("unreadable", "missing-identifier")
    slices = _slices(dataset, data, recipe)
    outcome = Outcome(
        "slices",
        instance=data["instance"],
        pixels=_pixels(dataset, recipe),
        slices=slices,
        identities=identifiers(dataset, data),
    )
    if recipe.dry_run:
        outcome.dropped = dropped_keywords(dataset)
    copy = recipe.copies / f"{data['instance']}.dcm" if recipe.copies else None
    if copy is not None:
        free = recipe.limits.memory_bytes - _TIMES_THE_FILE * len(content)
        outcome.copy_problem = obstacle(dataset, free)
        copy = None if outcome.copy_problem else copy
    if not released and _all_there(slices, copy, recipe):
        another = are_other_pixels(claimed(recipe.images, outcome.instance), outcome.pixels)
        return _refused(outcome) if another else outcome
    release = release_for(dataset, data["instance"], recipe, released)
    verdict = verdict_for(dataset, recipe, release)
    if verdict is not None and verdict.care is Care.HOLD:
        return _hold(content, dataset, outcome, verdict.reason, recipe)
    files = {entry.data["frame"]: _files(entry, recipe) for entry in slices}
    copying = copy is not None
    with Staged() as images:
        made = judge(dataset, data, files, images, verdict, release, recipe, copying=copying)
        if made.frame is not None:  # one doubtful frame holds the whole object
            reason = made.doubt if release is None else "other-frames"
            return _hold(content, dataset, outcome, reason, recipe, made.frame)
        if not recipe.dry_run and _are_another_s(files, outcome, recipe):
            return _refused(outcome)
        if released and release is not None and recipe.quarantine and not recipe.dry_run:
            noted = replace(release, boxes=made.boxes)
            quarantine.note_release(recipe.quarantine, data["instance"], noted)
        images.keep()
    outcome.redacted = made.redacted
    if copy is not None and not recipe.dry_run:
        try:
            write_atomically(copy, rebuild(dataset, made.stored, recipe.key, cleaned=made.clear))
            outcome.copied = 1
        except CopyError as error:
            outcome.copy_problem = error.reason
    return outcome


def _class_name(dataset: Dataset) -> str:
    """The standard's own name of the class; what it does not know is not echoed."""
    uid = dataset.SOPClassUID
    entry = UID_dictionary.get(uid) if isinstance(uid, str) else None
    return entry[0] if entry else "unknown SOP class"


def _pixels(dataset: Dataset, recipe: Recipe) -> str:
    """The transfer syntax and a pseudonym of the stored pixels, as they are encoded."""
    name = pseudonym(recipe.key, "pixels", pixel_digest(dataset))
    return f"{dataset.file_meta.get('TransferSyntaxUID', '')}:{name}"


def are_other_pixels(known: str, pixels: str) -> bool:
    """Whether an Outcome's pixels are not those known; "" if nothing is known.

    An archive may send one image in either of two encodings: they are not taken for others.
    """
    same_syntax = known.partition(":")[0] == pixels.partition(":")[0]
    return bool(known) and same_syntax and known != pixels


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
    if recipe.dry_run or (copy is not None and not _is_whole(copy)):
        return False
    return all(_is_whole(file) for entry in slices for file in _files(entry, recipe))


def _is_whole(file: Path) -> bool:
    """Whether a file is there and not empty, as a power cut leaves what had its name in time."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _refused(found: Outcome) -> Outcome:
    """What becomes of an object whose identifier an image with other pixels has."""
    return replace(found, kind="unreadable", reason="same-identifier", slices=[])


def _are_another_s(files: Mapping[int, Sequence[Path]], found: Outcome, recipe: Recipe) -> bool:
    """Whether the names of an object's pictures are those of other pixels; else they are its own
    from now on.
    """
    there = any(file.exists() for each in files.values() for file in each)
    whose = claim(recipe.images, found.instance, found.pixels, there=there)
    return are_other_pixels(whose, found.pixels)


def _hold(
    content: bytes,
    dataset: Dataset,
    found: Outcome,
    reason: str,
    recipe: Recipe,
    doubtful: int | None = None,
) -> Outcome:
    """Set an object aside for a person, with pictures of some frames before and after.

    `doubtful` is the frame that gave the reason, None if the header did. If a release met with it,
    on "other-frames" than were shown, all are read for the new pictures. Another image that is held
    under its identifier stays, and this one is not held.
    """
    held = replace(found, kind="held", reason=reason, slices=[])
    if recipe.quarantine is None or recipe.dry_run:
        return held
    again = reason == "other-frames"
    wanted = {doubtful} if doubtful is not None else set()
    if again:
        wanted |= quarantine.seen_of(recipe.quarantine, found.instance).frames or set()
    shown = look(dataset, recipe, wanted, throughout=again)
    with quarantine.one_at_a_time(recipe.quarantine):
        if are_other_pixels(quarantine.pixels_of(recipe.quarantine, found.instance), found.pixels):
            return _refused(found)
        quarantine.hold(
            recipe.quarantine,
            found.instance,
            content,
            reason,
            found.pixels,
            shown.pictures,
            shown.seen,
        )
    return held
