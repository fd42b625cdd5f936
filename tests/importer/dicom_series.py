"""Series of known geometry, in files; and masks of them as an export brings them back."""

import json

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS = 24, 20
SPACING = [0.8, 0.6]  # between rows, between columns
AXES = {
    "axial": [1, 0, 0, 0, 1, 0],
    "sagittal": [0, 1, 0, 0, 0, -1],
    "coronal": [1, 0, 0, 0, 0, -1],
    # Two turns: no cosine is 0 or 1, none are equal.
    "oblique": [0.92106099400, 0.38941834231, 0.0, -0.27536035056, 0.65128847475, 0.70710678119],
}
LABELS = ("liver", "Läsion")


def normal(axes):
    return np.cross(axes[:3], axes[3:])


def positions(axes, count=6, step=2.5, origin=(-30.5, 12.25, 401.0)):
    """Of `count` slices along the normal, from the lowest."""
    axes = np.array(axes, float)
    return [np.array(origin) + index * step * normal(axes) for index in range(count)]


def single_frames(axes, places, seed=0, **changes):
    """One CT data set a place, in the order given."""
    source = dcmread(get_testdata_file("CT_small.dcm"))
    generator = np.random.default_rng(seed)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    made = []
    for number, place in enumerate(places, start=1):
        dataset = dcmread(get_testdata_file("CT_small.dcm"))
        dataset.remove_private_tags()
        del dataset[0x00430000:0x00440000]
        dataset.PatientName, dataset.PatientID = "Kanari^Vogel", "KANARI-4711"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.Rows, dataset.Columns, dataset.PixelSpacing = ROWS, COLUMNS, SPACING
        dataset.ImageOrientationPatient = [format_ds(value) for value in axes]
        dataset.ImagePositionPatient = [format_ds(value) for value in place]
        dataset.SliceThickness, dataset.InstanceNumber = 2, number
        pixels = generator.integers(0, 400, (ROWS, COLUMNS)).astype(np.int16)
        dataset.PixelData = pixels.tobytes()
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        made.append(dataset)
    assert source.Modality == "CT"
    return made


def enhanced(axes, places, seed=0):
    """The same as one Enhanced CT, a frame a place."""
    generator = np.random.default_rng(seed)
    dataset = single_frames(axes, places[:1])[0]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    del dataset.SliceThickness
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames = len(places)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = SPACING, 2
    orientation.ImageOrientationPatient = [format_ds(value) for value in axes]
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for place in places:
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [format_ds(value) for value in place]
        group.PlanePositionSequence = [position]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    pixels = generator.integers(0, 400, (len(places), ROWS, COLUMNS)).astype(np.int16)
    dataset.PixelData = pixels.tobytes()
    return dataset


def format_ds(value):
    return f"{value:.10g}"


def saved(datasets, folder):
    """The data sets as files, named so that their order says nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(folder / f"{str(dataset.SOPInstanceUID)[-12:]}.dcm")
    return folder


def drawing(number, shape=(ROWS, COLUMNS)):
    """A label map like no other, without any symmetry; every fifth is empty."""
    label_map = np.zeros(shape, np.uint8)
    if number % 5 != 4:
        label_map[2 + number : 9 + number, 3:11] = 1
        label_map[15:19, 12 + number % 3 : 17] = 2
        label_map[0, 0] = 2
    return label_map


def export_of(tasks, folder, maps, labels=LABELS, made=None):
    """What ``./quorum export --format png`` writes of some tasks: `maps` by the slices' names."""
    (folder / "masks").mkdir(parents=True)
    entries = []
    for number, task in enumerate(tasks, start=1):
        data = task["data"]
        if data["slice"] not in maps:
            continue
        path = f"masks/task-{number}.png"
        Image.fromarray(maps[data["slice"]]).save(folder / path)
        entries.append(
            {
                "task": number,
                "files": {"mask": path},
                "made": made or {"by": "person", "reviewed": False},
                "data": {key: value for key, value in data.items() if key != "image"},
            }
        )
    manifest = {
        "format": "png",
        "made_at": "2026-05-01T10:00:00+00:00",
        "labels": {str(n): label for n, label in enumerate(labels, start=1)},
        "slices": entries,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
