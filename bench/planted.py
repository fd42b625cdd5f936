"""A corpus of DICOM files in which every place that can hold identity holds a canary.

Places: every row of PS3.15 Table E.1-1 (at the top and below sequences), private tags, curves,
overlays, file meta, preamble, codec comments, fragments, padding, bits above Bits Stored, text and
dates that the table does not list, codes, numbers, character sets, names, and damaged files.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import config, dcmwrite
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

from .canaries import Canary, Mint
from .canaries import survivors as search

TABLE, BELOW, META, PIXELS, OUTSIDE, CODES, CHARSETS, NAMES = PLACES = (
    "attributes of the table",
    "below sequences",
    "file meta, preamble",
    "overlays, comments, padding",
    "outside the table",
    "codes, numbers, damage",
    "character sets",
    "names, other files",
)
_TEXT_OR_DATE = frozenset("AE LO SH ST LT UT UC PN UR DA DT TM".split())
# The pixels' own description and what says how to read the file: text there makes no image at all.
_NEEDED = frozenset(
    "SpecificCharacterSet PhotometricInterpretation Modality BurnedInAnnotation ImageType".split()
)
_CR = UID("1.2.840.10008.5.1.4.1.1.1")
_SC = UID("1.2.840.10008.5.1.4.1.1.7")
_SR = UID("1.2.840.10008.5.1.4.1.1.88.11")
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
_SCRIPTS: tuple[tuple[str, str, list[str]], ...] = (
    # Specific Character Set, letters of the script, Python codecs of its encodings.
    ("ISO_IR 100", "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞß", ["latin-1"]),
    ("ISO_IR 101", "ĄŁŚŠŞŤŹŽŻąłśšşťźžż", ["iso8859-2"]),
    ("ISO_IR 144", "БГДЖЗИЙЛПУФЦЧШЩЪЫЬЭЮЯ", ["iso8859-5", "cp1251"]),
    ("ISO_IR 126", "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπσφψω", ["iso8859-7"]),
    ("ISO_IR 127", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي", ["iso8859-6"]),
    ("ISO_IR 138", "אבגדהוזחטיכלמנסעפצקרשת", ["iso8859-8"]),
    ("ISO_IR 166", "กขคงจฉชซญฎฐณดตถทธนบปผฝพฟภมยรลวศษสหอ", ["tis-620"]),
    ("ISO_IR 13", "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉ", ["shift_jis"]),
    ("\\ISO 2022 IR 87", "山田太郎鈴木佐藤高橋伊渡辺中村", ["iso2022_jp", "shift_jis", "euc_jp"]),
    ("\\ISO 2022 IR 149", "김희중이박최정강조윤장임한오서신권황안송", ["euc_kr"]),
    ("\\ISO 2022 IR 58", "王小东张伟李娜刘洋陈静杨敏赵强", ["gb2312"]),
    ("GB18030", "王小东張偉李娜劉洋陳靜楊敏趙強", ["gb18030"]),
    ("GBK", "王小东張偉李娜劉洋陳靜楊敏趙強", ["gbk"]),
    ("ISO_IR 192", "ZęłßЖя山김ñçőğ", []),
)  # fmt: skip
_SIZE = 64


@dataclass(frozen=True)
class Planted:
    """A corpus: where it is, every canary in it, and what an importer should make of it."""

    folder: Path
    canaries: tuple[Canary, ...]
    files: int  # DICOM objects, those inside the zip too
    slices: int  # frames of the objects that are sound images


def table_rows() -> dict[int, str]:
    """The 653 tags of PS3.15 Table E.1-1 and their VRs."""
    path = Path(__file__).with_name("ps3_15_table_e1_1.json")
    by_vr: dict[str, str] = json.loads(path.read_text())["tags_by_vr"]
    return {int(tag, 16): vr for vr, tags in by_vr.items() for tag in tags.split()}


def outside_rows() -> dict[int, str]:
    """Attributes for free text and dates that PS3.6 has and the table has not, and their VRs."""
    rows = table_rows()
    return {
        tag: entry[0]
        for tag, entry in DicomDictionary.items()
        if entry[0] in _TEXT_OR_DATE and tag not in rows and tag >> 16 > 4
    }


def plant(folder: Path, seed: int) -> Planted:
    """Write the corpus into a new folder; the same seed gives the same canaries.

    Raises FileExistsError if the folder is there.
    """
    folder.mkdir(parents=True)
    corpus = _Corpus(folder, Mint(seed))
    logger, before = logging.getLogger("pydicom"), config.settings.writing_validation_mode
    disabled, logger.disabled = logger.disabled, True
    config.settings.writing_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is planted
            for write in _FILES:
                write(corpus)
    finally:
        config.settings.writing_validation_mode, logger.disabled = before, disabled
    return Planted(folder, tuple(corpus.mint.canaries), corpus.files, corpus.slices)


def survivors(planted: Planted, *outputs: Path | bytes) -> list[Canary]:
    """The canaries that folders (names and contents) or bytes still hold."""
    return search(planted.canaries, *outputs)


class _Corpus:
    """The folder, the mint, and what has been written so far."""

    def __init__(self, folder: Path, mint: Mint) -> None:
        self.folder, self.mint = folder, mint
        self.files = self.slices = 0

    def image(
        self,
        sop_class: UID = CTImageStorage,
        modality: str = "CT",
        frames: int = 1,
        colour: bool = False,
        bits: int = 12,
    ) -> FileDataset:
        """A sound image with pixels of its own and no identity but its UIDs, which are canaries."""
        meta = FileMetaDataset()
        meta.FileMetaInformationGroupLength = 0  # filled in when it is written
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = sop_class
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        number = self.files + 1
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            uid = self.mint.value(TABLE, f"object {number} {keyword}", "UI")
            setattr(dataset, keyword, uid)
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = self.mint.text(TABLE, f"object {number} PatientID")
        dataset.SOPClassUID, dataset.Modality = sop_class, modality
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.Rows = dataset.Columns = _SIZE
        dataset.BitsAllocated = 8 if bits <= 8 else 16
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
        dataset.SamplesPerPixel = 3 if colour else 1
        dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
        if colour:
            dataset.PlanarConfiguration = 0
        if frames > 1:
            dataset.NumberOfFrames = frames
        dataset.PixelSpacing, dataset.SliceThickness = ["0.5", "0.5"], "2.5"
        dataset.ImagePositionPatient = ["-16", "-16", str(2.5 * number)]
        dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
        dataset.WindowCenter, dataset.WindowWidth = "40", "400"
        shape = (frames, _SIZE, _SIZE, 3) if colour else (frames, _SIZE, _SIZE)
        ramp = np.linspace(0, 2**bits - 1, int(np.prod(shape))).reshape(shape)
        dataset.PixelData = ramp.astype(np.uint8 if bits <= 8 else np.uint16).tobytes()
        dataset["PixelData"].VR = "OB" if bits <= 8 else "OW"
        self.files += 1
        self.slices += frames
        return dataset

    def element(self, dataset: Dataset, place: str, tag: int, vr: str, file: str) -> None:
        """Plant an attribute in a data set; a sequence gets one item with a canary."""
        where = f"{file} ({tag >> 16:04X},{tag & 0xFFFF:04X}) {vr}"
        if vr == "SQ":
            item = Dataset()
            item.CodeMeaning = self.mint.text(place, f"{where} > CodeMeaning")
            dataset[tag] = DataElement(tag, "SQ", Sequence([item]))
        else:
            dataset[tag] = DataElement(tag, vr, self.mint.value(place, where, vr, tag))

    def write(self, dataset: FileDataset, name: str) -> Path:
        """Write one file in the transfer syntax that its file meta names."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_bytes(dataset))
        return path

    def text(self, place: str, where: str) -> str:
        """A text canary."""
        return self.mint.text(place, where)


