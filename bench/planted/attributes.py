"""Canaries in attributes: of the table, below sequences, private, outside the table, coded."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, EnhancedCTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from .corpus import BELOW, CODES, OUTSIDE, TABLE, Corpus, outside_rows, table_rows, to_bytes

# The pixels' own description and what says how to read the file: text there makes no image at all.
_NEEDED = frozenset(
    "SpecificCharacterSet PhotometricInterpretation Modality BurnedInAnnotation ImageType".split()
)
_CR = UID("1.2.840.10008.5.1.4.1.1.1")
# Sequences that an importer may well keep, and one from the table; each path is two or three deep.
_PATHS = (
    ("SharedFunctionalGroupsSequence", "PixelMeasuresSequence"),
    ("PerFrameFunctionalGroupsSequence", "PlanePositionSequence"),
    ("PerFrameFunctionalGroupsSequence", "FrameContentSequence"),
    ("SharedFunctionalGroupsSequence", "FrameAnatomySequence", "AnatomicRegionSequence"),
    ("SharedFunctionalGroupsSequence", "FrameVOILUTSequence"),
    ("ReferencedImageSequence", "PurposeOfReferenceCodeSequence"),
    ("RequestAttributesSequence", "ScheduledProtocolCodeSequence"),
    ("SequenceOfUltrasoundRegions", "ViewCodeSequence"),
    ("ViewCodeSequence", "ViewModifierCodeSequence"),
    ("SourceImageSequence", "PurposeOfReferenceCodeSequence", "ReferencedImageSequence"),
)


def table(sop_class: UID, modality: str, syntax: UID, name: str) -> Callable[[Corpus], None]:
    """Every row of the table at the top level of one object."""

    def write(corpus: Corpus) -> None:
        dataset = corpus.image(sop_class, modality)
        dataset.file_meta.TransferSyntaxUID = syntax
        for tag, vr in table_rows().items():
            # The file meta and command elements have files of their own below.
            if tag >> 16 > 2 and tag not in dataset:  # the UIDs are canaries already
                corpus.element(dataset, TABLE, tag, vr, name)
        corpus.write(dataset, name)

    return write


def command(corpus: Corpus) -> None:
    """Rows of group 0000 in a file, where they have no business."""
    dataset = corpus.image()
    content = to_bytes(dataset)
    start = 144 + int.from_bytes(content[140:144], "little")
    elements = b""
    for tag in sorted(tag for tag in table_rows() if tag >> 16 == 0):
        uid = corpus.mint.value(TABLE, f"command.dcm (0000,{tag:04X}) UI", "UI").encode()
        uid += b"\0" * (len(uid) % 2)
        elements += b"\0\0" + tag.to_bytes(2, "little") + b"UI" + len(uid).to_bytes(2, "little")
        elements += uid
    (corpus.folder / "command.dcm").write_bytes(content[:start] + elements + content[start:])


def private(corpus: Corpus) -> None:
    """Private elements of several VRs, known makers' and unknown ones, at the top and below."""
    dataset = corpus.image(MRImageStorage, "MR")
    item = Dataset()
    for level, place in ((dataset, TABLE), (item, BELOW)):
        for group, creator in (
            (0x0009, ""),
            (0x0029, "SIEMENS CSA HEADER"),
            (0x0043, "GEMS_PARM_01"),
        ):
            name = creator or corpus.text(place, f"private.dcm private creator {group:04X}")
            block = level.private_block(group, name, create=True)
            for number, vr in enumerate(("LO", "UN", "OB", "PN", "DA", "UI", "UT", "DS"), 0x10):
                where = f"private.dcm private ({group:04X},{number:04X}) {vr}"
                block.add_new(number, vr, corpus.mint.value(place, where, vr))
    dataset.add(DataElement(0x00111001, "LO", corpus.text(TABLE, "private.dcm no creator")))
    dataset.ReferencedImageSequence = Sequence([item])
    corpus.write(dataset, "private.dcm")


