"""Label Studio's tasks: the masks in them are read as any annotation is."""

import json

import numpy as np
from label_studio_sdk.converter import brush

from ml_backend.export import label_studio_format
from ml_backend.export.label_studio_format import write
from ml_backend.masks import to_label_map

from .slices import CONFIG, LABEL_CONFIG, LABELS, pieces, written


def tasks_in(folder):
    return [
        task
        for path in sorted(folder.glob("tasks-*.json"))
        for task in json.loads(path.read_bytes())
    ]


def test_masks_come_back_pixel_by_pixel(tmp_path):
    written(write, tmp_path)
    tasks = tasks_in(tmp_path)
    assert len(tasks) == len(pieces())
    for task, piece in zip(tasks, pieces(), strict=True):
        (drawn,) = task["annotations" if piece.made.by == "person" else "predictions"]
        label_map = to_label_map(drawn["result"], CONFIG, *piece.label_map.shape)
        assert np.array_equal(label_map, piece.label_map)


def test_label_studio_s_own_reader_sees_the_same_masks(tmp_path):
    written(write, tmp_path)
    for task, piece in zip(tasks_in(tmp_path), pieces(), strict=True):
        (drawn,) = task.get("annotations") or task["predictions"]
        for region in drawn["result"]:
            alpha = brush.decode_rle(region["value"]["rle"]).reshape(*piece.label_map.shape, 4)
            label = LABELS.index(region["value"]["brushlabels"][0]) + 1
            assert np.array_equal(alpha[..., 3] > 0, piece.label_map == label)


def test_a_committee_s_mask_is_a_prediction_and_no_annotation(tmp_path):
    written(write, tmp_path)
    (own,) = [task for task in tasks_in(tmp_path) if "predictions" in task]
    assert "annotations" not in own
    assert own["predictions"][0]["model_version"] == "r0003-abcdef"


def test_addresses_name_the_images_and_nothing_else(tmp_path):
    written(write, tmp_path)
    for task in tasks_in(tmp_path):
        root, _, path = task["data"]["image"].partition("quorum-7/")
        assert root == "/data/local-files/?d=" and (tmp_path / path).is_file()


def test_tasks_are_split_over_files_that_can_be_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(label_studio_format, "_TASKS", 5)
    records = written(write, tmp_path)
    lists = [record for record in records if record.role == "annotations"]
    assert [len(record.tasks) for record in lists] == [5, 5, 2]
    assert len(tasks_in(tmp_path)) == 12
    assert not list(tmp_path.glob(".*"))


def test_the_labelling_interface_comes_along(tmp_path):
    written(write, tmp_path)
    assert (tmp_path / "label_config.xml").read_text() == LABEL_CONFIG