def to_bytes(dataset: FileDataset) -> bytes:
    """A DICOM file as it would lie on a disk, unchecked."""
    syntax = dataset.file_meta.TransferSyntaxUID
    stream = io.BytesIO()
    if syntax == ExplicitVRBigEndian:
        words = np.frombuffer(dataset.PixelData, dtype="<u2")
        dataset.PixelData = words.astype(">u2").tobytes()
    dcmwrite(
        stream,
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=False,
    )
    return stream.getvalue()


def _table(sop_class: UID, modality: str, syntax: UID, name: str) -> Callable[[_Corpus], None]:
    """Every row of the table at the top level of one object."""

    def write(corpus: _Corpus) -> None:
        dataset = corpus.image(sop_class, modality)
        dataset.file_meta.TransferSyntaxUID = syntax
        for tag, vr in table_rows().items():
            # The file meta and command elements have files of their own below.
            if tag >> 16 > 2 and tag not in dataset:  # the UIDs are canaries already
                corpus.element(dataset, TABLE, tag, vr, name)
        corpus.write(dataset, name)

    return write


def _command(corpus: _Corpus) -> None:
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


def _private(corpus: _Corpus) -> None:
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


def _below(corpus: _Corpus) -> None:
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


def _outside(corpus: _Corpus) -> None:
    """All text and dates that the table does not list, and an ICC profile."""
    dataset = corpus.image(_CR, "CR")
    for tag, vr in outside_rows().items():
        corpus.element(dataset, OUTSIDE, tag, vr, "outside.dcm")
    dataset.ICCProfile = corpus.text(OUTSIDE, "outside.dcm ICCProfile").encode()
    corpus.write(dataset, "outside.dcm")