def below(corpus: Corpus) -> None:
    """Every non-sequence row of the table two or three sequences deep, in an enhanced image."""
    dataset = corpus.image(EnhancedCTImageStorage, "CT", frames=2)
    items: list[Dataset] = []
    for path in _PATHS:
        level: Dataset = dataset
        for keyword in path:
            if keyword not in level:
                count = 2 if keyword.startswith("PerFrame") else 1
                setattr(level, keyword, Sequence([Dataset() for _ in range(count)]))
            level = level[keyword].value[0]
        items.append(level)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing, measures.SliceThickness = ["0.5", "0.5"], "2.5"
    del dataset.PixelSpacing
    rows = [(tag, vr) for tag, vr in table_rows().items() if vr != "SQ" and tag >> 16 > 4]
    for number, (tag, vr) in enumerate(rows):
        corpus.element(items[number % len(items)], BELOW, tag, vr, "below.dcm")
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.BitsAllocated = icon.BitsStored = 8
    icon.PixelData = corpus.text(BELOW, "below.dcm icon").encode() + b"\0" * 4
    dataset.IconImageSequence = Sequence([icon])
    corpus.write(dataset, "below.dcm")


def outside(corpus: Corpus) -> None:
    """All text and dates that the table does not list, and an ICC profile."""
    dataset = corpus.image(_CR, "CR")
    for tag, vr in outside_rows().items():
        corpus.element(dataset, OUTSIDE, tag, vr, "outside.dcm")
    dataset.ICCProfile = corpus.text(OUTSIDE, "outside.dcm ICCProfile").encode()
    corpus.write(dataset, "outside.dcm")


def codes(corpus: Corpus) -> None:
    """Free text in every coded attribute, numbers in the counters, and codes in sequences."""
    dataset = corpus.image()
    rows = table_rows()
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if vr == "CS" and tag not in rows and keyword not in _NEEDED and tag >> 16 > 4:
            corpus.element(dataset, CODES, tag, vr, "codes.dcm")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", corpus.text(CODES, "codes.dcm ImageType 3")]
    for keyword in ("InstanceNumber", "SeriesNumber", "AcquisitionNumber", "EchoNumbers",
                    "TemporalPositionIdentifier", "ReferencedFrameNumber"):  # fmt: skip
        setattr(dataset, keyword, corpus.mint.value(CODES, f"codes.dcm {keyword}", "IS"))
    code = Dataset()
    for keyword in ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"):
        setattr(code, keyword, corpus.text(CODES, f"codes.dcm AnatomicRegion {keyword}"))
    dataset.AnatomicRegionSequence = Sequence([code])
    corpus.write(dataset, "codes.dcm")
    for keyword in ("Modality", "PhotometricInterpretation", "NumberOfFrames", "PixelSpacing",
                    "WindowCenter", "RescaleSlope", "SOPClassUID", "SpecificCharacterSet",
                    "TransferSyntaxUID", "Rows", "BitsStored", "ImagePositionPatient",
                    "PixelData", "BurnedInAnnotation"):  # fmt: skip
        dataset = corpus.image()
        corpus.slices -= 1  # an importer may keep such an image or refuse it
        token = corpus.text(CODES, f"{keyword}.dcm {keyword}")
        if keyword != "TransferSyntaxUID":
            vr = "OB" if keyword == "PixelData" else "LO"
            dataset[keyword] = DataElement(keyword, vr, token.encode() if vr == "OB" else token)
        path = corpus.write(dataset, f"odd/{keyword}.dcm")
        if keyword == "TransferSyntaxUID":  # pydicom writes none that it does not know
            sound = ExplicitVRLittleEndian.encode().ljust(20, b"\0")
            content = path.read_bytes().replace(sound, token.encode().ljust(20, b"\0"), 1)
            path.write_bytes(content)
