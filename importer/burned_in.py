"""Whether an instance's pixels may show text about a patient, by rule.

Rules, not OCR: what the headers and the kind of device make likely is set aside for a person
(PS3.3 C.7.6.1.1.x BurnedInAnnotation is absent from most real files). A text that a CT or MR
scanner burned into an original slice is not found by this version.
"""

from __future__ import annotations

from collections.abc import Collection

from pydicom.dataset import Dataset
from pydicom.uid import UID

# Devices whose images are original measurements, without a screen in between.
_SCANNERS = frozenset({"CT", "MR", "PT", "NM"})
# Projection images that often carry a burned-in name or marker, but may declare that they do not.
_DECLARABLE = frozenset({"CR", "DX", "MG", "XA", "RF", "IO", "PX"})
# ImageType values of screens and reports (PS3.3 C.7.6.1.1.2 and makers' own).
_DRAWN = frozenset(
    {"SCREEN SAVE", "SCREENSAVE", "SCREEN", "DOSE", "DOSE_INFO", "REPORT", "OTHER RGB"}
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def review_reason(dataset: Dataset, accept: Collection[str] = ()) -> str | None:
    """Why an instance must be looked at before it leaves, None if it may go.

    `accept` holds modalities that a person has looked at: only a header that says YES then keeps
    an instance back.
    """
    flag = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    if flag == "YES":
        return "burned-in-annotation"
    modality = str(dataset.get("Modality") or "").strip().upper()
    if modality in accept:
        return None
    if str(UID(str(dataset.get("SOPClassUID") or ""))).startswith(_SECONDARY_CAPTURE):
        return "secondary-capture"
    image_type = dataset.get("ImageType") or []
    kinds = [
        str(kind).upper() for kind in ([image_type] if isinstance(image_type, str) else image_type)
    ]
    if modality in _SCANNERS:
        # Scanners measure grey values: colour, like a screen save, was drawn by a program. Filtered
        # and reformatted images are DERIVED\\SECONDARY too and carry no text for that.
        drawn = int(dataset.get("SamplesPerPixel") or 1) > 1 or _DRAWN.intersection(kinds)
        return "screen-capture" if drawn else None
    if modality in _DECLARABLE and flag == "NO":
        return None
    return f"may-show-text-{modality.lower()}" if modality in _DECLARABLE else "may-show-text"
