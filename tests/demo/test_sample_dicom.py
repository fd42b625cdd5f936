"""The tutorial's sample: six invented patients, and an annotator who knows what is right."""

import numpy as np
import pytest
from pydicom import dcmread

from demo import sample_annotator, sample_dicom
from importer import import_dicom
from importer.pseudonyms import pseudonym

KEY = b"k" * 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sample")
    assert sample_dicom.main([str(place)]) == 0
    return place


def test_there_is_enough_for_a_round_and_for_patients_to_measure_with(folder):
    datasets = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    assert len({d.PatientID for d in datasets}) == sample_dicom.PATIENTS >= 5
    assert len({d.SOPInstanceUID for d in datasets}) == len(datasets) >= 40
    assert len({d.SeriesInstanceUID for d in datasets}) == sample_dicom.PATIENTS


def test_the_patients_differ_and_are_the_same_whenever_they_are_written(folder, tmp_path):
    sample_dicom.write_sample(tmp_path)
    first = {path.name: path.read_bytes() for path in (folder / "patient-1").iterdir()}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "patient-1").iterdir()}
    one, other = (dcmread(folder / f"patient-{n}" / "IM0005.dcm").pixel_array for n in (1, 2))
    assert np.abs(one.astype(int) - other).mean() > 100  # of 4,095


def test_what_the_annotator_draws_lies_on_the_brain(folder):
    reference = sample_dicom.sample_reference()
    for path in folder.rglob("*.dcm"):
        dataset = dcmread(path)
        drawn, seen = reference[dataset.SOPInstanceUID], dataset.pixel_array
        assert drawn.shape == seen.shape and set(np.unique(drawn)) == {0, 1, 2}
        white, grey, rest = (seen[drawn == value].mean() for value in (2, 1, 0))
        assert white > grey > rest


def test_all_of_it_is_imported_and_found_again_by_its_pseudonym(folder, tmp_path):
    report = import_dicom(folder, tmp_path, KEY)
    assert report.complete and report.imported == len(sample_dicom.sample_reference())
    known = {pseudonym(KEY, "instance", uid) for uid in sample_dicom.sample_reference()}
    assert {task["data"]["instance"] for task in report.tasks} == known
    assert len({task["data"]["patient"] for task in report.tasks}) == sample_dicom.PATIENTS
    assert "SAMPLE" not in (tmp_path / "tasks.json").read_text()


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert sample_dicom.main([str(tmp_path / "file")]) == 1
    assert "name another folder" in capsys.readouterr().err


def test_the_annotator_makes_no_key_of_its_own(tmp_path, capsys):
    assert sample_annotator.main(["2", "--key", str(tmp_path / "key")]) == 1
    assert "import the sample first" in capsys.readouterr().err
    assert not (tmp_path / "key").exists()
