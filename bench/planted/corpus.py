"""A corpus of DICOM files in the making: sound images, and canaries planted into them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ..canaries import Mint

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
TEXT_OR_DATE = frozenset("AE LO SH ST LT UT UC PN UR DA DT TM".split())
SIZE = 64


class Corpus:
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
        dataset.Rows = dataset.Columns = SIZE
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
        shape = (frames, SIZE, SIZE, 3) if colour else (frames, SIZE, SIZE)
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
        if entry[0] in TEXT_OR_DATE and tag not in rows and tag >> 16 > 4
    }


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
