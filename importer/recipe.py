"""How objects are imported: everything a worker must know beside the object itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from .image_files import FORMATS
from .limits import Limits
from .windows import HEADER, NAMES


class BurnedIn(str, Enum):
    """What to do about text that may be burned into pixels."""

    REDACT = "redact"  # black it out, hold what is doubtful
    QUARANTINE = "quarantine"  # hold whatever shows text
    OFF = "off"  # look at nothing: for images that are known to be clean


@dataclass(frozen=True)
class Recipe:
    """How one import is made. Raises ValueError for a value that makes no sense."""

    key: bytes = field(repr=False)
    images: Path  # folder for the image files
    windows: tuple[str, ...] = (HEADER,)  # the first is a task's image, others are image_NAME
    image_format: str = "png"
    frame_step: int = 1
    square_pixels: bool = True
    burned_in: BurnedIn = BurnedIn.REDACT
    accept: frozenset[str] = frozenset()  # modalities that a person has vouched for
    ocr_every: int = 400  # of a scanner's slices, one in so many is read by OCR
    copies: Path | None = None  # folder for de-identified DICOM
    quarantine: Path | None = None
    black_out: tuple[tuple[int, int, int, int], ...] = ()  # boxes that a person has drawn
    dry_run: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if unknown := set(self.windows) - set(NAMES):
            raise ValueError(f"there is no window {unknown.pop()!r}: choose of {', '.join(NAMES)}")
        if not self.windows or len(set(self.windows)) < len(self.windows):
            raise ValueError("name each window once")
        if self.image_format not in FORMATS:
            raise ValueError(f"the image format is one of {', '.join(FORMATS)}")
        if self.frame_step < 1 or self.ocr_every < 1:
            raise ValueError("frame step and OCR step must be at least 1")

    @property
    def suffix(self) -> str:
        """Of image files."""
        return "png" if self.image_format == "png" else "jpg"

    def image_keys(self) -> dict[str, str]:
        """Each window's key in a task's data."""
        first, *others = self.windows
        return {first: "image", **{name: f"image_{name}" for name in others}}

    def fixed(self) -> dict[str, Any]:
        """What must be the same for all imports into one folder, JSON-able."""
        return {
            "windows": list(self.windows),
            "image_format": self.image_format,
            "frame_step": self.frame_step,
            "square_pixels": self.square_pixels,
        }
