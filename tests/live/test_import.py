"""Imported slices on their way into the real Label Studio."""

import json

import pytest

from bench.planted import plant, survivors
from importer import import_dicom
from importer.tasks import StorageError, send
from ml_backend.label_studio import LabelStudio, LabelStudioDown

from ..importer.files import CT, KEY, MR, bundled


def config(more=""):
    return (
        f'<View><Image name="image" value="$image"/>{more}'
        '<BrushLabels name="mask" toName="image"><Label value="A"/></BrushLabels></View>'
    )


@pytest.fixture
def project(running):
    return running.label_studio.create_project("imports", config())


def test_each_window_is_an_image_of_the_task(running, tmp_path):
    two = config('<Image name="lung" value="$image_lung"/>')
    project = running.label_studio.create_project("windows", two)
    report = import_dicom(CT, tmp_path, KEY, windows=["header", "lung"])
    assert send(report.tasks, tmp_path, running.label_studio, project) == 1
    (task,) = running.label_studio.tasks(project)
    images = [running.label_studio.image(task.data[key]) for key in ("image", "image_lung")]
    assert all(image.startswith(b"\x89PNG") for image in images) and images[0] != images[1]
    assert task.data["modality"] == "CT" and len(task.data["patient"]) == 20


class Flaky(LabelStudio):
    """A Label Studio that goes away after the first chunk of tasks."""

    chunks = 0

    def import_tasks(self, project_id, tasks):
        self.chunks += 1
        if self.chunks == 2:
            raise LabelStudioDown("it went away")
        return super().import_tasks(project_id, tasks)


def test_what_was_cut_short_goes_on_and_makes_no_task_twice(
    running, project, tmp_path, monkeypatch
):
    monkeypatch.setattr("importer.tasks._UPLOAD_CHUNK", 5)
    report = import_dicom([bundled("rtdose.dcm"), MR], tmp_path, KEY, burned_in="off")
    flaky = Flaky(running.label_studio.url, running.account.token)
    with pytest.raises(LabelStudioDown):
        send(report.tasks, tmp_path, flaky, project)
    assert len(list(running.label_studio.tasks(project))) == 5
    assert send(report.tasks, tmp_path, running.label_studio, project) == 11
    slices = [task.data["slice"] for task in running.label_studio.tasks(project)]
    assert len(slices) == len(set(slices)) == 16


def test_images_go_to_an_object_store_that_tasks_point_at(running, project, tmp_path):
    report = import_dicom(MR, tmp_path / "out", KEY)
    store = (tmp_path / "bucket").as_uri()
    out = tmp_path / "out"
    assert send(report.tasks, out, running.label_studio, project, object_store=store) == 1
    (task,) = running.label_studio.tasks(project)
    (written,) = (tmp_path / "bucket").iterdir()
    assert task.data["image"] == f"{store}/{written.name}"
    assert written.read_bytes().startswith(b"\x89PNG")
    other = running.label_studio.create_project("no store", config())
    with pytest.raises(StorageError, match="nonsense://"):
        send(report.tasks, out, running.label_studio, other, object_store="nonsense://x")


def test_nothing_planted_is_found_in_label_studio(running, project, tmp_path):
    planted = plant(tmp_path / "corpus", seed=5)
    report = import_dicom(planted.folder, tmp_path / "out", KEY, burned_in="off")
    sent = send(report.tasks, tmp_path / "out", running.label_studio, project)
    assert sent == len(report.tasks) >= planted.slices
    tasks = list(running.label_studio.tasks(project))
    kept = [running.label_studio.image(task.data["image"]) for task in tasks]
    told = json.dumps([task.data for task in tasks]).encode()
    assert not [canary.where for canary in survivors(planted, told, *kept)]
