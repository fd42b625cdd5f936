"""A whole export: manifest, data sheet, the same figures in a folder and in a zip."""

import hashlib
import json
import zipfile

import numpy as np
import pytest

from ml_backend.export import Choice, ExportError, export_to
from ml_backend.export.formats import FORMATS, FileRecord, Format
from ml_backend.label_studio import LabelStudioError
from ml_backend.masks import to_regions
from ml_backend.settings import Settings
from ml_backend.store import Store

from .slices import Crowd, png_in

OWN = ["png", "coco", "label-studio"]


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", label_studio_api_key="secret-token")


@pytest.fixture
def project():
    project = Crowd(extra={"reader": "someone@clinic.example", "site": "north"})
    for task_id in range(1, 8):
        project.draw(task_id, project.reference(task_id), who=3)
    project.draw(2, project.reference(2), who=4)
    return project


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("target", ["taken", "taken.zip"])
def test_manifest_lists_every_file_with_its_checksum(settings, project, tmp_path, name, target):
    manifest = export_to(settings, project, 1, name, tmp_path / target)
    if target.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / target) as packed:
            files = {name: packed.read(name) for name in packed.namelist()}
    else:
        found = [path for path in (tmp_path / target).rglob("*") if path.is_file()]
        files = {p.relative_to(tmp_path / target).as_posix(): p.read_bytes() for p in found}
    assert json.loads(files.pop("manifest.json")) == manifest
    assert files.pop("README.md").startswith(b"# Data set of project 1")
    assert files.keys() == {entry["path"] for entry in manifest["files"]}
    for entry in manifest["files"]:
        content = files[entry["path"]]
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
    assert [entry["task"] for entry in manifest["slices"]] == list(range(1, 8))
    assert all(entry["files"]["image"] in files for entry in manifest["slices"])


@pytest.mark.parametrize("name", OWN)
def test_nothing_in_an_export_names_a_person_or_a_server(settings, project, tmp_path, name):
    out = tmp_path / "taken"
    export_to(settings, project, 1, name, out)
    for path in out.rglob("*"):
        if path.suffix in (".json", ".md", ".xml"):
            text = path.read_text()
            for secret in ("clinic.example", "memory://", "secret-token", "127.0.0.1", "@"):
                assert secret not in text, (path.name, secret)


def test_masks_in_a_zip_are_those_that_were_drawn(settings, project, tmp_path):
    manifest = export_to(settings, project, 1, "png", tmp_path / "taken.zip")
    for entry in manifest["slices"]:
        mask = png_in(tmp_path / "taken.zip", entry["files"]["mask"])
        assert np.array_equal(mask, project.reference(entry["task"]))
        assert entry["pixels"]["liver"] == mask.sum()


def test_an_entry_says_who_made_the_mask_and_how_far_they_agree(settings, project, tmp_path):
    manifest = export_to(settings, project, 1, "png", tmp_path / "taken")
    first, second = manifest["slices"][:2]
    assert first["made"]["by"] == "person" and first["made"]["annotators"] == [1]
    assert second["made"]["by"] == "consensus" and second["agreement"] == 1.0
    assert second["consensus"] == "majority"
    assert first["data"]["patient"] == "a" and first["data"]["pixel_spacing_mm"] == [0.5, 0.5]


def test_progress_is_told_for_each_slice(settings, project, tmp_path):
    said = []
    export_to(settings, project, 1, "png", tmp_path / "t", lambda *now: said.append(now))
    assert said[0] == ("export", 0, 7) and said[-1] == ("export", 7, 7)
    assert [done for _, done, _ in said[:-1]] == list(range(8))


