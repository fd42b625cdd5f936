"""Sample DICOM for the tutorial: ``python -m demo.sample_dicom FOLDER`` writes six MR series.

Each is the demo's template (see brain) turned, stretched, shifted and with a grey scale and noise
of its own, as if six people had been scanned. The headers are invented and name nobody.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from scipy import ndimage

from . import brain
from .brain import Volume

PATIENTS = 6
SLICES = 10  # of each patient
_LOWEST, _STEP = 35, 8  # of the template's slices, which lie 1 mm apart
_MOST_TURN_DEGREES = 8.0
_MOST_STRETCH = 0.08
_MOST_SHIFT_PX = 6.0
_NOISE = 4.0  # standard deviation, of 255


@dataclass(frozen=True)
class SampleSlice:
    """One image and what a perfect annotator draws on it, both (rows, columns) uint8."""

    patient: int  # from 0
    number: int  # within the series, from 0, bottom to top
    image: Volume
    label_map: Volume

    @property
    def uid(self) -> str:
        """Its SOP Instance UID, the same whenever and wherever it is written."""
        return _uid(f"instance {self.patient} {self.number}")


def sample_slices() -> Iterator[SampleSlice]:
    """All slices, patient by patient. Raises DemoDataError if the template is not installed."""
    images, label_maps = brain.slices()
    for patient in range(PATIENTS):
        generator = np.random.default_rng(patient)
        matrix, offset = _warp(generator, images[0].shape)
        bent = generator.uniform(0.8, 1.25)
        for number in range(SLICES):
            z = _LOWEST + number * _STEP + patient
            grey = ndimage.affine_transform(images[z].astype(np.float64), matrix, offset, order=1)
            grey = 255 * (np.clip(grey, 0, 255) / 255) ** bent
            grey += generator.normal(0, _NOISE, grey.shape)
            labels = ndimage.affine_transform(label_maps[z], matrix, offset, order=0)
            image = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
            yield SampleSlice(patient, number, image, labels)


@lru_cache(maxsize=1)
def sample_reference() -> dict[str, Volume]:
    """What a perfect annotator draws, (rows, columns) uint8, by SOP Instance UID."""
    return {each.uid: each.label_map for each in sample_slices()}


def write_sample(folder: Path) -> int:
    """Write one DICOM file a slice, a folder for each patient; how many.

    Raises OSError, and DemoDataError if the template is not installed.
    """
    count = 0
    for each in sample_slices():
        place = folder / f"patient-{each.patient + 1}"
        place.mkdir(parents=True, exist_ok=True)
        _dataset(each).save_as(place / f"IM{each.number + 1:04d}.dcm", enforce_file_format=True)
        count += 1
    return count


def _warp(
    generator: np.random.Generator, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """From a pixel of the patient's picture to one of the template's, about the centre."""
    angle = np.deg2rad(generator.uniform(-_MOST_TURN_DEGREES, _MOST_TURN_DEGREES))
    stretch = 1 + generator.uniform(-_MOST_STRETCH, _MOST_STRETCH, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag(1 / stretch)
    centre = (np.array(shape, dtype=np.float64) - 1) / 2
    shift = generator.uniform(-_MOST_SHIFT_PX, _MOST_SHIFT_PX, 2)
    return matrix, centre - matrix @ (centre + shift)


def _uid(name: str) -> str:
    digest = hashlib.sha256(f"quorum sample {name}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _dataset(each: SampleSlice) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(each.uid)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, UID(each.uid)
    dataset.StudyInstanceUID = _uid(f"study {each.patient}")
    dataset.SeriesInstanceUID = _uid(f"series {each.patient}")
    dataset.FrameOfReferenceUID = _uid(f"frame of reference {each.patient}")
    dataset.PatientName = f"Sample^Number {each.patient + 1}"
    dataset.PatientID, dataset.PatientBirthDate = f"SAMPLE-{each.patient + 1}", "19000101"
    dataset.PatientSex, dataset.StudyDate, dataset.StudyTime = "", "20260101", "120000"
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "", "1", ""
    dataset.Manufacturer, dataset.SeriesDescription = "Quorum sample", "T1 axial"
    dataset.Modality, dataset.BodyPartExamined = "MR", "BRAIN"
    dataset.ScanningSequence, dataset.SequenceVariant = "GR", "MP"
    dataset.ScanOptions, dataset.MRAcquisitionType = "", "3D"
    dataset.SliceThickness = dataset.SpacingBetweenSlices = str(_STEP)
    dataset.SeriesNumber, dataset.InstanceNumber = 1, each.number + 1
    dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
    dataset.ImagePositionPatient = ["-98", "-134", str(each.number * _STEP)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = ["1", "1"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = each.image.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = "2000", "4000"
    dataset.PixelData = (each.image.astype("<u2") * 16).tobytes()  # 8 bits spread over 12
    return dataset


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.sample_dicom", description="Write sample DICOM for the tutorial."
    )
    parser.add_argument("folder", type=Path, help="folder to write into")
    folder: Path = parser.parse_args(argv).folder
    try:
        count = write_sample(folder)
    except brain.DemoDataError as error:
        print(f"demo.sample_dicom: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"demo.sample_dicom: {folder} cannot be written: {error.strerror}; name another folder",
            file=sys.stderr,
        )
        return 1
    print(f"{count} slices of {PATIENTS} patients in {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
