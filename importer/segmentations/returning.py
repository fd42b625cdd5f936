"""Masks of an export, made outside, onto the hospital's own images; series by series."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydicom.dataset import Dataset

from dicom.functional_groups import whole_number
from dicom.planes import plane_of, size_of, thickness_of
from dicom.segment import Origin, SegmentationError, algorithm_of, segmentations
from dicom.stored import as_stored
from dicom.views import Drawn
from dicom.volumes import VolumeSlice, write_volumes

from ..decode import DecodeError
from ..journal import write_atomically
from .drawn import Export, Mask
from .originals import Original, Originals
from .sending import Send, SendError

Format = Literal["dicom-seg", "nifti", "geometry"]

_MOST_FRAMES = 20_000


@dataclass
class Returned:
    """What became of an export's masks; nothing in it names a patient."""

    masks: int = 0  # in the export
    returned: int = 0  # masks that are in a file
    files: list[Path] = field(default_factory=list)
    sent: int = 0
    # Pseudonyms of instances that the source does not hold.
    missing: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)  # (pseudonym, reason)

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "masks": self.masks,
            "returned": self.returned,
            "files": [str(path) for path in self.files],
            "sent": self.sent,
            "missing": self.missing,
            "problems": [{"pseudonym": name, "reason": reason} for name, reason in self.problems],
        }


def return_masks(
    export: Export,
    originals: Originals,
    out: Path,
    format_name: Format = "dicom-seg",
    send: Send | None = None,
) -> Returned:
    """Write the masks whose images are there, and send segmentations if asked; what became of all.

    Files are named after the series' pseudonyms. What is wrong with an image or a series stops no
    other. Raises OSError if `out` cannot be written.
    """
    report = Returned(masks=len(export.masks) + export.unusable + export.repeated)
    for count, why in (
        (export.unusable, "come from no DICOM image of the importer"),
        (export.repeated, "are second tasks of an image: the mask of its first task is returned"),
    ):
        if count:
            report.problems.append(("-", f"{count} slices of the export {why}"))
    instances = dict.fromkeys(mask.instance for mask in export.masks.values())
    report.missing = [name for name in instances if name not in originals.found]
    by_instance: dict[str, list[Mask]] = {}
    for mask in export.masks.values():
        by_instance.setdefault(mask.instance, []).append(mask)
    planes: dict[str, dict[str, Any]] = {}
    for series, images in originals.series.items():
        if not any(image.instance in by_instance for image in images):
            continue
        if format_name == "nifti":
            _volumes(series, images, export, by_instance, out, report)
            continue
        drawn = list(_drawn(images, export, by_instance, report))
        if not drawn:
            continue
        if format_name == "geometry":
            for mask, one in drawn:
                if plane := _plane(one):
                    planes.setdefault(mask.instance, {})[str(mask.frame)] = plane
                    report.returned += 1
                else:
                    report.problems.append((mask.instance, "it does not say where it lies"))
        else:
            _segmentations(series, drawn, export, out, report, send)
    if format_name == "geometry" and planes:
        path = out / "geometry.json"
        write_atomically(path, json.dumps({"planes": planes}, indent=1).encode())
        report.files.append(path)
    return report


