"""How carefully an instance's pixels must be read, by its header alone.

BurnedInAnnotation (PS3.3 C.7.6.1.1) is absent from most real files, and files that show a name say
NO: a NO is never believed, a YES always is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pydicom.dataset import Dataset

from dicom.functional_groups import attribute

from .regions import RegionsError, kept_regions

# Devices whose images are original measurements, without a screen in between.
_SCANNERS = frozenset({"CT", "MR", "PT", "NM"})
# Projection images that often carry a burned-in name or marker.
_PROJECTIONS = frozenset({"CR", "DX", "MG", "XA", "RF", "IO", "PX"})
# ImageType values of screens and reports (PS3.3 C.7.6.1.1.2 and makers' own).
_DRAWN = frozenset(
    {"SCREEN SAVE", "SCREENSAVE", "SCREEN", "DOSE", "DOSE_INFO", "REPORT", "OTHER RGB", "VOLREN"}
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
# Of a slide: its paper label, and the picture of all of it (PS3.3 C.8.12.4.1.1). Handwriting and
# codes for machines are on it, which a text detector does not find.
_LABELLED = frozenset({"LABEL", "OVERVIEW"})
_ULTRASOUND = ("1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.3")


# What the header itself says: no vouching for a modality speaks against it.
SAID = frozenset({"recognizable-visual-features", "slide-label"})


class Care(str, Enum):
    """What is done with the pixels, from least to most careful."""

    SCAN = "scan"
    """The cheap filter on every slice, the text detector on samples: original CT, MR, PT, NM."""
    READ = "read"
    """Both detectors and known banners: screens, projections, unknown devices."""
    REGIONS = "regions"
    """Only the declared regions are kept, then READ: ultrasound."""
    HOLD = "hold"
    """Never without a person."""


@dataclass(frozen=True)
class Verdict:
    """How to treat an instance, and the reason code that explains it."""

    care: Care
    reason: str
    doubted: bool = False
    """Whether a person is asked: then a banner goes too that an ultrasound's regions keep."""


def care_for(dataset: Dataset) -> Verdict:
    """How carefully to read an instance's pixels; nothing in the header can raise."""
    if _code(dataset, "RecognizableVisualFeatures") == "YES":
        return Verdict(Care.HOLD, "recognizable-visual-features")
    sop_class, modality = _code(dataset, "SOPClassUID"), _code(dataset, "Modality")
    if _shows_label(dataset, sop_class, modality):
        return Verdict(Care.HOLD, "slide-label")
    declared = declares_text(dataset)
    if modality in ("US", "IVUS") or _is(sop_class, *_ULTRASOUND):
        try:
            kept_regions(dataset)
        except RegionsError as error:
            return Verdict(Care.HOLD, str(error))
        return Verdict(Care.REGIONS, "ultrasound-regions")
    if _is(sop_class, _SECONDARY_CAPTURE):
        return Verdict(Care.READ, "secondary-capture")
    if modality in _SCANNERS:
        reason = _not_measured(dataset, modality)
        if reason is None and declared:
            reason = "burned-in-annotation"
        return Verdict(Care.READ, reason) if reason else Verdict(Care.SCAN, "original-measurement")
    if modality in _PROJECTIONS:
        return Verdict(Care.READ, "burned-in-annotation" if declared else "projection-image")
    return Verdict(Care.READ, "unknown-device")


def declares_text(dataset: Dataset) -> bool:
    """Whether the header itself says that text is burned in."""
    return _code(dataset, "BurnedInAnnotation") == "YES"


def _shows_label(dataset: Dataset, sop_class: str, modality: str) -> bool:
    """Whether a slide's label, which names the patient or the specimen, is in the picture."""
    if _code(dataset, "SpecimenLabelInImage") == "YES":
        return True
    is_slide = modality == "SM" or _is(sop_class, _WHOLE_SLIDE)
    return is_slide and not _LABELLED.isdisjoint(_codes(dataset, "ImageType"))


def _not_measured(dataset: Dataset, modality: str) -> str | None:
    """Why a scanner's image cannot be its measurement as it came, None if it can."""
    kinds = _codes(dataset, "ImageType")
    # Scanners measure grey values: colour, like a screen save, was drawn by a program. Filtered
    # and reformatted images are DERIVED\\SECONDARY too and carry no text for that.
    if _DRAWN.intersection(kinds) or _code(dataset, "SamplesPerPixel") not in ("", "1"):
        return "screen-capture"
    if _code(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        return "screen-capture"
    # Film digitizers and frame grabbers say how they made the image (PS3.3 C.8.6.1).
    if _code(dataset, "ConversionType"):
        return "converted-image"
    if len(kinds) < 2:
        return "image-type-missing"
    # CT and MR images have 16 bits (PS3.3 C.8.2.1, C.8.3.1); eight are a screen's.
    if modality in ("CT", "MR") and _code(dataset, "BitsAllocated") == "8":
        return "eight-bit-image"
    return None


def _is(uid: str, *roots: str) -> bool:
    return any(uid == root or uid.startswith(root + ".") for root in roots)


def _code(dataset: Dataset, keyword: str) -> str:
    codes = _codes(dataset, keyword)
    return codes[0] if codes else ""


def _codes(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an attribute in capitals, without padding; none if it cannot be read."""
    try:
        value = attribute(dataset, keyword)
        if value is None:
            return []
        values = value if isinstance(value, list | tuple) or _many(value) else [value]
        return [str(each).strip(" \0").upper() for each in values]
    except Exception:  # pydicom converts lazily: any access can fail
        return []


def _many(value: object) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__iter__")