def test_one_who_watches_can_end_an_export_and_nothing_is_left(settings, project, tmp_path):
    def cancel(step, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_to(settings, project, 1, "png", tmp_path / "out" / "t.zip", cancel)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_slice_that_a_format_leaves_out_is_told(settings, project, tmp_path, monkeypatch):
    class Picky:
        @staticmethod
        def write(slices, out, about):
            for piece in slices:
                if piece.task_id % 2:
                    path = out / f"{piece.task_id}.txt"
                    path.write_text("x")
                    yield FileRecord(path.name, "mask", (piece.task_id,), {"k": 1})

    monkeypatch.setattr(Format, "writer", lambda self: Picky.write)
    manifest = export_to(settings, project, 1, "png", tmp_path / "t")
    assert [entry["task"] for entry in manifest["slices"]] == [1, 3, 5, 7]
    assert [problem["task_id"] for problem in manifest["problems"]] == [2, 4, 6]
    assert manifest["files"][0]["notes"] == {"k": 1}


def test_a_project_s_own_settings_count(settings, project, tmp_path):
    Store(settings.store_root, 1).keep_overrides({"consensus": "staple"})
    manifest = export_to(settings, project, 1, "png", tmp_path / "t")
    assert manifest["slices"][1]["consensus"] == "staple"


def test_the_current_version_s_held_out_figures_are_in_it(settings, project, tmp_path):
    store = Store(settings.store_root, 1)
    quality = {"mean_iou": 0.81, "dice": 0.9, "classes": {"liver": {"iou": 0.81, "dice": None}}}
    metadata = {
        "quality": quality,
        "stopping": {"quality": {"mean": 0.79, "lower": 0.7, "upper": 0.88, "count": 9}},
        "training_tasks": [1, 2, 3],
        "evaluation_tasks": [4],
        "published_at": "2026-05-01T00:00:00+00:00",
        "held_out_unit": "patient",
    }
    store.publish("r0003-abcdef", [], metadata)
    store.point_to("r0003-abcdef")
    manifest = export_to(settings, project, 1, "png", tmp_path / "t")
    assert manifest["quality"]["mean_iou"] == 0.81 and manifest["quality"]["training"] == 3
    sheet = (tmp_path / "t" / "README.md").read_text()
    assert "mean IoU over held-out patients of 0.790 (95 % interval 0.700 to 0.880)" in sheet
    assert "| liver | 0.810 | – |" in sheet


def test_an_unknown_format_is_refused_before_anything_is_written(settings, project, tmp_path):
    with pytest.raises(ExportError, match="no format 'tiff'"):
        export_to(settings, project, 1, "tiff", tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_has_its_writer(name):
    assert callable(FORMATS[name].writer())


def test_a_project_without_labels_is_an_empty_data_set(settings, tmp_path):
    for name in OWN:
        manifest = export_to(settings, Crowd(), 1, name, tmp_path / name)
        assert manifest["slices"] == []


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("target", ["t", "t.zip"])
def test_an_export_without_a_slice_does_not_replace_one_with_slices(
    settings, project, tmp_path, name, target
):
    export_to(settings, project, 1, name, tmp_path / target)
    before = sorted(p.stat().st_ino for p in (tmp_path / target, *(tmp_path / target).rglob("*")))

    def refused(url, task_id=None):
        raise LabelStudioError("Label Studio answers 500", status=500)

    project.image = refused
    with pytest.raises(ExportError, match=r"not one of 7 slices .*; task 1: Label Studio answers"):
        export_to(settings, project, 1, name, tmp_path / target)
    now = sorted(p.stat().st_ino for p in (tmp_path / target, *(tmp_path / target).rglob("*")))
    assert now == before


def test_all_marks_the_committee_s_masks_in_the_sheet(settings, project, tmp_path):
    store = Store(settings.store_root, 1)
    store.publish("r0003-abcdef", [], {})
    store.point_to("r0003-abcdef")
    regions = to_regions(project.reference(9), project.config)
    project.predictions[9] = [{"id": 1, "model_version": "r0003-abcdef", "result": regions}]
    manifest = export_to(settings, project, 1, "png", tmp_path / "t", choice=Choice(include="all"))
    assert manifest["slices"][-1]["made"]["version"] == "r0003-abcdef"
    sheet = (tmp_path / "t" / "README.md").read_text()
    assert "1 masks are the committee's own, and no person has looked at them" in sheet


@pytest.mark.parametrize("name", [*OWN, "nifti"])
def test_half_a_character_in_a_task_s_data_ends_no_export(settings, tmp_path, name):
    project = Crowd(extra={"series": "s\ud83d", "modality": "\ud83d", "key\ud83d": "x"})
    project.draw(1, project.reference(1))
    manifest = export_to(settings, project, 1, name, tmp_path / "taken")
    assert [entry["task"] for entry in manifest["slices"]] == [1]
    assert "\\ud83d" in (tmp_path / "taken" / "README.md").read_text()