def _segmentations(
    series: str,
    drawn: Sequence[tuple[Mask, Drawn]],
    export: Export,
    out: Path,
    report: Returned,
    send: Send | None,
) -> None:
    made = [mask.made for mask, _ in drawn]
    origin = Origin(
        labels=export.labels,
        algorithm=algorithm_of(made),
        version=next((str(one["version"]) for one in made if "version" in one), None),
        made_at=export.made_at,
    )
    try:
        finished = list(segmentations([one for _, one in drawn], origin))
    except SegmentationError as error:
        report.problems.append((series, str(error)))
        return
    report.returned += len(drawn)
    _remove_earlier(out, series, r"\.dcm")
    for number, dataset in enumerate(finished, start=1):
        path = out / f"{series}{f'-{number}' if len(finished) > 1 else ''}.dcm"
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            dataset.save_as(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        report.files.append(path)
        if send is not None:
            try:
                send(dataset)
                report.sent += 1
            except SendError as error:
                report.problems.append((series, f"not sent: {error}"))


def _remove_earlier(out: Path, series: str, ending: str) -> None:
    """Remove what an earlier return wrote of a series: it may have been more files than now."""
    name = re.compile(rf"{series}(-[0-9]+)?{ending}")
    for path in list(out.glob(f"{series}*")):
        if name.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _drawn(
    images: Sequence[Original],
    export: Export,
    by_instance: dict[str, list[Mask]],
    report: Returned,
) -> Iterator[tuple[Mask, Drawn]]:
    """The masks of a series with the headers of their images."""
    for image in images:
        masks = by_instance.get(image.instance, [])
        header = _header(image, report) if masks else None
        if header is None:
            continue
        for mask in sorted(masks, key=lambda one: one.frame):
            try:
                yield mask, Drawn(header, _frame(mask, header), _label_map(mask, header, export))
            except ValueError as error:
                report.problems.append((mask.instance, str(error)))


def _volumes(
    series: str,
    images: Sequence[Original],
    export: Export,
    by_instance: dict[str, list[Mask]],
    out: Path,
    report: Returned,
) -> None:
    """The whole series' grid, so that the label map lies on the source's volume."""
    numbered = []
    for image in images:
        header = _header(image, report)
        if header is None or size_of(header) is None:
            continue
        masks = {mask.frame: mask for mask in by_instance.get(image.instance, [])}
        count = min(whole_number(header, "NumberOfFrames", 1), _MOST_FRAMES)
        number = whole_number(header, "InstanceNumber", 0)
        for frame in range(count):
            piece = _volume_slice(header, frame, masks.pop(frame, None), export, image, report)
            numbered.append(((number, image.instance, frame), piece))
        for mask in masks.values():
            report.problems.append((mask.instance, f"it has no frame {mask.frame}"))
    slices = [piece for _, piece in sorted(numbered, key=lambda pair: pair[0])]
    if not any(piece.label_map is not None for piece in slices):
        return
    about = {
        "Series": series,
        "Labels": {str(n): label for n, label in enumerate(export.labels, start=1)},
    }
    _remove_earlier(out, series, r"(_(image|labels|known)\.nii\.gz|\.json)")
    for file in write_volumes(slices, out, series, about, in_scanner=True):
        report.files.append(file.path)
        if file.role == "mask":
            report.returned += len(file.slices)


def _volume_slice(
    header: Dataset,
    frame: int,
    mask: Mask | None,
    export: Export,
    image: Original,
    report: Returned,
) -> VolumeSlice:
    label_map = None
    said: dict[str, Any] = {"Instance": image.instance, "Frame": frame}
    if mask is not None:
        try:
            label_map = _label_map(mask, header, export)
            said |= {"Task": mask.task, "Made": dict(mask.made)}
        except ValueError as error:
            report.problems.append((mask.instance, str(error)))
    plane = plane_of(header, frame)
    return VolumeSlice(
        plane=plane,
        label_map=label_map,
        image=None,
        size=size_of(header) or (0, 0),
        thickness_mm=thickness_of(header, frame),
        spacing_mm=(plane.row_mm, plane.column_mm) if plane else None,
        said=said,
    )


def _header(image: Original, report: Returned) -> Dataset | None:
    try:
        return image.header()
    except DecodeError as error:
        report.problems.append((image.instance, f"it cannot be read ({error.reason})"))
        return None


def _frame(mask: Mask, header: Dataset) -> int:
    if not 0 <= mask.frame < whole_number(header, "NumberOfFrames", 1):
        raise ValueError(f"it has no frame {mask.frame}")
    return mask.frame


def _label_map(mask: Mask, header: Dataset, export: Export) -> Any:
    size = size_of(header)
    if size is None:
        raise ValueError("it does not say its size")
    return as_stored(export.label_map(mask), *size)


def _plane(one: Drawn) -> dict[str, Any] | None:
    plane = plane_of(one.image, one.frame)
    if plane is None:
        return None
    return {
        "position": list(plane.position),
        "orientation": [*plane.along_row, *plane.along_column],
        "spacing": [plane.row_mm, plane.column_mm],
    }
