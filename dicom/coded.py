"""What a class is, in codes: SNOMED CT for common organs and findings, its name for all others.

PS3.16 CID 7150 (category) and 7151 (type). A class that is not here is coded as tissue, and told
apart by its label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Code = tuple[str, str, str]  # value, scheme, meaning

ANATOMY: Code = ("123037004", "SCT", "Anatomical Structure")
ABNORMAL: Code = ("49755003", "SCT", "Morphologically Abnormal Structure")
TISSUE: Code = ("85756007", "SCT", "Tissue")


@dataclass(frozen=True)
class Property:
    """Category and type of a segment (PS3.3 C.8.20.4)."""

    category: Code
    type: Code


_ANATOMY = {
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Bladder"),
    "bone": ("272673000", "Bone"),
    "brain": ("12738006", "Brain"),
    "breast": ("76752008", "Breast"),
    "colon": ("71854001", "Colon"),
    "esophagus": ("32849002", "Esophagus"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "kidney": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "pancreas": ("15776009", "Pancreas"),
    "prostate": ("41216001", "Prostate"),
    "skin": ("39937001", "Skin"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spleen": ("78961009", "Spleen"),
    "stomach": ("69695003", "Stomach"),
    "thyroid": ("69748006", "Thyroid"),
    "trachea": ("44567001", "Trachea"),
    "uterus": ("35039007", "Uterus"),
    "vertebra": ("51282000", "Vertebra"),
}
_ABNORMAL = {
    "cyst": ("367643001", "Cyst"),
    "edema": ("79654002", "Edema"),
    "hemorrhage": ("50960005", "Hemorrhage"),
    "lesion": ("52988006", "Lesion"),
    "necrosis": ("6574001", "Necrosis"),
    "neoplasm": ("108369006", "Neoplasm"),
    "nodule": ("27925004", "Nodule"),
}
_OTHER_NAMES = {
    "urinary bladder": "bladder",
    "oesophagus": "esophagus",
    "hippocampi": "hippocampus",
    "kidneys": "kidney",
    "lungs": "lung",
    "haemorrhage": "hemorrhage",
    "oedema": "edema",
    "tumor": "neoplasm",
    "tumour": "neoplasm",
}


def property_of(label: str) -> Property:
    """What a class of this name is; a name counts whatever its case and its separators."""
    name = " ".join(re.findall(r"[^\W_]+", label.lower()))
    name = _OTHER_NAMES.get(name, name)
    if name in _ANATOMY:
        value, meaning = _ANATOMY[name]
        return Property(ANATOMY, (value, "SCT", meaning))
    if name in _ABNORMAL:
        value, meaning = _ABNORMAL[name]
        return Property(ABNORMAL, (value, "SCT", meaning))
    return Property(TISSUE, TISSUE)