def _codes(corpus: _Corpus) -> None:
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


def _meta(corpus: _Corpus) -> None:
    """File meta, preamble, and bytes after the data set."""
    dataset = corpus.image(_SC, "OT", bits=8)
    meta = dataset.file_meta
    for keyword in ("ImplementationVersionName", "SourceApplicationEntityTitle",
                    "SendingApplicationEntityTitle",
                    "ReceivingApplicationEntityTitle"):  # fmt: skip
        setattr(meta, keyword, corpus.text(META, f"meta.dcm {keyword}"))
    for keyword in ("ImplementationClassUID", "PrivateInformationCreatorUID",
                    "MediaStorageSOPInstanceUID"):  # fmt: skip
        setattr(meta, keyword, corpus.mint.value(META, f"meta.dcm {keyword}", "UI"))
    for keyword in ("SourcePresentationAddress", "SendingPresentationAddress",
                    "ReceivingPresentationAddress"):  # fmt: skip
        setattr(meta, keyword, corpus.mint.value(META, f"meta.dcm {keyword}", "UR"))
    meta.PrivateInformation = corpus.text(META, "meta.dcm PrivateInformation").encode()
    preamble = corpus.text(META, "meta.dcm preamble").encode()
    dataset.preamble = (b"II*\0" + preamble).ljust(128, b"\0")
    corpus.write(dataset, "meta.dcm")
    for name, syntax in (
        ("explicit", ExplicitVRLittleEndian),
        ("implicit", ImplicitVRLittleEndian),
    ):
        dataset = corpus.image()
        dataset.file_meta.TransferSyntaxUID = syntax
        path = corpus.write(dataset, f"trailing-{name}.dcm")
        with path.open("ab") as stream:
            stream.write(corpus.text(PIXELS, f"trailing-{name}.dcm after the data set").encode())


def hide_above_bits_stored(words: np.ndarray, nibbles: bytes) -> None:
    """Write one nibble above the 12 stored bits of each of the first pixels, which become 0."""
    words[: len(nibbles)] = np.frombuffer(nibbles, dtype=np.uint8).astype(np.uint16) << 12


def _overlays(corpus: _Corpus) -> None:
    """Overlays, curves, unused high bits and more pixel bytes than the image has."""
    dataset = corpus.image()
    name = "overlays.dcm"
    for group in (0x6000, 0x6002, 0x601E):
        for element, vr in ((0x22, "LO"), (0x1500, "LO"), (0x3000, "OW"), (0x4000, "LT")):
            corpus.element(dataset, PIXELS, group << 16 | element, vr, name)
    for group in (0x5000, 0x5002):
        for element, vr in (
            (0x22, "LO"),
            (0x30, "SH"),
            (0x40, "SH"),
            (0x3000, "OW"),
            (0x2500, "LO"),
        ):
            corpus.element(dataset, TABLE, group << 16 | element, vr, name)
    words = np.frombuffer(dataset.PixelData, dtype="<u2").copy()
    hide_above_bits_stored(words, corpus.mint.bits(PIXELS, f"{name} bits above Bits Stored"))
    excess = corpus.text(PIXELS, f"{name} bytes after the last pixel").encode()
    dataset.PixelData = words.tobytes() + excess
    corpus.write(dataset, name)


