"""The demo's patient: the MNI152 template as an MR series in DICOM, its tissue maps as reference.

The ICBM 152 nonlinear symmetric template at 1 mm (Fonov et al., NeuroImage 2011) comes inside
nilearn's wheel; only its files are read. The patient headers are invented, so that
de-identification has something to do.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

Volume = npt.NDArray[np.uint8]

CLASS_NAMES = ("Grey matter", "White matter")
_STEP_MM = 1
# A slice with less tissue than this (pixels) shows no brain worth a doctor's time.
_LEAST_TISSUE_PX = 1500


class DemoDataError(RuntimeError):
    """The demo's data are not installed; the message names the remedy."""


@lru_cache(maxsize=1)
def _volumes() -> tuple[Volume, Volume, npt.NDArray[np.float64]]:
    """T1 and label map, each (slices, rows, columns) as displayed; LPS position of each slice.

    The files' axes run to the patient's right, front and top (RAS); a radiological axial display
    has the patient's left on the right and the front on top: columns run to the left and rows to
    the back, DICOM's first two axes (LPS).
    """
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise DemoDataError("nilearn is not installed: run ./quorum demo, which installs it")
    folder = Path(spec.origin).parent / "datasets" / "data"

    def load(name: str) -> tuple[Volume, npt.NDArray[np.float64]]:
        file = folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
        image = nibabel.load(file)
        return np.asanyarray(image.dataobj), image.affine

    t1, affine = load("t1")
    grey, white = load("gm")[0].astype(int), load("wm")[0].astype(int)
    labels = np.zeros(t1.shape, dtype=np.uint8)
    labels[(grey > 127) & (grey >= white)] = 1
    labels[(white > 127) & (white > grey)] = 2

    def displayed(volume: Volume) -> Volume:
        return np.ascontiguousarray(volume[::-1, ::-1, :].transpose(2, 1, 0))

    # The centre of the first displayed pixel of slice 0, RAS to LPS: x and y change sign.
    corner = affine @ np.array([t1.shape[0] - 1, t1.shape[1] - 1, 0, 1])
    first = np.array([-corner[0], -corner[1], corner[2]])
    positions = first + np.arange(t1.shape[2])[:, None] * np.array([0.0, 0.0, affine[2, 2]])
    return displayed(t1), displayed(labels), positions


@lru_cache(maxsize=1)
def _chosen() -> list[int]:
    _, labels, _ = _volumes()
    tissue = (labels > 0).sum(axis=(1, 2))
    return [z for z in range(0, len(labels), _STEP_MM) if tissue[z] >= _LEAST_TISSUE_PX]


def slices() -> tuple[list[Volume], list[Volume]]:
    """Images and label maps of the series' slices, each (rows, columns) uint8, bottom to top."""
    t1, labels, _ = _volumes()
    return [t1[z] for z in _chosen()], [labels[z] for z in _chosen()]


def reference() -> dict[str, Volume]:
    """The label map of each slice, (rows, columns) uint8, by SOP Instance UID."""
    _, labels, _ = _volumes()
    return {_uid(f"instance {z}"): labels[z] for z in _chosen()}


def write_series(folder: Path) -> int:
    """Write the series as one DICOM file a slice; how many. Raises OSError, DemoDataError."""
    t1, _, positions = _volumes()
    folder.mkdir(parents=True, exist_ok=True)
    for number, z in enumerate(_chosen(), start=1):
        dataset = _instance(t1[z], positions[z], number, _uid(f"instance {z}"))
        dataset.save_as(folder / f"IM{number:04d}", enforce_file_format=True)
    return len(_chosen())


def _uid(name: str) -> str:
    digest = hashlib.sha256(f"quorum demo {name}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _instance(pixels: Volume, position: npt.NDArray[np.float64], number: int, uid: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, UID(uid)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid("study"), _uid("series")
    dataset.FrameOfReferenceUID = _uid("frame of reference")
    # An invented person and hospital.
    dataset.PatientName, dataset.PatientID = "Example^Erika", "DEMO-4711"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19700101", "F", "053Y"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20230405"
    dataset.StudyTime, dataset.AccessionNumber, dataset.StudyID = "101112", "ACC0815", "S1"
    dataset.InstitutionName, dataset.StationName = "Invented General Hospital", "MR1-BASEMENT"
    dataset.ReferringPhysicianName = "Referrer^Rita"
    dataset.OperatorsName = "Operator^Otto"
    dataset.StudyDescription = "Head MR of Erika Example"
    dataset.SeriesDescription, dataset.ProtocolName = "T1 axial", "T1 axial for Dr Referrer"
    dataset.PatientComments = "Prefers to be called Erika"
    dataset.Manufacturer = "Quorum demo"
    block = dataset.private_block(0x0019, "QUORUM DEMO", create=True)
    block.add_new(0x01, "LO", "Erika Example, room 12")
    dataset.Modality, dataset.BodyPartExamined = "MR", "BRAIN"
    dataset.ScanningSequence, dataset.SequenceVariant = "GR", "MP"
    dataset.ScanOptions, dataset.MRAcquisitionType = "", "3D"
    dataset.EchoTime = dataset.EchoTrainLength = None
    dataset.RepetitionTime = None
    dataset.SliceThickness = dataset.SpacingBetweenSlices = str(_STEP_MM)
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = 1, 1, number
    dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
    dataset.ImagePositionPatient = [f"{value:g}" for value in position]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = ["1", "1"]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = "2000", "4000"
    dataset.PixelData = (pixels.astype("<u2") * 16).tobytes()  # 8 bits spread over 12
    return dataset
