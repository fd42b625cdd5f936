"""Images as highdicom takes them, and the references to them as they must be.

highdicom takes single-frame images of one kind. Each mask's frame is shown to it as such a view,
under a UID of its own; afterwards the true image and frame stand in the place of the view.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from .functional_groups import frame_value, value_of, whole_number
from .planes import Plane, thickness_of

_UNKNOWN_THICKNESS_MM = 1.0  # of a single slice
_FUNCTIONAL_GROUPS = 0x5200  # their group; those behind it hold pixels
_DATE = re.compile(r"[0-9]{8}|")
_TIME = re.compile(r"[0-9]{2,6}(\.[0-9]{1,6})?|")
# Of a single-frame image; the spacing that a file claims is not always that of its positions.
_PLACE = (
    *("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient"),
    "SpacingBetweenSlices",
)
# Type 2 attributes of the patient and the study: empty where the source lacks them.
_TYPE_2 = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)


@dataclass(frozen=True)
class Drawn:
    """A mask, and the image that it was drawn on."""

    image: Dataset  # its header; pixels are not needed
    frame: int  # from 0
    label_map: npt.NDArray[np.uint8]  # (Rows, Columns) of the image, 0 background, n label n


def view_of(
    one: Drawn, plane: Plane | None, first: tuple[Drawn, Plane | None], index: int
) -> Dataset:
    """A frame as a single-frame image."""
    view = _header(one.image) if index == 0 else Dataset()
    view.SOPClassUID = SecondaryCaptureImageStorage if plane is None else CTImageStorage
    view.SOPInstanceUID = f"2.25.{index + 1}"
    source = first[0].image
    view.StudyInstanceUID, view.SeriesInstanceUID = source.StudyInstanceUID, series_of(source)
    view.Rows, view.Columns = one.label_map.shape
    for keyword in _PLACE:
        if keyword in view:
            delattr(view, keyword)
    if plane is not None:
        view.FrameOfReferenceUID = source.FrameOfReferenceUID
        view.ImagePositionPatient = _copied(one, "ImagePositionPatient")
        # Of the first: highdicom asks for equal ones, and these differ in the last digits at most.
        view.ImageOrientationPatient = _copied(first[0], "ImageOrientationPatient")
        view.PixelSpacing = _copied(first[0], "PixelSpacing")
        view.SliceThickness = thickness_of(source, first[0].frame) or _UNKNOWN_THICKNESS_MM
    return view


def _copied(one: Drawn, keyword: str) -> list[Any]:
    return list(frame_value(one.image, keyword, one.frame))


def _header(image: Dataset) -> Dataset:
    """The image's own elements but pixels, functional groups and what cannot be read."""
    header = Dataset()
    for tag in list(image.keys()):
        if tag.is_private or tag.group >= _FUNCTIONAL_GROUPS or tag.group < 0x0008:
            continue
        try:
            header[tag] = copy.deepcopy(image[tag])
        except Exception:  # a damaged element that nothing here needs
            continue
    for keyword in _TYPE_2:
        if header.get(keyword) is None:
            setattr(header, keyword, "")
    for keyword, valid in (("StudyDate", _DATE), ("StudyTime", _TIME), ("PatientBirthDate", _DATE)):
        if not valid.fullmatch(str(header[keyword].value)):
            setattr(header, keyword, "")
    if header.PatientSex not in ("M", "F", "O", ""):
        header.PatientSex = ""
    return header


def refer(made: Dataset, part: Sequence[tuple[Drawn, Plane | None]]) -> None:
    """Put the true images and frames in the place of the views."""
    stands_for = {f"2.25.{index + 1}": one for index, (one, _) in enumerate(part)}
    instances: dict[str, Dataset] = {}
    for one in stands_for.values():
        reference = Dataset()
        reference.ReferencedSOPClassUID = one.image.SOPClassUID
        reference.ReferencedSOPInstanceUID = one.image.SOPInstanceUID
        instances.setdefault(str(one.image.SOPInstanceUID), reference)
    made.SourceImageSequence = list(instances.values())
    made.ReferencedSeriesSequence[0].ReferencedInstanceSequence = copy.deepcopy(
        list(instances.values())
    )
    for frame in made.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        true = stands_for.get(source.ReferencedSOPInstanceUID)
        if true is None:  # the segments share their items
            continue
        source.ReferencedSOPClassUID = true.image.SOPClassUID
        source.ReferencedSOPInstanceUID = true.image.SOPInstanceUID
        if whole_number(true.image, "NumberOfFrames", 1) > 1:
            source.ReferencedFrameNumber = true.frame + 1


def series_of(image: Dataset) -> str:
    """An image's series; an instance without one is a series of its own."""
    return str(value_of(image, "SeriesInstanceUID") or image.SOPInstanceUID)
