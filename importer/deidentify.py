"""What may leave the hospital beside the pixels: a short list, each value built new and checked.

Nothing is cleaned in place: denylists leak, an allowlist cannot (PS3.15 Annex E lists 653 tags,
and hundreds of free-text attributes that identify are not among them). Identity hides in
enumerated attributes too, so each is checked against the standard's terms. Errors never quote a
value.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from dicom.functional_groups import frame_value, value_of

from .pseudonyms import pseudonym

# PS3.3 C.7.3.1.1.1, the terms that come with pixels.
MODALITIES = frozenset(
    """
    CR CT DX ES GM IO IVUS MG MR NM OCT OP OPT OT PT PX RF RG SC SM US XA XC BMD DMS BI TG LS
    """.split()
)
# PS3.16 Annex L, the terms in common use; any other text is left out.
BODY_PARTS = frozenset(
    """
    ABDOMEN ABDOMENPELVIS ANKLE AORTA ARM BLADDER BRAIN BREAST BRONCHUS CALF CAROTID
    CEREBELLUM CERVIX CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX COLON CSPINE ELBOW
    ESOPHAGUS EXTREMITY EYE FACE FEMUR FINGER FOOT GALLBLADDER HAND HEAD HEADNECK HEART HIP
    HUMERUS IAC ILIUM JAW KIDNEY KNEE LARYNX LEG LIVER LSPINE LUNG MANDIBLE MAXILLA
    MEDIASTINUM NECK NOSE ORBIT OVARY PANCREAS PELVIS PROSTATE RECTUM RIB SCALP SCAPULA
    SHOULDER SKULL SPINE SPLEEN SSPINE STERNUM STOMACH TESTIS THIGH THUMB THYMUS THYROID TIBIA
    TLSPINE TOE TSPINE UTERUS WHOLEBODY WRIST ZYGOMA
    """.split()
)


# Attributes that pixels or task data are made of; nothing else leaves.
_USED = frozenset(
    """
    PixelData FloatPixelData DoubleFloatPixelData Modality Rows Columns BodyPartExamined
    ImageLaterality Laterality PixelSpacing ImagerPixelSpacing PixelAspectRatio SliceThickness
    WindowCenter WindowWidth VOILUTFunction VOILUTSequence ModalityLUTSequence RescaleSlope
    RescaleIntercept ImagePositionPatient ImageOrientationPatient PhotometricInterpretation
    SamplesPerPixel BitsAllocated BitsStored HighBit PixelRepresentation PlanarConfiguration
    NumberOfFrames PixelPaddingValue PixelPaddingRangeLimit
    """.split()
)


def allowed_attributes(dataset: Dataset, key: bytes) -> dict[str, Any]:
    """Task data of one instance: pseudonyms and checked attributes, JSON-able.

    Keys: patient, study, series, instance (20 hex digits each), modality, rows, columns, and where
    the instance has them in range: body_part, laterality ("L", "R", "B"), pixel_spacing_mm
    [between rows, between columns], slice_thickness_mm, window_center, window_width (in the
    modality's units). Raises ValueError, without quoting, if an identifier is missing.
    """
    study, instance = _text(dataset, "StudyInstanceUID"), _text(dataset, "SOPInstanceUID")
    if not instance:
        raise ValueError("SOPInstanceUID is missing")
    patient = _text(dataset, "PatientID")
    issuer = _text(dataset, "IssuerOfPatientID")
    series = _text(dataset, "SeriesInstanceUID")
    modality = _text(dataset, "Modality").upper()
    data: dict[str, Any] = {
        # Without a patient ID the study is all that ties slices to a person.
        "patient": pseudonym(key, "patient", f"{issuer}\0{patient}" if patient else f"\1{study}"),
        "study": pseudonym(key, "study", study or instance),
        "series": pseudonym(key, "series", series or instance),
        "instance": pseudonym(key, "instance", instance),
        "modality": modality if modality in MODALITIES else "OT",
        "rows": _integer(dataset, "Rows"),
        "columns": _integer(dataset, "Columns"),
    }
    body_part = _text(dataset, "BodyPartExamined").upper().replace(" ", "")
    if body_part in BODY_PARTS:
        data["body_part"] = body_part
    laterality = _text(dataset, "ImageLaterality") or _text(dataset, "Laterality")
    if laterality in ("L", "R", "B"):
        data["laterality"] = laterality
    spacing = _numbers(
        frame_value(dataset, "PixelSpacing") or value_of(dataset, "ImagerPixelSpacing")
    )
    if len(spacing) == 2 and all(1e-4 < value < 100 for value in spacing):
        data["pixel_spacing_mm"] = spacing
    thickness = _numbers(frame_value(dataset, "SliceThickness"))
    if len(thickness) == 1 and 0 < thickness[0] < 1000:
        data["slice_thickness_mm"] = thickness[0]
    center, width = (
        _numbers(value_of(dataset, "WindowCenter")),
        _numbers(value_of(dataset, "WindowWidth")),
    )
    if center and width and abs(center[0]) < 1e6 and 0 < width[0] < 1e6:
        data["window_center"], data["window_width"] = center[0], width[0]
    return data


def identifiers(dataset: Dataset, data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the pseudonyms in an instance's task data stand for: for the hospital's vault alone."""
    patient = {"patient_id": _text(dataset, "PatientID"), "name": _text(dataset, "PatientName")}
    if issuer := _text(dataset, "IssuerOfPatientID"):
        patient["issuer"] = issuer
    return {
        data["patient"]: {"kind": "patient", **patient},
        data["study"]: {
            "kind": "study",
            "patient": data["patient"],
            "uid": _text(dataset, "StudyInstanceUID"),
            "date": _text(dataset, "StudyDate"),
        },
        data["series"]: {
            "kind": "series",
            "study": data["study"],
            "uid": _text(dataset, "SeriesInstanceUID"),
        },
        data["instance"]: {
            "kind": "instance",
            "series": data["series"],
            "uid": _text(dataset, "SOPInstanceUID"),
        },
    }


def dropped_keywords(dataset: Dataset) -> Counter[str]:
    """How many attributes stay behind, by the standard's keyword; private ones together."""
    dropped: Counter[str] = Counter()
    for element in dataset.values():
        tag = element.tag
        keyword = "private attributes" if tag.is_private else keyword_for_tag(tag)
        if keyword not in _USED:
            dropped[keyword or "unknown attributes"] += 1
    return dropped


def position_along_normal_mm(dataset: Dataset, frame: int) -> float | None:
    """Where a frame lies along its slice normal, None if unknown (PS3.3 C.7.6.2.1.1).

    Only positions relative to the series leave (importer.journal): the absolute ones are the
    table's.
    """
    origin = _numbers(frame_value(dataset, "ImagePositionPatient", frame))
    axes = _numbers(frame_value(dataset, "ImageOrientationPatient", frame))
    if len(origin) != 3 or len(axes) != 6:
        return None
    (a, b, c, d, e, f), (x, y, z) = axes, origin
    position = (b * f - c * e) * x + (c * d - a * f) * y + (a * e - b * d) * z
    return position if abs(position) < 1e5 else None


def _text(dataset: Dataset, keyword: str) -> str:
    value = value_of(dataset, keyword)
    return str(value).strip() if value is not None else ""


def _integer(dataset: Dataset, keyword: str) -> int | None:
    value = value_of(dataset, keyword)
    return int(value) if isinstance(value, int) else None


def _numbers(value: Any) -> list[float]:
    if value is None:
        return []
    items = [value] if isinstance(value, str | int | float) else value
    try:
        numbers = [float(item) for item in items]
    except (TypeError, ValueError):
        return []
    return numbers if all(math.isfinite(number) for number in numbers) else []
