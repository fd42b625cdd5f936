"""Label Studio's tasks: the masks in them are read as any annotation is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from label_studio_sdk.converter import brush

from ml_backend.export import Choice, export_to, label_studio_format
from ml_backend.export.config_keys import completed
from ml_backend.export.label_studio_format import write
from ml_backend.masks import BrushConfig, to_label_map
from ml_backend.settings import Settings

from .slices import CONFIG, LABEL_CONFIG, LABELS, Crowd, pieces, written


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


def test_labels_in_any_script_are_written_in_any_locale(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from ml_backend.export.label_studio_format import write\n"
        "from tests.ml_backend.export.slices import about, pieces\n"
        "config = about().label_config.replace('liver', '\\u809d\\u810f')\n"
        "list(write(iter(pieces()[:1]), pathlib.Path(sys.argv[1]), about(label_config=config)))\n"
    )
    latin = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, env=latin, check=True, cwd=Path(__file__).parents[3])
    assert "肝脏" in (tmp_path / "label_config.xml").read_text(encoding="utf-8")


WINDOWS = """<View><Image name="image" value="$image"/><Image name="lung" value="$image_lung"/>
<Text name="said" value="$note"/><Header name="title" value="Slice $place.number"/>
<Text name="plain" value="$place.site"/><BrushLabels name="mask" toName="image">
<Label value="liver"/><Label value="tumour"/><Label value="vessel | wall"/></BrushLabels></View>"""


@pytest.mark.parametrize("known", [True, False])
def test_a_task_has_every_key_that_the_labelling_interface_asks_for(tmp_path, known):
    project = Crowd(extra={"image_lung": "/data/upload/1/x.png", "note": "n", "image_id": 7})
    project.config = BrushConfig.parse(WINDOWS)
    was = project.project(1)
    project.project = lambda project_id: {**was, "label_config": WINDOWS}
    project.draw(1, project.reference(1))
    settings, choice = Settings(data_dir=tmp_path / "data"), Choice(known_data=known)
    export_to(settings, project, 1, "label-studio", tmp_path / "out", choice=choice)
    (task,) = tasks_in(tmp_path / "out")
    data = task["data"]
    assert data["image"] == data["image_lung"] == "/data/local-files/?d=quorum-1/images/task-1.png"
    assert data["note"] == ("" if known else "n") and data["place"]["site"] == ""
    assert ("image_id" in data) is not known


def test_lists_of_images_are_lists():
    config = '<View><Image name="i" value="$pages[0]"/><Text name="t" value="$a.b"/></View>'
    data = {"a": {"c": 1}}
    found = completed(data, config, "x.png")
    assert found == {"a": {"b": "", "c": 1}, "pages": ["x.png"]} and data == {"a": {"c": 1}}
