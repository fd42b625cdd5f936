"""Masks of one series to DICOM segmentations (highdicom), PS3.3 A.51.

One binary segment a class. Each frame names the image, and its frame, that it was drawn on. A mask
without a pixel is kept as empty frames: somebody looked and found nothing.
"""

from __future__ import annotations

import colorsys
import hashlib
import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import highdicom
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from .coded import property_of
from .functional_groups import value_of, whole_number
from .planes import Plane, layers, plane_of, size_of, thickness_of
from .quiet import quiet
from .views import Drawn, refer, view_of

Algorithm = Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"]

_SERIES_NUMBER = 9000  # behind a study's own
_NAME = "Quorum"
_LONGEST_LABEL = 64  # characters of an LO


class SegmentationError(ValueError):
    """A series of which no segmentation is made; the text names no value of it."""


@dataclass(frozen=True)
class Origin:
    """Who drew, and when: for all masks of a segmentation."""

    labels: Sequence[str]  # label n is labels[n - 1]
    algorithm: Algorithm
    version: str | None  # of the committee, if it took part
    made_at: datetime
    software: str = "1"


def algorithm_of(made: Sequence[Mapping[str, Any]]) -> Algorithm:
    """MANUAL if people drew all masks, AUTOMATIC if no person touched any, else SEMIAUTOMATIC.

    Each of `made` is an export's word on one mask: by ("person", "consensus", "version"), reviewed,
    and from_draft, how many of its annotations began with the committee's draft.
    """
    by_version = [one.get("by") == "version" for one in made]
    if all(by_version) and not any(one.get("reviewed") for one in made):
        return "AUTOMATIC"
    if not any(by_version) and not any(one.get("from_draft") for one in made):
        return "MANUAL"
    return "SEMIAUTOMATIC"


def segmentations(drawn: Sequence[Drawn], origin: Origin) -> Iterator[Dataset]:
    """The segmentations of one series' masks, each a complete instance to save or send.

    One, unless the images have several sizes, orientations or frames of reference, lie at the same
    position, or lie nowhere (then one an image): all are one new series of the source's study, and
    the same export makes the same UIDs. Raises SegmentationError.
    """
    if not drawn or not origin.labels:
        raise SegmentationError("there is no mask, or no class")
    try:
        with _silent():
            series_uid = _uid("series", drawn, origin)
            for number, part in enumerate(_parts(drawn), start=1):
                yield _segmentation(part, origin, series_uid, number)
    except SegmentationError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # pydicom's and highdicom's texts quote values
        raise SegmentationError(
            f"the images' headers do not make a valid segmentation ({type(error).__name__})"
        ) from None


def _parts(drawn: Sequence[Drawn]) -> list[list[tuple[Drawn, Plane | None]]]:
    """What fits into one instance: one matrix and frame of reference, parallel, none twice."""
    groups: dict[Any, list[tuple[Drawn, Plane | None]]] = defaultdict(list)
    for one in drawn:
        if size_of(one.image) != one.label_map.shape:
            raise SegmentationError("a mask is not as large as its image")
        frame_of_reference = str(value_of(one.image, "FrameOfReferenceUID") or "")
        plane = plane_of(one.image, one.frame) if frame_of_reference else None
        groups[(one.label_map.shape, frame_of_reference)].append((one, plane))
    return [
        [group[index] for index in indices]
        for group in groups.values()
        for _, indices in layers([plane for _, plane in group])
    ]