def _encapsulated(corpus: _Corpus) -> None:
    """Comments inside the codecs' streams, bytes after them, and fragments after the frame."""
    grey8 = np.tile(np.arange(_SIZE, dtype=np.uint8) * 4, (_SIZE, 1))
    grey16 = grey8.astype(np.uint16) * 16
    streams = (
        ("jpeg", JPEGBaseline8Bit, 8, imagecodecs.jpeg8_encode(grey8), b"\xff\xfe"),
        ("jpeg-lossless", JPEGLosslessSV1, 12,
         imagecodecs.ljpeg_encode(grey16, bitspersample=12), b"\xff\xfe"),
        ("jpeg-ls", JPEGLSLossless, 12, imagecodecs.jpegls_encode(grey16), b"\xff\xfe"),
        ("jpeg-2000", JPEG2000Lossless, 12,
         imagecodecs.jpeg2k_encode(grey16, codecformat="j2k", reversible=True, level=0,
                                   bitspersample=12), b"\xff\x64"),
    )  # fmt: skip
    for name, syntax, bits, stream, marker in streams:
        dataset = corpus.image(bits=bits)
        dataset.file_meta.TransferSyntaxUID = syntax
        comment = corpus.text(PIXELS, f"{name}.dcm comment in the stream").encode()
        start = 2
        if marker == b"\xff\x64":  # a COM of JPEG 2000 comes after SIZ; its Rcom 1 is text
            start = 4 + int.from_bytes(stream[4:6], "big")
            comment = b"\0\1" + comment
        segment = marker + (len(comment) + 2).to_bytes(2, "big") + comment
        if name == "jpeg":
            exif = b"Exif\0\0" + corpus.text(PIXELS, "jpeg.dcm APP1").encode()
            segment += b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        after = corpus.text(PIXELS, f"{name}.dcm bytes after the stream").encode()
        frame = stream[:start] + segment + stream[start:] + after
        dataset.PixelData = _with_fragment(corpus, bytes(frame), name)
        dataset["PixelData"].is_undefined_length = True
        corpus.write(dataset, f"{name}.dcm")
    dataset = corpus.image(bits=8)
    dataset.file_meta.TransferSyntaxUID = RLELossless
    # One segment at byte 64 of literal runs (PS3.5 annex G); a canary in the header's unused rest.
    rows = b"".join(bytes([_SIZE - 1]) + row.tobytes() for row in grey8)
    unused = corpus.text(PIXELS, "rle.dcm unused header bytes").encode()
    header = ((1).to_bytes(4, "little") + (64).to_bytes(4, "little") + b"\0" * 8 + unused).ljust(
        64, b"\0"
    )
    frame = header + rows + corpus.text(PIXELS, "rle.dcm bytes after the segment").encode()
    dataset.PixelData = _with_fragment(corpus, bytes(frame), "rle")
    dataset["PixelData"].is_undefined_length = True
    corpus.write(dataset, "rle.dcm")


def _with_fragment(corpus: _Corpus, frame: bytes, name: str) -> bytes:
    """The frame encapsulated, with one more fragment after it."""
    extra = corpus.text(PIXELS, f"{name}.dcm extra fragment").encode()
    item = b"\xfe\xff\x00\xe0" + len(extra).to_bytes(4, "little") + extra
    return encapsulate([frame], has_bot=False) + item


