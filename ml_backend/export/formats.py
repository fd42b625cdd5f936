"""What every export format is given and gives: slices in, finished files out."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from ..errors import QuorumError
from ..masks import BrushConfig
from ..survey import finite

Grey = npt.NDArray[np.uint8]
Split = Literal["training", "evaluation"]


class ExportError(QuorumError, RuntimeError):
    """An export that cannot be made; the message names the reason and the remedy."""


@dataclass(frozen=True)
class Maker:
    """Who or what made a mask; people are numbers, never names or e-mails."""

    by: Literal["person", "consensus", "version"]
    annotators: tuple[int, ...] = ()  # the project's own numbers of them, see people
    annotation_ids: tuple[int, ...] = ()
    version: str | None = None  # of the committee, for a mask that no person has changed
    from_draft: int = 0  # of the annotations, those that began with a draft or a version's mask
    reviewed: bool = False  # a ground truth, or a version's mask that a person has submitted

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "by": self.by,
            "annotators": list(self.annotators),
            "annotation_ids": list(self.annotation_ids),
            "version": self.version,
            "from_draft": self.from_draft,
            "reviewed": self.reviewed,
        }


@dataclass(frozen=True)
class Slice:
    """One slice with its mask; all slices of a series follow one another, by position."""

    task_id: int
    image: Grey  # (H, W), or (H, W, 3) with colour
    label_map: Grey  # (H, W), 0 background, n the n-th label
    # The task's data without addresses: patient, study, series, instance, slice (pseudonyms),
    # frame, slice_position_mm, pixel_spacing_mm [rows, columns], slice_thickness_mm, modality …
    data: Mapping[str, Any]
    split: Split
    made: Maker
    consensus: str | None = None  # "majority" or "staple", where several annotators' masks count
    agreement: float | None = None  # mean foreground Dice between annotators; None with one
    ground_truth: bool = False
    updated_at: str | None = None  # of the newest annotation behind the mask, ISO 8601
    series: tuple[str, ...] = ()  # series_of() the task as Label Studio has it; never written

    @property
    def name(self) -> str:
        """What files of this slice alone are named after."""
        return f"task-{self.task_id}"

    @property
    def series_key(self) -> tuple[str, ...]:
        """What slices of the same series have in common, and no other."""
        return self.series or series_of(self.task_id, self.data)

    def text(self, key: str) -> str | None:
        """A value of the data as text, None if it is missing or empty."""
        return text_of(self.data, key)

    def number(self, key: str) -> float | None:
        """A finite number of the data, None if there is none."""
        return number_of(self.data, key)


def text_of(data: Mapping[str, Any], key: str) -> str | None:
    """A value of a task's data as text, None if it is missing or empty."""
    value = data.get(key)
    return str(value) if value not in (None, "") else None


def number_of(data: Mapping[str, Any], key: str) -> float | None:
    """A finite number of a task's data, None if there is none."""
    value = data.get(key)
    return None if isinstance(value, bool) else finite(value)


def series_of(task_id: int, data: Mapping[str, Any]) -> tuple[str, ...]:
    """A task's series, told apart from all others; a task without one stands for itself.

    The importer's pseudonyms are unique, but in a team's own project each patient may have a
    series "1".
    """
    series = text_of(data, "series")
    if series is None:
        return (f"task-{task_id}",)
    return text_of(data, "patient") or "", text_of(data, "study") or "", series


@dataclass(frozen=True)
class About:
    """What holds for all slices of an export."""

    project_id: int
    config: BrushConfig  # label n is config.labels[n - 1]
    held_out_unit: str  # "patient", "slab" or "slice"
    made_at: str  # ISO 8601, UTC
    version: str | None  # current one of the committee
    label_config: str = ""  # the project's, XML
    # {"task_id", "reason"} of slices that are left out; writers may add some.
    problems: list[Mapping[str, Any]] = field(default_factory=list)
    # Tasks that nobody has annotated, of which the committee has no mask either.
    without_mask: list[int] = field(default_factory=list)
    # All tasks of a series by series_of(), in its order: id and data as Label Studio has them. They
    # say where slices lie that are not exported; nothing of them is to be written.
    tasks: Mapping[tuple[str, ...], Sequence[tuple[int, Mapping[str, Any]]]] = field(
        default_factory=dict
    )

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes but background."""
        return self.config.labels


@dataclass(frozen=True)
class FileRecord:
    """A finished file of an export, as a path below its folder, and the slices that are in it.

    `notes` go into the manifest as they are (JSON-able): an affine, a UID, a frame's number.
    """

    path: str  # with forward slashes
    role: Literal["image", "mask", "annotations", "other"]
    tasks: tuple[int, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


class Write(Protocol):
    """A format's writer.

    It reads slices one after another, never all at once, writes files below `out`, and yields each
    file when it is closed and whole: whoever reads the records may move or pack it right away, so
    it is not opened again. Slices of a series come one after another, in the order of their
    positions. A slice that the format cannot hold goes to about.problems, and is left out of the
    records. Raises ExportError, OSError.
    """

    def __call__(
        self, slices: Iterator[Slice], out: Path, about: About, **options: Any
    ) -> Iterator[FileRecord]: ...


@dataclass(frozen=True)
class Format:
    """A format by its module here, whose write() is a Write."""

    module: str
    summary: str  # for people, in a list of formats
    options: frozenset[str] = frozenset()  # names of keyword arguments that write() takes besides
    alone: bool = True  # it needs none of them: the page can make it

    def writer(self) -> Write:
        """The writer; what it needs is imported only now. Raises ExportError."""
        try:
            return cast(Write, importlib.import_module(f".{self.module}", __package__).write)
        except ImportError as error:
            raise ExportError(
                f"this format needs the package {error.name or 'of its own'}: "
                "install requirements.txt"
            ) from None


FORMATS: dict[str, Format] = {
    "png": Format("png", "images and label maps as PNG"),
    "nifti": Format("nifti", "a volume and its label map for each series", frozenset({"geometry"})),
    "coco": Format("coco", "images and COCO annotations with run-length masks"),
    "dicom-seg": Format(
        "dicom_seg",
        "DICOM segmentations, one for each series",
        frozenset({"copies"}),
        alone=False,
    ),
    "label-studio": Format("label_studio_format", "tasks that another Label Studio imports"),
}
