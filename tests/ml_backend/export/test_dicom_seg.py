"""DICOM SEG on the importer's de-identified copies: pixels, places and who drew."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread

from importer import import_dicom
from importer.journal import iter_tasks
from ml_backend.export.dicom_seg import write
from ml_backend.export.formats import ExportError, Maker, Slice
from tests.importer.dicom_series import (
    AXES,
    drawing,
    enhanced,
    positions,
    saved,
    single_frames,
)

from .slices import LABELS, about


@pytest.fixture(scope="module", params=["single frames", "enhanced"])
def imported(request, tmp_path_factory):
    """Slices of one imported series, its originals, and the folder of copies."""
    folder = tmp_path_factory.mktemp("imported")
    places = positions(AXES["oblique"])
    originals = (
        single_frames(AXES["oblique"], places)
        if request.param == "single frames"
        else [enhanced(AXES["oblique"], places)]
    )
    source = saved(originals, folder / "source")
    copies = folder / "copies"
    import_dicom(source, folder / "import", folder / "key", dicom_out=copies, burned_in="off")
    slices = [
        Slice(
            task_id=number,
            image=np.zeros((24, 20), np.uint8),
            label_map=drawing(number),
            data={k: v for k, v in task["data"].items() if k != "image"},
            split="training",
            made=Maker("person"),
        )
        for number, task in enumerate(iter_tasks(folder / "import"))
    ]
    return slices, originals, copies


def frames_of(path):
    """(segment number, instance, frame from 0, position, pixels) of each frame of a file."""
    made = dcmread(path)
    for group, pixels in zip(made.PerFrameFunctionalGroupsSequence, made.pixel_array, strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        yield (
            group.SegmentIdentificationSequence[0].ReferencedSegmentNumber,
            str(source.ReferencedSOPInstanceUID),
            int(source.get("ReferencedFrameNumber") or 1) - 1,
            [float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient],
            pixels,
        )


def errors(path):
    """What the validator calls an error, without the values that it quotes."""
    found = shutil.which("dciodvfy")
    if found is None:
        pytest.skip("dciodvfy is not installed (Debian: apt-get install dicom3tools)")
    run = subprocess.run([found, str(path)], capture_output=True, timeout=60)
    lines = (run.stdout + run.stderr).decode("latin-1").splitlines()
    assert "Segmentation" in lines
    return {re.sub(r"<[0-9.]*>", "<>", line) for line in lines if "Error" in line}


def test_masks_lie_on_the_copies_pixel_by_pixel(imported, tmp_path):
    slices, _, copies = imported
    context = about()
    (record,) = write(iter(slices), tmp_path, context, copies=copies)
    assert record.path == f"segmentations/{slices[0].data['series']}.dcm"
    assert sorted(record.tasks) == [one.task_id for one in slices] and not context.problems
    path = tmp_path / record.path
    headers = {
        one.data["instance"]: dcmread(copies / f"{one.data['instance']}.dcm") for one in slices
    }
    by_copy = {
        (str(headers[one.data["instance"]].SOPInstanceUID), one.data["frame"]): one
        for one in slices
    }
    held = {name: np.zeros((24, 20), np.uint8) for name in by_copy}
    for number, instance, frame, position, pixels in frames_of(path):
        held[instance, frame][pixels > 0] = number
        header = headers[by_copy[instance, frame].data["instance"]]
        groups = header.get("PerFrameFunctionalGroupsSequence")
        place = groups[frame].PlanePositionSequence[0] if groups else header
        assert position == [float(value) for value in place.ImagePositionPatient]
    for name, one in by_copy.items():
        assert np.array_equal(held[name], one.label_map)
    assert errors(path) == set()
    assert [segment.SegmentLabel for segment in dcmread(path).SegmentSequence] == list(LABELS)


def test_nothing_of_the_patient_is_in_it(imported, tmp_path):
    slices, originals, copies = imported
    (record,) = write(iter(slices), tmp_path, about(), copies=copies)
    content = (tmp_path / record.path).read_bytes()
    for source in originals:
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
            assert str(source[keyword].value).encode() not in content
        assert str(source.SOPInstanceUID).encode() not in content
    made = dcmread(tmp_path / record.path)
    assert made.PatientID == slices[0].data["patient"]
    assert made.StudyInstanceUID != originals[0].StudyInstanceUID


@pytest.mark.parametrize(
    ("makers", "expected"),
    [
        ([Maker("person"), Maker("consensus")], "MANUAL"),
        ([Maker("version", version="r0003-abcdef")], "AUTOMATIC"),
        ([Maker("version", version="r0003-abcdef"), Maker("person")], "SEMIAUTOMATIC"),
    ],
)
def test_segments_say_who_drew(imported, tmp_path, makers, expected):
    slices, _, copies = imported
    made = [replace(one, made=makers[n % len(makers)]) for n, one in enumerate(slices)]
    (record,) = write(iter(made), tmp_path, about(), copies=copies)
    for segment in dcmread(tmp_path / record.path).SegmentSequence:
        assert segment.SegmentAlgorithmType == expected
        assert ("SegmentationAlgorithmIdentificationSequence" in segment) == (expected != "MANUAL")


def test_without_copies_the_way_is_told(tmp_path):
    with pytest.raises(ExportError, match="--dicom-out"):
        list(write(iter([]), tmp_path, about()))
    with pytest.raises(ExportError, match="quorum return"):
        list(write(iter([]), tmp_path, about(), copies=tmp_path / "nowhere"))


def test_of_two_tasks_with_one_image_the_second_is_left_out_with_its_own_reason(imported, tmp_path):
    slices, _, copies = imported
    other = replace(slices[1], task_id=90, label_map=slices[2].label_map)
    context = about()
    (record,) = write(iter([*slices, other]), tmp_path, context, copies=copies)
    assert sorted(record.tasks) == [one.task_id for one in slices]
    (problem,) = context.problems
    assert problem == {
        "task_id": 90,
        "reason": "task 1 is the same image, and its mask is exported",
    }


def test_what_has_no_copy_is_left_out_with_its_reason(imported, tmp_path):
    slices, _, copies = imported
    data = slices[0].data
    wrong = [
        {**data, "instance": "0" * 20},
        {**data, "instance": "../../../etc/passwd"},
        {**data, "frame": 99},
        {key: value for key, value in data.items() if key != "instance"},
    ]
    bad = [replace(slices[0], task_id=90 + n, data=each) for n, each in enumerate(wrong)]
    context = about()
    (record,) = write(iter([*slices, *bad]), tmp_path, context, copies=copies)
    assert sorted(record.tasks) == [one.task_id for one in slices]
    assert [problem["task_id"] for problem in context.problems] == [90, 91, 92, 93]
    (tmp_path / "few").mkdir()
    broken = tmp_path / "few" / f"{data['instance']}.dcm"
    shutil.copy(copies / broken.name, broken)
    broken.write_bytes(broken.read_bytes()[:300])
    context = about()
    assert list(write(iter(slices[:1]), tmp_path, context, copies=tmp_path / "few")) == []
    assert len(context.problems) == 1
