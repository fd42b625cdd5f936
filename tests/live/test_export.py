"""The finished data set, taken out of a real Label Studio and put into it again."""

import io
import json
import os
import subprocess
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from launcher import CLONE
from ml_backend.export import Choice, export_to
from ml_backend.gathering import read_image
from ml_backend.label_studio import LabelStudio, LabelStudioError
from ml_backend.masks import BrushConfig, to_label_map, to_regions
from ml_backend.store import Store
from ml_backend.survey import unit_of

LABELS = ("liver", "tumour")
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    '<Label value="liver"/><Label value="tumour"/></BrushLabels></View>'
)
CONFIG = BrushConfig.parse(LABEL_CONFIG)
VERSION = "r0000-abcdef"


def drawn(number):
    """The image, (21, 34) or in colour, and the label map of a slice; the second is empty."""
    generator = np.random.default_rng(number)
    shape = (21, 34, 3) if number == 2 else (21, 34)
    label_map = np.zeros((21, 34), np.uint8)
    if number != 1:
        label_map[3 : 9 + number, 4:20] = 1
        label_map[6:8, 6 : 9 + number] = 2
    return generator.integers(0, 256, shape).astype(np.uint8), label_map


@pytest.fixture(scope="module")
def settings(running, tmp_path_factory):
    # The rounds of the running backend have no part in this.
    return replace(running.settings, data_dir=tmp_path_factory.mktemp("export"), store_url="")


@pytest.fixture(scope="module")
def project(running, annotators, settings):
    """Six slices: four annotated, the first by two; one with a draft; one with nothing."""
    server = running.label_studio
    project_id = server.create_project("Export", LABEL_CONFIG)
    server.set_overlap(project_id, 2)
    files = {}
    for number in range(6):
        stream = io.BytesIO()
        Image.fromarray(drawn(number)[0]).save(stream, "png")
        files[f"s{number}.png"] = stream.getvalue()
    addresses = server.upload_images(project_id, files)
    server.import_tasks(
        project_id,
        [
            {
                "data": {
                    "image": addresses[f"s{number}.png"],
                    "slice": f"s{number}",
                    "patient": f"p{number}",
                    "series": f"p{number}",
                    "pixel_spacing_mm": [0.5, 0.75],
                }
            }
            for number in range(6)
        ],
    )
    ids = {task.data["slice"]: task.id for task in server.tasks(project_id)}
    for number in range(4):
        for who in annotators[: 2 if number == 0 else 1]:
            regions = to_regions(drawn(number)[1], CONFIG)
            who.submit(project_id, ids[f"s{number}"], regions, lead_time_s=5)
    draft = to_regions(drawn(4)[1], CONFIG)
    sent = [
        {"task": ids["s4"], "result": draft, "score": 0.1, "model_version": VERSION},
        {"task": ids["s5"], "result": [], "score": 0.9, "model_version": VERSION},
    ]
    assert server.push_predictions(project_id, sent, 10, 0).stored == 2
    store = Store(settings.store_root, project_id)
    store.publish(VERSION, [], {})
    store.point_to(VERSION)
    return project_id, ids


def test_png_holds_what_was_drawn_and_says_who(settings, project, running, tmp_path):
    project_id, ids = project
    manifest = export_to(
        settings,
        running.label_studio,
        project_id,
        "png",
        tmp_path / "t",
        choice=Choice(include="all"),
    )
    entries = {entry["task"]: entry for entry in manifest["slices"]}
    # The sixth has a rank and no draft: nobody says that there is nothing on it.
    assert entries.keys() == {ids[f"s{number}"] for number in range(5)}
    for number in range(5):
        entry = entries[ids[f"s{number}"]]
        image, label_map = drawn(number)
        for role, expected in (("image", image), ("mask", label_map)):
            found = np.asarray(Image.open(tmp_path / "t" / entry["files"][role]))
            assert np.array_equal(found, expected)
        assert entry["data"]["pixel_spacing_mm"] == [0.5, 0.75]
    made = [entries[ids[f"s{number}"]]["made"] for number in range(5)]
    assert [each["by"] for each in made] == ["consensus", *["person"] * 3, "version"]
    assert made[4]["version"] == VERSION and len(made[0]["annotators"]) == 2
    assert entries[ids["s0"]]["agreement"] == 1.0
    text = (tmp_path / "t" / "manifest.json").read_text()
    for secret in ("clinic.example", running.account.token, running.label_studio.url, "/data/"):
        assert secret not in text


def test_label_studio_imports_its_format_again(settings, project, running):
    project_id = project[0]
    server, root = running.label_studio, running.settings.data_dir
    out = root / f"quorum-{project_id}"
    choice = Choice(include="all")
    export_to(settings, server, project_id, "label-studio", out, choice=choice)
    # As the data sheet tells it.
    again = server.create_project("Again", (out / "label_config.xml").read_text())
    server.add_local_files_storage(again, str(out.resolve()), "export")
    server.import_tasks(again, json.loads((out / "tasks-001.json").read_bytes()))
    tasks = {task.data["slice"]: task for task in server.tasks(again)}
    assert sorted(tasks) == [f"s{number}" for number in range(5)]
    annotations = {a.task_id: a for a in server.annotations(again, [t.id for t in tasks.values()])}
    assert len(annotations) == 4
    for name, task in tasks.items():
        image, label_map = drawn(int(name[1]))
        assert np.array_equal(read_image(server, task, CONFIG), image)
        assert unit_of(task).patient == f"p{name[1]}"
        if name != "s4":
            regions = annotations[task.id].regions
            assert np.array_equal(to_label_map(regions, CONFIG, 21, 34), label_map)
    assert server.prediction_counts(again) == {VERSION: 1}
    (held,) = server._json("GET", "/api/predictions/", params={"task": tasks["s4"].id})
    assert np.array_equal(to_label_map(held["result"], CONFIG, 21, 34), drawn(4)[1])


def test_the_command_writes_a_zip_that_coco_s_tools_read(settings, project, running, tmp_path):
    project_id, ids = project
    command = [CLONE / "quorum", "export", str(project_id), "--format", "coco"]
    environment = {
        **os.environ,
        "LABEL_STUDIO_URL": running.label_studio.url,
        "LABEL_STUDIO_API_KEY": running.account.token,
        "QUORUM_DATA_DIR": str(settings.data_dir),
    }
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "t.zip")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "4 slices in" in done.stdout
    with zipfile.ZipFile(tmp_path / "t.zip") as packed:
        packed.extractall(tmp_path / "t")
    found = {}
    for split in ("training", "evaluation"):
        coco = COCO(tmp_path / "t" / f"instances_{split}.json")
        for task_id in coco.getImgIds():
            label_map = np.zeros((21, 34), np.uint8)
            for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[task_id])):
                label_map[coco.annToMask(annotation) > 0] = annotation["category_id"]
            found[task_id] = label_map
    assert found.keys() == {ids[f"s{number}"] for number in range(4)}
    for number in range(4):
        assert np.array_equal(found[ids[f"s{number}"]], drawn(number)[1])


def test_a_refused_token_leaves_nothing(settings, project, running, tmp_path):
    stranger = LabelStudio(running.label_studio.url, "0" * 40)
    with pytest.raises(LabelStudioError, match="refuses the token"):
        export_to(settings, stranger, project[0], "png", tmp_path / "t")
    assert list(tmp_path.iterdir()) == []
