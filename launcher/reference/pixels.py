"""How images are read: which transfer syntaxes, and how carefully their pixels are looked at."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID, AllTransferSyntaxes, CTImageStorage, SecondaryCaptureImageStorage

from importer.burned_in import Care, care_for
from importer.decode import _codec

from .markdown import code, table

# What is done at each care, and what holds an object there.
CARE = {
    Care.SCAN: "the stroke filter on every slice; OCR on the first of each series, on one slice in "
    "400, and wherever the filter alarms",
    Care.READ: "known banners, OCR at several scales and the stroke filter on every slice",
    Care.REGIONS: "only the declared regions are kept, then read as above",
    Care.HOLD: "held for a person",
}


def transfer_syntaxes() -> str:
    """The standard's transfer syntaxes: what decodes each, and which cannot be decoded."""
    found = {UID(uid): _decoder(UID(uid)) for uid in sorted(AllTransferSyntaxes)}
    readable = [(uid.name, code(str(uid)), by) for uid, by in found.items() if by]
    others = "; ".join(uid.name for uid, by in found.items() if not by)
    return (
        table(("transfer syntax", "UID", "decoded by"), readable)
        + "\nAn object in any other is told as `damaged-pixels`; the import goes on without it. "
        + f"Of the standard's, these are: {others}."
    )


def _decoder(syntax: UID) -> str | None:
    if _codec(syntax):
        return "imagecodecs"
    if not syntax.is_compressed or syntax.is_deflated:
        return "pydicom"
    try:
        usable = get_decoder(syntax).is_available
    except NotImplementedError:
        usable = False
    return "pydicom" if usable else None


def burned_in() -> str:
    """What kinds of images are looked at in which way, found out by asking for each."""
    rows = []
    for about, image in _images():
        verdict = care_for(image)
        rows.append((about, CARE[verdict.care], code(verdict.reason)))
    return table(("image", "what happens", "reason code"), rows)


def _images() -> Iterator[tuple[str, Dataset]]:
    def scanner(**more: object) -> Dataset:
        return _with(
            Modality="CT",
            SOPClassUID=CTImageStorage,
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            BitsAllocated=16,
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            **more,
        )

    yield "CT, MR, PET or NM as the scanner made it", scanner()
    yield "the same, with BurnedInAnnotation NO", scanner(BurnedInAnnotation="NO")
    yield "the same, with BurnedInAnnotation YES", scanner(BurnedInAnnotation="YES")
    screen = scanner()
    screen.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    yield "a scanner's screen save, dose page or colour image", screen
    yield "a scanner's image that says how it was converted", scanner(ConversionType="WSD")
    bare = scanner()
    del bare.ImageType
    yield "a scanner's image without ImageType", bare
    eight = scanner()
    eight.BitsAllocated = 8
    yield "CT or MR of 8 bits", eight
    yield "secondary capture", _with(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT")
    yield "CR, DX, MG, XA, RF, IO, PX", _with(Modality="CR")
    yield "the same, with BurnedInAnnotation YES", _with(Modality="CR", BurnedInAnnotation="YES")
    yield "ultrasound with its regions", _ultrasound(0, 0, 49, 49)
    yield "ultrasound without regions", _with(Modality="US", Rows=100, Columns=100)
    yield "ultrasound whose regions leave nothing out", _ultrasound(0, 0, 99, 99)
    yield "ultrasound whose regions cannot be read", _ultrasound(60, 60, 20, 20)
    yield "any other modality", _with(Modality="ES")
    yield "RecognizableVisualFeatures YES", scanner(RecognizableVisualFeatures="YES")
    label = _with(Modality="SM", ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
    yield "a slide's label or overview, or SpecimenLabelInImage YES", label


def _ultrasound(left: int, top: int, right: int, bottom: int) -> Dataset:
    region = _with(
        RegionSpatialFormat=1,
        RegionLocationMinX0=left,
        RegionLocationMinY0=top,
        RegionLocationMaxX1=right,
        RegionLocationMaxY1=bottom,
    )
    return _with(Modality="US", Rows=100, Columns=100, SequenceOfUltrasoundRegions=[region])


def _with(**attributes: object) -> Dataset:
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found
