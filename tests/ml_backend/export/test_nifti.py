"""NIfTI: volumes hold each mask at its place, and say what is not known of them."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from importer import import_dicom
from importer.cli import COMMANDS
from importer.journal import iter_tasks
from ml_backend.export import export_to
from ml_backend.export.formats import ExportError, Maker, Slice
from ml_backend.export.nifti import write
from ml_backend.settings import Settings
from tests.importer.dicom_series import (
    AXES,
    COLUMNS,
    ROWS,
    drawing,
    export_of,
    positions,
    saved,
    single_frames,
)

from .slices import Crowd, about, pieces, written


def piece(number, offset_mm=None, shape=(ROWS, COLUMNS), **data):
    """A slice of one series; its picture is as unlike its mask as its number."""
    known = {
        "series": "ab" * 10,
        "patient": "cd" * 10,
        "instance": f"{number:020x}",
        "slice": f"{number:020x}",
        "rows": ROWS,
        "columns": COLUMNS,
        "pixel_spacing_mm": [0.8, 0.6],
        "slice_thickness_mm": 2.0,
        "slice_position_mm": offset_mm,
    }
    return Slice(
        task_id=number,
        image=np.arange(np.prod(shape), dtype=np.uint32).reshape(shape).astype(np.uint8) + number,
        label_map=drawing(number, shape[:2]),
        data={**known, **data},
        split="training",
        made=Maker("person", annotators=(4,)),
    )


def volumes(out, kind="labels"):
    return {path.name: nibabel.load(path) for path in sorted(out.rglob(f"*_{kind}.nii.gz"))}


def test_a_series_is_one_volume_whose_planes_are_its_slices(tmp_path):
    series = [piece(number, 2.5 * number) for number in range(6)]
    records = written(write, tmp_path, series)
    ((name, labels),) = volumes(tmp_path).items()
    ((_, image),) = volumes(tmp_path, "image").items()
    assert name == f"{'ab' * 10}_labels.nii.gz"
    assert labels.header.get_zooms() == pytest.approx((0.6, 0.8, 2.5))
    # In its own frame: the picture's left is the patient's right, the top is the front.
    expected = np.diag([-0.6, -0.8, 2.5, 1.0])
    assert labels.affine == pytest.approx(expected) and image.affine == pytest.approx(expected)
    assert nibabel.aff2axcodes(labels.affine) == ("L", "P", "S")
    for plane, one in enumerate(series):
        assert np.array_equal(np.asarray(labels.dataobj)[:, :, plane].T, one.label_map)
        assert np.array_equal(np.asarray(image.dataobj)[:, :, plane].T, one.image)
    (mask,) = (record for record in records if record.role == "mask")
    assert mask.tasks == tuple(range(6))
    assert labels.header["sform_code"] == 2  # not the scanner's coordinates


def test_the_sidecar_says_who_drew_and_that_left_is_not_known(tmp_path):
    series = [piece(number, 2.5 * number) for number in range(3)]
    draft = Maker("version", version="r0003-abcdef")
    series[2] = replace(series[2], made=draft, split="evaluation")
    written(write, tmp_path, series)
    (sidecar,) = tmp_path.rglob("*.json")
    said = json.loads(sidecar.read_text())
    assert [one["Task"] for one in said["Slices"]] == [0, 1, 2]
    assert said["Slices"][2]["Made"]["version"] == "r0003-abcdef"
    assert said["Series"] == "ab" * 10 and said["SpacingBetweenSlices"] == 2.5
    assert said["Split"] == "by slice" and said["Labels"]["1"] == "liver"
    assert "not known" in said["CoordinateFrame"]


def test_spacing_is_that_of_the_positions_not_the_thickness(tmp_path):
    written(write, tmp_path, [piece(n, 3.0 * n, slice_thickness_mm=5.0) for n in range(4)])
    (labels,) = volumes(tmp_path).values()
    assert labels.header.get_zooms()[2] == pytest.approx(3.0)


def test_a_slice_that_was_not_exported_is_an_empty_plane_and_said_so(tmp_path):
    written(write, tmp_path, [piece(0, 0.0), piece(1, 2.5), piece(4, 10.0)])
    (labels,), (known,) = volumes(tmp_path).values(), volumes(tmp_path, "known").values()
    labels, known = np.asarray(labels.dataobj), np.asarray(known.dataobj)
    assert labels.shape[2] == 5 and not labels[:, :, 2:4].any()
    assert [int(known[:, :, plane].min()) for plane in range(5)] == [1, 1, 0, 0, 1]
    (sidecar,) = tmp_path.rglob("*.json")
    assert json.loads(sidecar.read_text())["EmptyPlanes"] == 2


def placed_among(series):
    """About, which knows all tasks of a series, whatever of it is exported."""
    tasks = [(one.task_id, {**one.data, "image": "http://server/x.png"}) for one in series]
    return about(tasks={series[0].series_key: tasks})


def planes_known(out):
    (known,) = volumes(out, "known").values()
    return [int(plane) for plane in np.asarray(known.dataobj).min(axis=(0, 1))]


def test_the_grid_is_the_whole_series_whatever_of_it_is_exported(tmp_path):
    series = [piece(number, 1.0 * number) for number in range(12)]
    taken = [series[2], series[9]]
    records = written(write, tmp_path, taken, placed_among(series))
    (labels,) = volumes(tmp_path).values()
    assert labels.header.get_zooms() == pytest.approx((0.6, 0.8, 1.0))
    drawn = np.asarray(labels.dataobj)
    assert drawn.shape[2] == 12
    for one in taken:
        assert np.array_equal(drawn[:, :, one.task_id].T, one.label_map)
    assert planes_known(tmp_path) == [int(number in (2, 9)) for number in range(12)]
    (sidecar,) = tmp_path.rglob("*.json")
    said = json.loads(sidecar.read_text())
    assert (said["Planes"], said["EmptyPlanes"], len(said["Slices"])) == (12, 10, 2)
    assert {task for record in records for task in record.tasks} == {2, 9}
    # Nothing of the others is written but where they lie.
    assert "server" not in sidecar.read_text() and f"{3:020x}" not in sidecar.read_text()


def test_a_slice_of_another_size_or_without_a_place_adds_no_plane(tmp_path):
    series = [piece(number, 1.0 * number) for number in range(4)]
    others = [piece(7, 9.0, rows=30), piece(8), piece(9, 0.5, pixel_spacing_mm=[2.0, 2.0])]
    written(write, tmp_path, series[:1], placed_among([*series, *others]))
    (labels,) = volumes(tmp_path).values()
    assert labels.shape[2] == 4 and planes_known(tmp_path) == [1, 0, 0, 0]


def test_grey_and_colour_slices_of_one_series_each_have_the_empty_planes(tmp_path):
    grey, colour = piece(0, 0.0), piece(3, 3.0, (ROWS, COLUMNS, 3))
    series = [grey, piece(1, 1.0), piece(2, 2.0), colour]
    records = written(write, tmp_path, [grey, colour], placed_among(series))
    assert [volume.shape[2] for volume in volumes(tmp_path).values()] == [3, 3]
    masks = [record.tasks for record in records if record.role == "mask"]
    assert sorted(masks) == [(0,), (3,)]


def test_patients_whose_series_have_one_name_are_volumes_of_their_own(tmp_path):
    series = [
        piece(10 * n + k, 1.0 * k, series="1", patient=patient)
        for n, patient in enumerate("ab")
        for k in range(3)
    ]
    records = written(write, tmp_path, series)
    masks = {record.path: record.tasks for record in records if record.role == "mask"}
    assert masks == {
        "volumes/1_labels.nii.gz": (0, 1, 2),
        "volumes/1.2_labels.nii.gz": (10, 11, 12),
    }


def test_a_labelled_part_of_a_project_s_series_lies_on_the_series_grid(tmp_path):
    project = Crowd(patients="ab", each=6, extra={"series": "1"})
    for task_id in (2, 5, 9):  # the second and the fifth slice of a, the third of b
        project.draw(task_id, project.reference(task_id))
    settings = Settings(data_dir=tmp_path / "data")
    manifest = export_to(settings, project, 1, "nifti", tmp_path / "out")
    masks = {f["path"]: f["tasks"] for f in manifest["files"] if f["role"] == "mask"}
    assert sorted(masks.values()) == [[2, 5], [9]]
    for path, tasks in masks.items():
        volume = nibabel.load(tmp_path / "out" / path)
        assert volume.shape[2] == 6 and volume.header.get_zooms()[2] == 1
        for task in tasks:
            drawn = np.asarray(volume.dataobj)[:, :, (task - 1) % 6].T
            assert np.array_equal(drawn, project.reference(task))


def test_mixed_sizes_colours_and_repeats_are_volumes_of_their_own(tmp_path):
    series = [piece(number, 2.5 * number) for number in range(3)]
    series += [piece(3, 0.0, (30, 20), rows=30), piece(4, 0.0, (ROWS, COLUMNS, 3))]
    series += [piece(5, 2.5)]  # where slice 1 is
    records = written(write, tmp_path, series)
    masks = {record.path: record.tasks for record in records if record.role == "mask"}
    assert sorted(masks.values()) == [(0, 1, 2), (3,), (4,), (5,)]
    for path, tasks in masks.items():
        held = np.asarray(nibabel.load(tmp_path / path).dataobj)
        for plane, task in enumerate(tasks):
            assert np.array_equal(held[:, :, plane].T, series[task].label_map)
    (colour,) = (v for v in volumes(tmp_path, "image").values() if v.get_data_dtype().names)
    red = np.asarray(colour.dataobj)["R"][:, :, 0].T
    assert np.array_equal(red, series[4].image[:, :, 0])


def test_stretched_pictures_are_brought_back_to_the_stored_matrix(tmp_path):
    rows = (np.arange(69) * 2 + 1) * ROWS // (2 * 69)
    stored = [piece(n, 2.5 * n, pixel_spacing_mm=[2.0, 0.7]) for n in range(3)]
    shown = [replace(one, image=one.image[rows], label_map=one.label_map[rows]) for one in stored]
    written(write, tmp_path, shown)
    (labels,) = volumes(tmp_path).values()
    assert labels.header.get_zooms() == pytest.approx((0.7, 2.0, 2.5))
    for plane, one in enumerate(stored):
        assert np.array_equal(np.asarray(labels.dataobj)[:, :, plane].T, one.label_map)
    (sidecar,) = tmp_path.rglob("*.json")
    assert all(
        one["BroughtBackToStoredPixels"] for one in json.loads(sidecar.read_text())["Slices"]
    )


def test_every_kind_of_label_map_comes_back_as_it_was(tmp_path):
    records = written(write, tmp_path)
    files = {record.tasks[0]: record.path for record in records if record.role == "mask"}
    for one in pieces():
        volume = nibabel.load(tmp_path / files[one.task_id])
        assert np.array_equal(np.asarray(volume.dataobj)[:, :, 0].T, one.label_map)
        assert volume.header.get_xyzt_units()[0] == "unknown"  # no pixel size was given


def test_slices_without_a_place_are_volumes_of_their_own(tmp_path):
    written(write, tmp_path, [piece(1), piece(2), piece(3, 5.0)])
    assert [volume.shape[2] for volume in volumes(tmp_path).values()] == [1, 1, 1]
    for volume in volumes(tmp_path).values():
        assert volume.header.get_zooms() == pytest.approx((0.6, 0.8, 2.0))


def test_a_series_name_that_is_no_pseudonym_makes_no_path(tmp_path):
    names = ["../../outside", "a/b", "", ".", "x" * 300, "Kanari Vogel"]
    series = [piece(number, 0.0, series=name) for number, name in enumerate(names)]
    records = written(write, tmp_path / "out", series)
    assert len(list(tmp_path.rglob("*_labels.nii.gz"))) == len(names)
    assert {path.parent for path in tmp_path.rglob("*.nii.gz")} == {tmp_path / "out" / "volumes"}
    assert not any("Kanari" in record.path for record in records)


def test_a_mask_of_another_size_is_left_out_with_its_reason(tmp_path):
    context = about()
    wrong = replace(piece(2, 2.5), label_map=np.zeros((9, 9), np.uint8))
    records = written(write, tmp_path, [piece(1, 0.0), wrong], context)
    assert {task for record in records for task in record.tasks} == {1}
    (problem,) = context.problems
    assert problem["task_id"] == 2 and "another picture" in problem["reason"]


def test_with_the_hospitals_planes_the_affine_is_the_scanners(tmp_path):
    places = positions(AXES["oblique"])
    sources = single_frames(AXES["oblique"], places)
    key = tmp_path / "hospital.key"
    folder = saved(sources, tmp_path / "source")
    import_dicom(folder, tmp_path / "import", key, burned_in="off")
    tasks = list(iter_tasks(tmp_path / "import"))
    maps = {task["data"]["slice"]: drawing(n) for n, task in enumerate(tasks)}
    export = export_of(tasks, tmp_path / "export", maps)
    arguments = [export, "--source", folder, "--key", key, "--out", tmp_path / "out"]
    arguments += ["--format", "geometry"]
    assert COMMANDS["return"]([str(argument) for argument in arguments]) == 0
    geometry = tmp_path / "out" / "geometry.json"
    assert not any(str(one.SOPInstanceUID) in geometry.read_text() for one in sources)
    series = [
        replace(piece(n), data={k: v for k, v in task["data"].items() if k != "image"})
        for n, task in enumerate(tasks)
    ]
    list(write(iter(series), tmp_path / "nifti", about(), geometry=geometry))
    (labels,) = volumes(tmp_path / "nifti").values()
    row, column = np.array(AXES["oblique"][:3]), np.array(AXES["oblique"][3:])
    step = 2.5 * np.cross(row, column)
    lps = np.column_stack([row * 0.6, column * 0.8, step, places[0]])
    expected = lps * np.array([[-1], [-1], [1]])
    assert labels.affine[:3] == pytest.approx(expected, abs=1e-5)
    assert labels.header["sform_code"] == 1


def test_a_file_of_planes_that_is_none_is_told(tmp_path):
    wrong = tmp_path / "geometry.json"
    with pytest.raises(ExportError, match=r"geometry\.json cannot be read"):
        list(write(iter([piece(1, 0.0)]), tmp_path / "out", about(), geometry=wrong))
    for content in ["", "[]", '{"planes": {"x": {"0": {"position": [1, 2]}}}}']:
        wrong.write_text(content)
        with pytest.raises(ExportError, match="no file of planes"):
            list(write(iter([piece(1, 0.0)]), tmp_path / "out", about(), geometry=wrong))


@pytest.mark.parametrize("data", [{"rows": -1}, {"columns": 0.5}, {"rows": -3, "columns": -3}])
def test_no_mask_is_lost_to_a_size_that_is_none(tmp_path, data):
    written(write, tmp_path, [piece(1, 0.0, **data)])
    (labels,) = volumes(tmp_path).values()
    assert np.array_equal(np.asarray(labels.dataobj)[:, :, 0].T, drawing(1, (ROWS, COLUMNS)))


def test_what_lies_beyond_all_distances_is_a_volume_of_its_own(tmp_path):
    places = [0.0, 2.5, 1e300, -1e300, 10**400]
    context = about()
    records = written(write, tmp_path, [piece(n, at) for n, at in enumerate(places, 1)], context)
    masks = sorted(record.tasks for record in records if record.role == "mask")
    assert masks == [(1, 2), (3,), (4,), (5,)] and context.problems == []
    assert all(np.isfinite(volume.affine).all() for volume in volumes(tmp_path).values())


def test_a_thickness_that_is_none_turns_no_volume_over(tmp_path):
    written(write, tmp_path, [piece(1, 0.0, slice_thickness_mm=-2.0)])
    (labels,) = volumes(tmp_path).values()
    assert labels.affine[2, 2] == 1.0
    assert json.loads(next(tmp_path.rglob("*.json")).read_text())["SliceThickness"] is None
