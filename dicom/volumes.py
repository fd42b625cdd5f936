"""Slices to NIfTI-1 volumes (nibabel): image, label map, and which planes have a mask.

An array is indexed (column, row, plane). A plane between two slices that is not there is 0 in all
files, and so is the label map of a slice without a mask. A label map cannot say "not looked at" by
a value of its own: tools would count 255 as a class, and average it when they resample. So a third
file, ``known``, is 1 where a mask is, and is written only if that is not everywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from .planes import Plane, Stack, own_plane, stacks

Grey = npt.NDArray[np.uint8]

# NIfTI-1 qform_code and sform_code: whose coordinates the affine leads to.
_SCANNER, _ALIGNED = 1, 2
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@dataclass(frozen=True)
class VolumeSlice:
    """One slice of a series in the stored matrix."""

    plane: Plane | None  # None: nobody knows where it lies, and it is a volume of its own
    label_map: Grey | None  # (H, W), 0 background; None if there is no mask
    # (H, W) or (H, W, 3) uint8, or none at all. A slice with neither, among others with an image,
    # is a place alone: what lies there is an empty plane.
    image: npt.NDArray[Any] | None
    size: tuple[int, int]  # H, W
    thickness_mm: float | None = None
    spacing_mm: tuple[float, float] | None = None  # between rows, between columns
    said: Mapping[str, Any] = field(default_factory=dict)  # for the sidecar, JSON-able


@dataclass(frozen=True)
class VolumeFile:
    """A file that is closed and whole, and the slices given (by their index) that are in it."""

    path: Path
    role: str  # "image", "mask" or "other"
    slices: tuple[int, ...]
    affine: npt.NDArray[np.float64] | None = None  # (4, 4)


def write_volumes(
    slices: Sequence[VolumeSlice],
    out: Path,
    stem: str,
    about: Mapping[str, Any],
    *,
    in_scanner: bool,
) -> Iterator[VolumeFile]:
    """Write a series as out/STEM_image.nii.gz, STEM_labels.nii.gz, STEM_known.nii.gz and STEM.json.

    A series that is no single regular stack (several sizes, orientations, spacings, or slices at
    the same place) becomes several, STEM-1, STEM-2, …; a stack without any mask is left out.
    `about` opens the sidecar. in_scanner says that planes are in the scanner's coordinates, not in
    the series' own. Raises OSError.
    """
    found = [
        (members, stack)
        for members in _alike(slices)
        for stack in stacks([slices[index].plane for index in members])
        if any(slices[members[index]].label_map is not None for index in stack.places.values())
    ]
    for number, (members, stack) in enumerate(found, start=1):
        name = stem if len(found) == 1 else f"{stem}-{number}"
        placed = {place: members[index] for place, index in sorted(stack.places.items())}
        yield from _write(slices, placed, stack, out, name, about, in_scanner, len(found))


def _alike(slices: Sequence[VolumeSlice]) -> list[list[int]]:
    """Indices of slices whose arrays fit into one; each with the bare places of its size."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    places: dict[tuple[int, int], list[int]] = {}
    for index, piece in enumerate(slices):
        if piece.label_map is None and piece.image is None:
            places.setdefault(piece.size, []).append(index)
            continue
        colour = piece.image is not None and piece.image.ndim == 3
        groups.setdefault((piece.size, colour, piece.image is None), []).append(index)
    return [sorted([*group, *places.get(key[0], ())]) for key, group in groups.items()]


