"""Windows: which values are shown as black and as white (PS3.3 C.11.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicom.functional_groups import frame_value

# Center and width in Hounsfield units, as radiology teaches them.
PRESETS: dict[str, tuple[float, float]] = {
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "bone": (400, 1800),
    "brain": (40, 80),
    "liver": (60, 160),
}
HEADER, AUTO = "header", "auto"
NAMES = (HEADER, AUTO, *PRESETS)

# Without a window, the brightest and darkest half percent are metal, air and noise.
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Window:
    """Values (in the modality's units) shown as black and as white; the VOI function between."""

    low: float
    high: float
    function: str = "LINEAR"  # or "SIGMOID"


@dataclass(frozen=True)
class LookupTable:
    """A modality or VOI LUT: values from `first` on to entries; beyond its ends, the end ones."""

    first: int
    entries: npt.NDArray[np.uint16]
    bits: int

    def applied(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        """Values of any shape, rounded and looked up, uint16 of the same shape."""
        places = np.rint(values).astype(np.int64) - self.first
        found: npt.NDArray[np.uint16] = self.entries[np.clip(places, 0, len(self.entries) - 1)]
        return found

    @property
    def window(self) -> Window:
        """What the entries can be, whatever they are: slices of one series share it."""
        return Window(0.0, 2.0**self.bits - 1)


def lookup_table(sequence: Any, *, signed: bool) -> LookupTable | None:
    """A LUT sequence's first table (PS3.3 C.11.1.1.1, C.11.2.1.1); None if it makes no sense.

    signed: whether what is looked up can be below 0, which implicit VR does not say.
    """
    try:
        item = sequence[0]
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        data, order = item.LUTData, ">" if item.original_encoding[1] is False else "<"
    except Exception:  # missing, or of a wrong kind: pydicom's errors quote values
        return None
    count = count % 2**16 or 2**16  # unsigned, whatever it was read as
    if isinstance(data, bytes):
        width = 1 if bits == 8 and len(data) < 2 * count else 2
        entries = np.frombuffer(data[: len(data) // width * width], f"{order}u{width}")
    else:
        entries = np.atleast_1d(np.asarray(data))
    if not 8 <= bits <= 16 or len(entries) < count or entries.dtype.kind not in "iu":
        return None
    if signed and first >= 2**15:
        first -= 2**16
    return LookupTable(first, entries[:count].astype(np.uint16), bits)


def choose(name: str, dataset: Dataset, frame: int = 0) -> Window | None:
    """A window by name; None if the values themselves must decide (see automatic()).

    "header" is the instance's own first window; presets are for CT's Hounsfield units, and other
    modalities fall back to "header". Raises ValueError for an unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"there is no window {name!r}: choose of {', '.join(NAMES)}")
    if name in PRESETS and str(dataset.get("Modality", "")).strip().upper() == "CT":
        center, width = PRESETS[name]
        return Window(center - width / 2, center + width / 2)
    if name == AUTO:
        return None
    middle, span = _first(dataset, "WindowCenter", frame), _first(dataset, "WindowWidth", frame)
    if middle is None or span is None or span <= 0:
        return None
    function = str(frame_value(dataset, "VOILUTFunction", frame) or "LINEAR").strip().upper()
    # Narrower than 1 the linear function is not defined: values are fractions, and it is exact.
    if function in ("LINEAR_EXACT", "SIGMOID") or span < 1:
        shape = "SIGMOID" if function == "SIGMOID" else "LINEAR"
        return Window(middle - span / 2, middle + span / 2, shape)
    # The ends of the linear function of PS3.3 C.11.2.1.2.1; of width 1 it is a threshold.
    half = max(span - 1, 1e-6) / 2
    return Window(middle - 0.5 - half, middle - 0.5 + half)


def apply(values: npt.NDArray[Any], window: Window) -> npt.NDArray[np.uint8]:
    """Values of any shape as displayed, uint8 of the same shape."""
    span = max(window.high - window.low, 1e-9)
    if window.function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        middle = (window.low + window.high) / 2
        scaled = 255.0 / (1.0 + np.exp(np.clip(-4.0 * (values - middle) / span, -700, 700)))
    else:
        scaled = (values - window.low) / span * 255.0
    shown: npt.NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return shown


def automatic(values: npt.NDArray[Any], counts: npt.NDArray[np.int64] | None = None) -> Window:
    """The 0.5 to 99.5 percentiles of the values; with `counts`, of a histogram over them.

    Values need not be sorted. Without any value the window is 0 to 1.
    """
    if counts is not None:
        order = np.argsort(values, kind="stable")
        values, running = values[order], np.cumsum(counts[order])
        if not len(running) or running[-1] == 0:
            return Window(0.0, 1.0)
        low, high = (
            float(values[np.searchsorted(running, share / 100 * running[-1], side="right")])
            if share < 50
            else float(values[np.searchsorted(running, share / 100 * running[-1])])
            for share in _PERCENTILES
        )
    elif values.size:
        low, high = (float(v) for v in np.percentile(values, _PERCENTILES))
    else:
        return Window(0.0, 1.0)
    return Window(low, high if high > low else low + 1)


def asked_for(label_config: str) -> tuple[str, ...]:
    """The windows whose images a label config shows: ``$image`` first, then each ``$image_NAME``.

    Raises ValueError if it is no XML, or asks for a window that there is not.
    """
    try:
        root = ElementTree.fromstring(label_config)
    except ElementTree.ParseError:
        raise ValueError(
            "the label config is no XML: copy it from the project's settings"
        ) from None
    names = [HEADER]
    for image in root.iter("Image"):
        key = image.get("value", "").lstrip("$")
        if key.startswith("image_"):
            name = key.removeprefix("image_")
            if name not in NAMES:
                raise ValueError(
                    f"the label config shows ${key}, but there is no window {name!r}: "
                    f"choose of {', '.join(NAMES)}"
                )
            names.append(name)
    return tuple(dict.fromkeys(names))


def _first(dataset: Dataset, keyword: str, frame: int) -> float | None:
    value = frame_value(dataset, keyword, frame)
    try:
        if value is None:
            return None
        number = float(value if isinstance(value, str | int | float) else value[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None
