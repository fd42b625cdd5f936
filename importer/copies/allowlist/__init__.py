"""What may go on, for each SOP class: tables of keyword and check, readable as data.

An attribute of PS3.15 Table E.1-1 is here only where the Basic Profile or the modified dates option
lets a replaced, shifted, dummy or empty value stand; tests hold the tables against it row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pydicom import uid

from ..checks import Entry
from ..tables import Table
from . import angiography, enhanced, general, nuclear, radiography, tomography, ultrasound

Entries = dict[str, Entry]


@dataclass(frozen=True)
class Family:
    """The modules of one IOD (PS3.3 Annex A)."""

    parts: tuple[Entries, ...]
    multi_frame: bool = False


_SC = (general.SECONDARY_CAPTURE,)
_FAMILIES: dict[str, Family] = {
    uid.ComputedRadiographyImageStorage: Family((radiography.CR,)),
    uid.CTImageStorage: Family((tomography.CT,)),
    uid.MRImageStorage: Family((tomography.MR,)),
    uid.NuclearMedicineImageStorage: Family((nuclear.NM,), multi_frame=True),
    uid.PositronEmissionTomographyImageStorage: Family((nuclear.PT,)),
    uid.UltrasoundImageStorage: Family((ultrasound.US,)),
    uid.UltrasoundMultiFrameImageStorage: Family((ultrasound.US, general.CINE), multi_frame=True),
    uid.SecondaryCaptureImageStorage: Family(_SC),
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage: Family(
        (*_SC, general.CINE), multi_frame=True
    ),
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage: Family(
        (*_SC, general.CINE, enhanced.DIMENSIONS, enhanced.GROUPS), multi_frame=True
    ),
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage: Family(
        (*_SC, general.CINE, enhanced.DIMENSIONS, enhanced.GROUPS), multi_frame=True
    ),
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage: Family(
        (*_SC, general.CINE, enhanced.DIMENSIONS, enhanced.GROUPS), multi_frame=True
    ),
    uid.DigitalXRayImageStorageForPresentation: Family((radiography.DX,)),
    uid.DigitalXRayImageStorageForProcessing: Family((radiography.DX,)),
    uid.DigitalMammographyXRayImageStorageForPresentation: Family((radiography.MG,)),
    uid.DigitalMammographyXRayImageStorageForProcessing: Family((radiography.MG,)),
    uid.DigitalIntraOralXRayImageStorageForPresentation: Family((radiography.IO,)),
    uid.DigitalIntraOralXRayImageStorageForProcessing: Family((radiography.IO,)),
    uid.XRayAngiographicImageStorage: Family((angiography.XA, general.CINE)),
    uid.XRayRadiofluoroscopicImageStorage: Family((angiography.RF, general.CINE)),
    uid.EnhancedCTImageStorage: Family((enhanced.CT,), multi_frame=True),
    uid.LegacyConvertedEnhancedCTImageStorage: Family((enhanced.CT,), multi_frame=True),
    uid.EnhancedMRImageStorage: Family((enhanced.MR,), multi_frame=True),
    uid.EnhancedMRColorImageStorage: Family((enhanced.MR,), multi_frame=True),
    uid.LegacyConvertedEnhancedMRImageStorage: Family((enhanced.MR,), multi_frame=True),
    uid.EnhancedPETImageStorage: Family((enhanced.PT,), multi_frame=True),
    uid.LegacyConvertedEnhancedPETImageStorage: Family((enhanced.PT,), multi_frame=True),
    uid.EnhancedUSVolumeStorage: Family((enhanced.US,), multi_frame=True),
    uid.EnhancedXAImageStorage: Family((enhanced.XA,), multi_frame=True),
    uid.EnhancedXRFImageStorage: Family((enhanced.XA,), multi_frame=True),
    uid.XRay3DAngiographicImageStorage: Family((enhanced.X3D,), multi_frame=True),
    uid.XRay3DCraniofacialImageStorage: Family((enhanced.X3D,), multi_frame=True),
    uid.BreastTomosynthesisImageStorage: Family((enhanced.TOMOSYNTHESIS,), multi_frame=True),
    uid.BreastProjectionXRayImageStorageForPresentation: Family(
        (enhanced.TOMOSYNTHESIS,), multi_frame=True
    ),
    uid.BreastProjectionXRayImageStorageForProcessing: Family(
        (enhanced.TOMOSYNTHESIS,), multi_frame=True
    ),
}
# Retired classes still found in archives, with the tables of what replaced them (PS3.6 Annex A).
_RETIRED = {
    "1.2.840.10008.5.1.4.1.1.5": uid.NuclearMedicineImageStorage,
    "1.2.840.10008.5.1.4.1.1.6": uid.UltrasoundImageStorage,
    "1.2.840.10008.5.1.4.1.1.3": uid.UltrasoundMultiFrameImageStorage,
    "1.2.840.10008.5.1.4.1.1.12.3": uid.XRayAngiographicImageStorage,
}


def sop_classes() -> frozenset[str]:
    """The SOP classes of which copies are made."""
    return frozenset(_FAMILIES) | frozenset(_RETIRED)


@lru_cache(maxsize=64)
def table_for(sop_class: str) -> Table:
    """The allowlist of a SOP class; KeyError if no copies are made of it."""
    family = _FAMILIES[_RETIRED.get(sop_class, sop_class)]
    return Table(general.COMMON, *family.parts)


def is_multi_frame(sop_class: str) -> bool:
    """Whether the IOD counts its frames even where there is one."""
    return _FAMILIES[_RETIRED.get(sop_class, sop_class)].multi_frame
