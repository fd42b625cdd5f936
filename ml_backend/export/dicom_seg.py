"""DICOM SEG in the de-identified space: one series of segmentations for each source series.

A segmentation refers to images, so the importer's de-identified copies are needed (``./quorum
import --dicom-out DIR``, then ``./quorum export --copies DIR``). Without them the way is the
hospital's: ``./quorum return`` on an export as PNG.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom.planes import size_of
from dicom.quiet import quiet
from dicom.segment import (
    Origin,
    SegmentationError,
    algorithm_of,
    segmentations,
)
from dicom.stored import as_stored
from dicom.views import Drawn

from ..moments import moment
from .formats import About, ExportError, FileRecord, Slice
from .nifti import file_stem

SEGMENTATIONS = "segmentations"

_PSEUDONYM = re.compile(r"[0-9a-f]{20}")


def write(
    slices: Iterator[Slice], out: Path, about: About, *, copies: Path | None = None
) -> Iterator[FileRecord]:
    """Write ``segmentations/SERIES.dcm`` (or ``SERIES-1.dcm``, …), one series in memory at a time.

    copies: the folder of de-identified copies, named after their instances. Raises ExportError if
    there is none, OSError.
    """
    if copies is None or not copies.is_dir():
        raise ExportError(
            "a DICOM segmentation refers to DICOM images: give the folder of the importer's "
            "de-identified copies with --copies (./quorum import --dicom-out makes it), or export "
            "as png and run ./quorum return in the hospital"
        )
    (out / SEGMENTATIONS).mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    for _, group in groupby(slices, key=lambda piece: piece.series_key):
        yield from _series(list(group), out, about, copies, used)


def _series(
    pieces: list[Slice], out: Path, about: About, copies: Path, used: set[str]
) -> Iterator[FileRecord]:
    drawn: dict[int, Drawn] = {}
    headers: dict[str, Dataset] = {}
    tasks: dict[tuple[str, int], int] = {}
    for piece in pieces:
        try:
            one = _drawn(piece, copies, headers)
            first = tasks.setdefault((str(one.image.SOPInstanceUID), one.frame), piece.task_id)
            if first != piece.task_id:
                raise ValueError(f"task {first} is the same image, and its mask is exported")
            drawn[piece.task_id] = one
        except ValueError as error:
            about.problems.append({"task_id": piece.task_id, "reason": str(error)})
    if not drawn:
        return
    made = [piece.made.as_json() for piece in pieces if piece.task_id in drawn]
    origin = Origin(
        labels=about.labels,
        algorithm=algorithm_of(made),
        version=next((one["version"] for one in made if one["version"]), about.version),
        made_at=_moment(about.made_at),
    )
    stem = file_stem(pieces[0].text("series") or pieces[0].name, used)
    try:
        finished = list(segmentations(list(drawn.values()), origin))
    except SegmentationError as error:
        about.problems.extend({"task_id": task, "reason": str(error)} for task in drawn)
        return
    for number, dataset in enumerate(finished, start=1):
        path = f"{SEGMENTATIONS}/{stem}{f'-{number}' if len(finished) > 1 else ''}.dcm"
        dataset.save_as(out / path)
        notes = {"sop_instance_uid": str(dataset.SOPInstanceUID), "algorithm": origin.algorithm}
        yield FileRecord(path, "mask", _tasks_in(dataset, tasks), notes)


def _drawn(piece: Slice, copies: Path, headers: dict[str, Dataset]) -> Drawn:
    """A slice's mask and the header of its copy. Raises ValueError for people."""
    instance = piece.text("instance") or ""
    # What is not a pseudonym of the importer's must not become a path.
    if not _PSEUDONYM.fullmatch(instance):
        raise ValueError("the task does not come from a DICOM image of the importer's")
    if instance not in headers:
        try:
            with quiet():
                headers[instance] = dcmread(copies / f"{instance}.dcm", stop_before_pixels=True)
        except FileNotFoundError:
            raise ValueError(f"there is no copy {instance}.dcm in the folder of copies") from None
        except Exception:  # pydicom's texts quote values
            raise ValueError(f"the copy {instance}.dcm cannot be read") from None
    header, size = headers[instance], size_of(headers[instance])
    if size is None:
        raise ValueError(f"the copy {instance}.dcm is damaged")
    frame = int(piece.number("frame") or 0)
    if not 0 <= frame < int(header.get("NumberOfFrames") or 1):
        raise ValueError(f"the copy {instance}.dcm has no frame {frame}")
    return Drawn(header, frame, as_stored(piece.label_map, *size))


def _tasks_in(dataset: Dataset, tasks: dict[tuple[str, int], int]) -> tuple[int, ...]:
    """The tasks whose images a segmentation's frames refer to."""
    found: dict[int, None] = {}
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        number = int(source.get("ReferencedFrameNumber") or 1) - 1
        found[tasks[str(source.ReferencedSOPInstanceUID), number]] = None
    return tuple(found)


def _moment(text: str) -> datetime:
    """An ISO 8601 moment in UTC, without its zone; now if it is none."""
    when = moment(text) or datetime.now(timezone.utc)
    return when.astimezone(timezone.utc).replace(tzinfo=None, microsecond=0)
