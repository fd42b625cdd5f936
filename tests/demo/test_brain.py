"""The demo's patient."""

from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from demo import brain
from importer import import_dicom


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brain")
    assert brain.write_series(folder) == len(list(folder.iterdir()))
    return [dcmread(path) for path in sorted(folder.iterdir())], folder


def test_every_voxel_lies_where_the_atlas_has_it(series):
    datasets, _ = series
    data = Path(find_spec("nilearn").origin).parent / "datasets" / "data"
    atlas = nibabel.load(data / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    volume, from_ras = np.asanyarray(atlas.dataobj), np.linalg.inv(atlas.affine)
    generator = np.random.default_rng(0)
    for dataset in datasets[::20]:
        origin = np.array(dataset.ImagePositionPatient, float)
        axes = np.array(dataset.ImageOrientationPatient, float)
        for row, column in generator.integers(0, 197, (10, 2)):
            # PS3.3 C.7.6.2.1.1: columns along the first axis, rows along the second; LPS.
            lps = origin + column * axes[:3] + row * axes[3:]
            ras = np.array([-lps[0], -lps[1], lps[2], 1])
            x, y, z = np.rint(from_ras @ ras)[:3].astype(int)
            assert dataset.pixel_array[row, column] == int(volume[x, y, z]) * 16


def test_each_slice_has_a_reference_of_its_size_with_both_classes(series):
    datasets, _ = series
    reference = brain.reference()
    assert {d.SOPInstanceUID for d in datasets} == set(reference)
    for dataset in datasets:
        assert reference[dataset.SOPInstanceUID].shape == (dataset.Rows, dataset.Columns)
    assert set(np.unique(np.stack(list(reference.values())))) == {0, 1, 2}


def test_the_reference_lies_on_the_brain(series):
    datasets, _ = series
    middle = datasets[len(datasets) // 2]
    labels = brain.reference()[middle.SOPInstanceUID]
    white, grey = (middle.pixel_array[labels == n].mean() for n in (2, 1))
    assert white > grey > middle.pixel_array[labels == 0].mean()


def test_the_invented_patient_does_not_leave(series, tmp_path):
    _, folder = series
    report = import_dicom(folder, tmp_path, b"k" * 32)
    assert report.complete and report.imported == len(brain.reference())
    text = (tmp_path / "tasks.json").read_text()
    for planted in ("Erika", "Example", "DEMO-4711", "Invented", "Referrer", "1970", "2023"):
        assert planted not in text
    assert len({task["data"]["patient"] for task in report.tasks}) == 1
    positions = sorted(task["data"]["slice_position_mm"] for task in report.tasks)
    assert positions == [float(n) for n in range(len(positions))]
