"""NIfTI: a volume, its label map and a JSON sidecar for each series, ``volumes/SERIES_….nii.gz``.

Slices come with their place in the series, not in the scanner: the affine is of the series' own
frame (see docs/geometry.md), unless the hospital gave the true planes (``geometry``).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from dicom.planes import Plane, own_plane
from dicom.stored import as_stored
from dicom.volumes import VolumeSlice, write_volumes

from ..spacing import stored_spacing
from .formats import About, ExportError, FileRecord, Slice, number_of, text_of

VOLUMES = "volumes"

# The true planes by instance and frame, as ``./quorum return --format geometry`` writes them.
Planes = Mapping[tuple[str, int], Plane]

_LONGEST_MM = 1000.0  # of a slice's thickness
_FURTHEST_MM = 1e9  # what lies further along its series is no position: a volume of its own

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}")
# Names that Windows keeps for devices, whatever follows the first dot.
_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]", re.IGNORECASE)


def write(
    slices: Iterator[Slice], out: Path, about: About, *, geometry: Path | None = None
) -> Iterator[FileRecord]:
    """Write each series' volumes, one series in memory at a time.

    Pixels that were stretched to be square for the picture are brought back to the stored matrix.
    Slices without a series are volumes of their own. Raises ExportError, OSError.
    """
    planes = read_geometry(geometry) if geometry else None
    (out / VOLUMES).mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    for _, group in groupby(slices, key=lambda piece: piece.series_key):
        yield from _series(list(group), out, about, planes, used)


def _series(
    pieces: list[Slice], out: Path, about: About, planes: Planes | None, used: set[str]
) -> Iterator[FileRecord]:
    ready: dict[int, VolumeSlice] = {}  # by task
    for piece in pieces:
        try:
            ready[piece.task_id] = _placed(piece, planes)
        except ValueError as error:
            about.problems.append({"task_id": piece.task_id, "reason": str(error)})
    if not ready:
        return
    size = next(iter(ready.values())).size
    slices: dict[int, VolumeSlice] = {}
    # The grid is the whole series', whatever of it is exported.
    for task_id, data in about.tasks.get(pieces[0].series_key, ()):
        slices[task_id] = ready.get(task_id) or _bare_place(data, planes, size)
    slices = slices if ready.keys() <= slices.keys() else ready
    tasks = list(slices)
    files = write_volumes(
        list(slices.values()),
        out / VOLUMES,
        file_stem(pieces[0].text("series") or pieces[0].name, used),
        _sidecar(pieces, about),
        in_scanner=planes is not None,
    )
    for file in files:
        yield FileRecord(
            path=f"{VOLUMES}/{file.path.name}",
            role=file.role,  # type: ignore[arg-type]
            tasks=tuple(tasks[index] for index in file.slices),
            notes={"affine": file.affine.tolist()} if file.affine is not None else {},
        )


def _placed(piece: Slice, planes: Planes | None) -> VolumeSlice:
    stored = _size(piece.data) or (None, None)
    label_map, image = as_stored(piece.label_map, *stored), as_stored(piece.image, *stored)
    plane, spacing = _plane(piece.data, planes)
    if planes is not None and plane is None:
        raise ValueError("the file of true planes (--geometry) does not have this slice")
    height, width = label_map.shape
    thickness = piece.number("slice_thickness_mm")
    return VolumeSlice(
        plane=plane,
        label_map=label_map,
        image=image,
        size=(height, width),
        thickness_mm=thickness if thickness is not None and 0 < thickness < _LONGEST_MM else None,
        spacing_mm=spacing,
        said=_said(piece, stretched=piece.label_map.shape != label_map.shape),
    )


def _bare_place(
    data: Mapping[str, Any], planes: Planes | None, size: tuple[int, int]
) -> VolumeSlice:
    """Where a slice lies that is not exported; `size` is the series', if the task says none."""
    plane, spacing = _plane(data, planes)
    own = _size(data) or size
    return VolumeSlice(plane, label_map=None, image=None, size=own, spacing_mm=spacing)


def _size(data: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns of the stored matrix; None where the data does not tell.

    In a team's own project these keys may mean anything: of -1 rows no mask would be left.
    """
    rows, columns = number_of(data, "rows"), number_of(data, "columns")
    if rows is None or columns is None or min(rows, columns) < 1:
        return None
    return int(rows), int(columns)


def _plane(
    data: Mapping[str, Any], planes: Planes | None
) -> tuple[Plane | None, tuple[float, float] | None]:
    """A slice's plane, None if it is not known, and its pixels' spacing."""
    spacing = stored_spacing(data)
    if planes is not None:
        frame = int(number_of(data, "frame") or 0)
        plane = planes.get((text_of(data, "instance") or "", frame))
        return plane, (plane.row_mm, plane.column_mm) if plane else spacing
    offset = number_of(data, "slice_position_mm")
    if offset is None or abs(offset) > _FURTHEST_MM:
        return None, spacing
    return own_plane(offset, *(spacing or (1.0, 1.0))), spacing


def _said(piece: Slice, *, stretched: bool) -> dict[str, Any]:
    """A slice's entry in the sidecar."""
    said: dict[str, Any] = {"Task": piece.task_id, "Split": piece.split}
    for key, name in (("slice", "Slice"), ("instance", "Instance"), ("frame", "Frame")):
        if piece.data.get(key) is not None:
            said[name] = piece.data[key]
    said |= {
        "Made": piece.made.as_json(),
        "Consensus": piece.consensus,
        "Agreement": piece.agreement,
    }
    if stretched:
        said["BroughtBackToStoredPixels"] = True
    return said


def _sidecar(pieces: list[Slice], about: About) -> dict[str, Any]:
    first = pieces[0]
    splits = {piece.split for piece in pieces}
    return {
        "Series": first.text("series"),
        "Study": first.text("study"),
        "Patient": first.text("patient"),
        "Modality": first.text("modality"),
        "BodyPart": first.text("body_part"),
        "Labels": {str(n): label for n, label in enumerate(about.labels, start=1)},
        "Split": splits.pop() if len(splits) == 1 else "by slice",
        "Project": about.project_id,
        "MadeAt": about.made_at,
    }


def file_stem(series: str, used: set[str]) -> str:
    """What a series' files are named after: its pseudonym, if it is a plain name; noted as used."""
    stem = series
    if not _PLAIN_NAME.fullmatch(series) or _DEVICE.fullmatch(series):
        stem = "series-" + hashlib.sha256(series.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    number = 1
    while stem.casefold() in used:  # on some disks a and A are one file
        number += 1
        stem = f"{stem.partition('.')[0]}.{number}"
    used.add(stem.casefold())
    return stem


def read_geometry(path: Path) -> Planes:
    """The planes in a file that the hospital gave. Raises ExportError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        why = error.strerror or "unknown"
        raise ExportError(f"{path} cannot be read ({why}): give another --geometry") from None
    try:
        return {
            (instance, int(frame)): Plane(
                position=_numbers(plane["position"], 3),
                along_row=_numbers(plane["orientation"][:3], 3),
                along_column=_numbers(plane["orientation"][3:], 3),
                row_mm=_numbers(plane["spacing"], 2)[0],
                column_mm=_numbers(plane["spacing"], 2)[1],
            )
            for instance, frames in json.loads(content)["planes"].items()
            for frame, plane in frames.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise ExportError(
            f"{path} is no file of planes: ./quorum return --format geometry makes one"
        ) from None


def _numbers(values: Any, count: int) -> Any:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError("numbers are missing")
    return numbers
