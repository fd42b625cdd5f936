"""An export made outside the hospital, read with care: whoever made it is not known here."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

MANIFEST = "manifest.json"

_FORMAT = "png"
_OTHER_FORMATS = ("nifti", "coco", "dicom-seg", "label-studio")

_PSEUDONYM = re.compile(r"[0-9a-f]{20}")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,40}")
_MANIFEST_BYTES, _MASK_BYTES = 2**28, 2**28  # of a slice the manifest has about 1 KB
_MASK_PIXELS = 2**28
_MOST_LABELS = 254
# What broken files make zipfile and json raise; RuntimeError for a password, and depth.
_DAMAGED = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)


class ReturnError(RuntimeError):
    """A return that cannot begin or go on; the message says why and the remedy."""


@dataclass(frozen=True)
class Mask:
    """A mask of an export, by the pseudonyms of where it belongs."""

    instance: str
    frame: int
    path: str  # below the export
    made: Mapping[str, Any]  # by, version, reviewed, from_draft
    task: int


class Export:
    """A folder or zip that ``./quorum export --format png`` has made, open for reading.

    Raises ReturnError if it is none. `unusable` counts slices without a place in a DICOM image,
    `repeated` those whose place another slice has already: the first keeps it.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path
        self._zip: zipfile.ZipFile | None = None
        try:
            if path.is_file():
                self._zip = zipfile.ZipFile(path)
            manifest = json.loads(self._read(MANIFEST, _MANIFEST_BYTES))
            self.labels = _labels(manifest["labels"])
            self.made_at = _moment(manifest.get("made_at"))
            entries = manifest["slices"]
            if not isinstance(entries, list):
                raise ValueError("slices")
            kind = str(manifest.get("format", _FORMAT))
        except _DAMAGED:
            self.__exit__(None, None, None)
            raise ReturnError(
                f"{path} is no export with masks: ./quorum export PROJECT --format png makes one"
            ) from None
        if kind != _FORMAT:
            self.__exit__(None, None, None)
            known = kind if kind in _OTHER_FORMATS else "another format"
            raise ReturnError(
                f"{path} is an export as {known}: only --format png can be returned, "
                "./quorum export PROJECT --format png makes one"
            )
        self.masks: dict[tuple[str, int], Mask] = {}
        self.unusable = self.repeated = 0
        for entry in entries:
            mask = _mask(entry)
            if mask is None:
                self.unusable += 1
            elif (mask.instance, mask.frame) in self.masks:
                self.repeated += 1
            else:
                self.masks[mask.instance, mask.frame] = mask

    def label_map(self, mask: Mask) -> npt.NDArray[np.uint8]:
        """A mask's pixels, (H, W). Raises ValueError, for people, if it is not to be used."""
        try:
            content = io.BytesIO(self._read(mask.path, _MASK_BYTES))
            with Image.open(content, formats=["PNG"]) as image:
                if image.width * image.height > _MASK_PIXELS or image.mode not in ("L", "P", "1"):
                    raise ValueError("mode")
                pixels = np.asarray(image, dtype=np.uint8)
        except Exception:  # PIL's errors are many, and name files
            raise ValueError("its mask is missing or no grey PNG") from None
        if int(pixels.max(initial=0)) > len(self.labels):
            raise ValueError("its mask has a class that the export does not name")
        return pixels

    def _read(self, name: str, limit: int) -> bytes:
        """A file of the export. Raises OSError, ValueError."""
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise ValueError("a name that leads out of the export")
        if self._zip is not None:
            with suppress(KeyError), self._zip.open(name) as stream:
                return _at_most(stream.read(limit + 1), limit)
            raise FileNotFoundError(name)
        path = self._folder.joinpath(*parts)
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise ValueError("a link that leads out of the export")
        with path.open("rb") as stream:
            return _at_most(stream.read(limit + 1), limit)

    def __enter__(self) -> Export:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._zip is not None:
            self._zip.close()


def _at_most(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise ValueError("too large")
    return content


def _mask(entry: Any) -> Mask | None:
    try:
        data, path = entry["data"], entry["files"]["mask"]
        instance, frame, task = data["instance"], data.get("frame", 0), entry.get("task", 0)
        made = entry.get("made") or {}
        if not _PSEUDONYM.fullmatch(instance) or not isinstance(path, str):
            return None
        version = made.get("version")
        known = {
            "by": made.get("by"),
            "reviewed": bool(made.get("reviewed")),
            "from_draft": bool(made.get("from_draft")),
        }
        if isinstance(version, str) and _VERSION.fullmatch(version):
            known["version"] = version
        return Mask(instance, int(frame), path, known, int(task))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _labels(named: Mapping[str, Any]) -> tuple[str, ...]:
    """Classes by their number, "1" to "n". Raises ValueError, KeyError."""
    if not 0 < len(named) <= _MOST_LABELS:
        raise ValueError("labels")
    return tuple(str(named[str(number)]) for number in range(1, len(named) + 1))


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        moment = datetime.now(timezone.utc)
    return moment.replace(tzinfo=None, microsecond=0)