def _write(
    slices: Sequence[VolumeSlice],
    placed: Mapping[int, int],
    stack: Stack,
    out: Path,
    name: str,
    about: Mapping[str, Any],
    in_scanner: bool,
    volumes: int,
) -> Iterator[VolumeFile]:
    first = next(s for s in map(slices.__getitem__, placed.values()) if s.label_map is not None)
    if first.image is not None:
        placed = {place: i for place, i in placed.items() if slices[i].image is not None}
    if stack.first is None:
        stack = replace(stack, first=own_plane(0.0, *(first.spacing_mm or (1.0, 1.0))))
        in_scanner = False
    affine = stack.affine(first.thickness_mm)
    code = _SCANNER if in_scanner else _ALIGNED
    members = tuple(placed.values())
    masked = tuple(index for index in members if slices[index].label_map is not None)
    (height, width), planes = first.size, stack.planes

    def saved(kind: str, array: npt.NDArray[Any]) -> Path:
        path = out / f"{name}_{kind}.nii.gz"
        volume = nibabel.Nifti1Image(array, None)
        volume.set_qform(affine, code, strip_shears=True)
        volume.set_sform(affine, code)
        volume.header.set_xyzt_units("mm" if first.spacing_mm else 0)
        temporary = out / f".{name}_{kind}.{os.getpid()}.nii.gz"
        try:
            nibabel.save(volume, temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    if first.image is not None:
        colour = first.image.ndim == 3
        image = np.zeros((width, height, planes), _RGB if colour else np.uint8, order="F")
        for place, index in placed.items():
            pixels = slices[index].image
            assert pixels is not None
            if colour:
                pixels = np.ascontiguousarray(pixels).view(_RGB)[:, :, 0]
            image[:, :, place] = pixels.T
        yield VolumeFile(saved("image", image), "image", members, affine)
    labels = np.zeros((width, height, planes), np.uint8, order="F")
    for place, index in placed.items():
        label_map = slices[index].label_map
        if label_map is not None:
            labels[:, :, place] = label_map.T
    yield VolumeFile(saved("labels", labels), "mask", masked, affine)
    if len(masked) < planes:
        known = np.zeros_like(labels)
        for place, index in placed.items():
            known[:, :, place] = slices[index].label_map is not None
        yield VolumeFile(saved("known", known), "other", members, affine)
    sidecar = out / f"{name}.json"
    empty = planes - len(placed)
    said = {**about, **_geometry(stack, first, in_scanner, volumes, affine, empty)}
    said["Slices"] = [
        {"Plane": place, "HasMask": slices[index].label_map is not None, **slices[index].said}
        for place, index in placed.items()
    ]
    sidecar.write_text(json.dumps(said, indent=1, allow_nan=False))
    yield VolumeFile(sidecar, "other", members)


def _geometry(
    stack: Stack,
    first: VolumeSlice,
    in_scanner: bool,
    volumes: int,
    affine: npt.NDArray[np.float64],
    empty: int,
) -> dict[str, Any]:
    if in_scanner:
        frame = "the scanner's, RAS+ mm, as in the DICOM files"
    else:
        frame = (
            "the series' own: the lowest slice's first pixel is the origin, and the slices' axes "
            "stand for left, back and head. The patient's orientation is not known here: do not "
            "read left and right from this file, and do not take a localizer's slices for parallel"
        )
    said: dict[str, Any] = {
        "CoordinateFrame": frame,
        "Affine": affine.tolist(),
        "PixelSpacing": list(first.spacing_mm) if first.spacing_mm else None,
        "SpacingBetweenSlices": stack.spacing_mm,
        "SliceThickness": first.thickness_mm,
        "Planes": stack.planes,
        "EmptyPlanes": empty,
    }
    notes = []
    if first.spacing_mm is None:
        notes.append("the pixels' size is not known: 1 stands for it")
    if stack.planes == 1 and first.thickness_mm is None:
        notes.append("the slice's thickness is not known: 1 mm stands for it")
    if empty:
        notes.append("planes that no slice was given for are 0 in the image and in the label map")
    if volumes > 1:
        notes.append(f"the series is no single regular stack: this is one of {volumes} volumes")
    if stack.sheared:
        notes.append(
            "the planes are shifted against each other (tilted gantry): the sform has the shear, "
            "the qform cannot"
        )
    return {**said, "Notes": notes}
