"""Strips where known scanners write the patient's name, by maker and kind of device.

Shares of the image's rows, from the top and from the bottom, over its whole width: the widest
strip of each maker in RSNA CTP's library of burned-in annotations (DicomPixelAnonymizer script),
which names them in pixels for single models and sizes.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from .boxes import Box

_TOP_AND_BOTTOM = {
    ("US", "ACUSON"): (0.08, 0.0),
    ("US", "ATL"): (0.14, 0.0),
    ("US", "CANON"): (0.12, 0.0),
    ("US", "ESAOTE"): (0.14, 0.0),
    ("US", "GE"): (0.13, 0.0),
    ("US", "MEDISON"): (0.09, 0.0),
    ("US", "MINDRAY"): (0.10, 0.0),
    ("US", "PHILIPS"): (0.10, 0.0),
    ("US", "SAMSUNG"): (0.09, 0.0),
    ("US", "SIEMENS"): (0.09, 0.0),
    ("US", "SUPERSONIC"): (0.09, 0.0),
    ("US", "TOSHIBA"): (0.12, 0.0),
    ("US", "ZONARE"): (0.12, 0.0),
    ("NM", "ADAC"): (0.16, 0.10),
    ("NM", "SIEMENS"): (0.11, 0.10),
}


def banner_boxes(dataset: Dataset, height: int, width: int) -> tuple[Box, ...]:
    """The banner of the instance's device as boxes in an image of (height, width)."""
    try:
        modality = str(dataset.get("Modality") or "").strip().upper()
        words = str(dataset.get("Manufacturer") or "").upper().replace("_", " ").split()
    except Exception:  # pydicom converts lazily: any access can fail
        return ()
    for (device, maker), (top, bottom) in _TOP_AND_BOTTOM.items():
        if device == modality and maker in words:
            rows = round(top * height), round(bottom * height)
            boxes = ((0, 0, rows[0], width), (height - rows[1], 0, height, width))
            return tuple(box for box in boxes if box[0] < box[2])
    return ()