def _segmentation(
    part: Sequence[tuple[Drawn, Plane | None]], origin: Origin, series_uid: str, number: int
) -> Dataset:
    # highdicom takes single-frame images: each mask's frame is shown to it as one, under a UID of
    # its own that is replaced afterwards by what it stands for.
    views = [view_of(one, plane, part[0], index) for index, (one, plane) in enumerate(part)]
    located = part[0][1] is not None
    made: Dataset = highdicom.seg.Segmentation(
        source_images=views,
        pixel_array=np.stack([one.label_map for one, _ in part]),
        segmentation_type="BINARY",
        segment_descriptions=_descriptions(origin),
        series_instance_uid=series_uid,
        series_number=_SERIES_NUMBER,
        sop_instance_uid=_uid("instance", [one for one, _ in part], origin),
        instance_number=number,
        manufacturer=_NAME,
        manufacturer_model_name=_NAME,
        software_versions=origin.software,
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=f"Masks drawn with {_NAME}",
        series_description=f"{_NAME} segmentation",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
        specific_character_set="ISO_IR 192",
        content_date=origin.made_at.date(),
        content_time=origin.made_at.time(),
    )
    made.InstanceCreationDate, made.InstanceCreationTime = made.ContentDate, made.ContentTime
    refer(made, part)
    if not located:
        made.PatientOrientation = ""  # Type 2C, PS3.3 C.7.6.1: nobody knows
    _thickness(made, part, located=located)
    return made


def _thickness(made: Dataset, part: Sequence[tuple[Drawn, Plane | None]], *, located: bool) -> None:
    """Where no image says how thick it is (Type 1C): as thick as neighbours are apart.

    Of drawn slices with others between them the distance says nothing: the views' 1 mm stays.
    """
    known = thickness_of(part[0][0].image, part[0][0].frame)
    for measures in made.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence", ()):
        if not located:
            measures.pop("SliceThickness", None)
        elif known is None and "SpacingBetweenSlices" in measures and _neighbours(part):
            measures.SliceThickness = measures.SpacingBetweenSlices


def _neighbours(part: Sequence[tuple[Drawn, Plane | None]]) -> bool:
    """Whether the drawn slices are numbered one after the other."""
    numbers = sorted(whole_number(one.image, "InstanceNumber", 0) + one.frame for one, _ in part)
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _descriptions(origin: Origin) -> list[highdicom.seg.SegmentDescription]:
    identification = None
    if origin.algorithm != "MANUAL":
        identification = highdicom.AlgorithmIdentificationSequence(
            name=f"{_NAME} committee",
            family=Code("123110", "DCM", "Artificial Intelligence"),
            version=origin.version or "unknown",
        )
    described = []
    for number, label in enumerate(origin.labels, start=1):
        found = property_of(label)
        hue = (number - 1) * 0.618034 % 1  # the golden ratio keeps neighbours apart
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.95))
        described.append(
            highdicom.seg.SegmentDescription(
                segment_number=number,
                segment_label=segment_label(label),
                segmented_property_category=Code(*found.category),
                segmented_property_type=Code(*found.type),
                algorithm_type=origin.algorithm,
                algorithm_identification=identification,
                display_color=highdicom.color.CIELabColor.from_rgb(red, green, blue),
            )
        )
    return described


def segment_label(label: str) -> str:
    """A class's name as DICOM can hold it: an LO of 64 characters without backslash or control."""
    plain = "".join(" " if c == "\\" or not c.isprintable() else c for c in label).strip()
    return plain[:_LONGEST_LABEL].strip() or "unnamed"


def _uid(kind: str, drawn: Sequence[Drawn], origin: Origin) -> str:
    """The same export on the same images makes the same UID: a repeat replaces and adds nothing."""
    digest = hashlib.sha256(f"{kind}\0{origin}".encode())
    for one in sorted(drawn, key=lambda each: (str(each.image.SOPInstanceUID), each.frame)):
        digest.update(f"{one.image.SOPInstanceUID}/{one.frame}/{one.label_map.shape}\0".encode())
        digest.update(np.ascontiguousarray(one.label_map).tobytes())
    return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"


@contextmanager
def _silent() -> Iterator[None]:
    """highdicom's and pydicom's log lines and warnings quote names and UIDs."""
    logger = logging.getLogger("highdicom")
    disabled, level = logger.disabled, logger.level
    logger.disabled = True
    logger.setLevel(logging.CRITICAL + 1)  # for its modules' loggers
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
        logger.setLevel(level)