def _other_images(corpus: _Corpus) -> None:
    """Deflated, big endian, an ultrasound loop with a region, and a report without pixels."""
    for name, syntax in (
        ("deflated", DeflatedExplicitVRLittleEndian),
        ("big", ExplicitVRBigEndian),
    ):
        dataset = corpus.image(MRImageStorage, "MR")
        dataset.file_meta.TransferSyntaxUID = syntax
        for tag, vr in list(table_rows().items())[::6]:
            if vr in _TEXT_OR_DATE - {"DA", "DT"} and tag not in dataset:
                corpus.element(dataset, TABLE, tag, vr, f"{name}.dcm")
        corpus.write(dataset, f"{name}.dcm")
    dataset = corpus.image(UltrasoundMultiFrameImageStorage, "US", frames=3, colour=True, bits=8)
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 4
    region.RegionLocationMaxX1 = region.RegionLocationMaxY1 = _SIZE - 5
    region.TransducerData = corpus.text(BELOW, "us.dcm region TransducerData")
    region.PixelComponentOrganization = 0
    dataset.SequenceOfUltrasoundRegions = Sequence([region])
    dataset.PatientName = corpus.mint.value(TABLE, "us.dcm PatientName", "PN")
    corpus.write(dataset, "us.dcm")
    dataset = corpus.image(_SR, "SR")
    corpus.slices -= 1
    del dataset.PixelData
    content = Dataset()
    content.TextValue = corpus.text(BELOW, "sr.dcm TextValue")
    content.PersonName = corpus.mint.value(BELOW, "sr.dcm PersonName", "PN")
    dataset.ContentSequence = Sequence([content])
    corpus.write(dataset, "sr.dcm")


def _charsets(corpus: _Corpus) -> None:
    """Names, institutions and comments in every character set of PS3.3 C.12.1.1.2."""
    for number, (charset, letters, codecs) in enumerate(_SCRIPTS):
        dataset = corpus.image()
        dataset.SpecificCharacterSet = charset.split("\\")
        name = f"charset-{number}.dcm"
        for keyword in ("PatientName", "PatientComments", "InstitutionName", "StudyDescription",
                        "LUTExplanation", "DerivationDescription"):  # fmt: skip
            value = corpus.mint.native(CHARSETS, f"{name} {charset} {keyword}", letters, codecs)
            setattr(dataset, keyword, value)
        corpus.write(dataset, name)


def _names(corpus: _Corpus) -> None:
    """Folder, file and zip member names, a zip's comment, and files that are not DICOM."""
    name = corpus.text
    folder = f"{name(NAMES, 'folder name')}/Müller {name(NAMES, 'folder below it')}"
    corpus.write(corpus.image(), f"{folder}/{name(NAMES, 'file name')}.dcm")
    inside = to_bytes(corpus.image(MRImageStorage, "MR"))
    with zipfile.ZipFile(corpus.folder / f"{name(NAMES, 'zip name')}.zip", "w") as archive:
        archive.comment = name(NAMES, "zip comment").encode()
        archive.writestr(f"{name(NAMES, 'member folder')}/{name(NAMES, 'member')}.dcm", inside)
    (corpus.folder / "notes.txt").write_text(name(NAMES, "text file"))
    (corpus.folder / "list.json").write_text(json.dumps({"patient": name(NAMES, "JSON file")}))


def _damaged(corpus: _Corpus) -> None:
    """Cut and torn copies of planted files, whose error messages may quote."""
    for number, keep in enumerate((0.15, 0.5, 0.9, 0.99)):
        dataset = corpus.image()
        corpus.slices -= 1
        keywords = ["PatientName", "StudyDescription", "KVP", "StudyDate", "PatientAge", "Rows"]
        for keyword in keywords[: 5 + number % 2]:
            token = corpus.text(CODES, f"damaged-{number}.dcm {keyword}")
            dataset[keyword] = DataElement(keyword, "LO", token)
        path = corpus.write(dataset, f"damaged-{number}.dcm")
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])


def _plain_dates(corpus: _Corpus) -> None:
    """Dates of our own time, which an importer may shift and keep."""
    dataset = corpus.image()
    for keyword, year in (("PatientBirthDate", 1931), ("StudyDate", 1983), ("ContentDate", 2009)):
        text = f"{year}{corpus.mint.random.randrange(1, 13):02d}17"
        setattr(dataset, keyword, corpus.mint.date(TABLE, f"dates.dcm {keyword}", text))
    corpus.write(dataset, "dates.dcm")


def _walk_files() -> Iterator[Callable[[_Corpus], None]]:
    yield _table(CTImageStorage, "CT", ExplicitVRLittleEndian, "table-ct.dcm")
    yield _table(MRImageStorage, "MR", ImplicitVRLittleEndian, "table-mr.dcm")
    yield from (_command, _private, _below, _outside, _codes, _meta, _overlays, _encapsulated)
    yield from (_other_images, _charsets, _names, _damaged, _plain_dates)


_FILES = tuple(_walk_files())
