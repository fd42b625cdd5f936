"""COCO: its own reader loads what was written, and gives back the masks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ml_backend.export.coco import write
from ml_backend.export.formats import Maker

from .slices import LABELS, pieces, written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("coco")
    written(write, out)
    return out


def loaded(folder):
    return {split: COCO(folder / f"instances_{split}.json") for split in ("training", "evaluation")}


def test_masks_come_back_pixel_by_pixel_on_the_right_side(folder):
    sets = loaded(folder)
    for piece in pieces():
        found = sets[piece.split]
        label_map = np.zeros_like(piece.label_map)
        for annotation in found.loadAnns(found.getAnnIds(imgIds=[piece.task_id])):
            mask = found.annToMask(annotation).astype(bool)
            label_map[mask] = annotation["category_id"]
            assert annotation["area"] == mask.sum() and annotation["iscrowd"] == 0
        assert np.array_equal(label_map, piece.label_map)
    ids = [set(found.getImgIds()) for found in sets.values()]
    assert not ids[0] & ids[1] and ids[0] | ids[1] == {piece.task_id for piece in pieces()}


def test_images_are_where_their_entries_say_and_as_large(folder):
    entries = {i["id"]: i for found in loaded(folder).values() for i in found.imgs.values()}
    for piece in pieces():
        entry = entries[piece.task_id]
        image = np.asarray(Image.open(folder / entry["file_name"]))
        assert np.array_equal(image, piece.image)
        assert (entry["height"], entry["width"]) == piece.label_map.shape
        assert entry["attributes"]["patient"] == piece.data["patient"]


def test_every_class_is_a_category_and_annotations_have_numbers_of_their_own(folder):
    sets = loaded(folder)
    for found in sets.values():
        assert [category["name"] for category in found.dataset["categories"]] == list(LABELS)
    numbers = [number for found in sets.values() for number in found.anns]
    assert len(numbers) == len(set(numbers)) and min(numbers) == 1


def test_an_export_without_slices_is_still_coco(tmp_path):
    written(write, tmp_path, slices=[])
    assert json.loads((tmp_path / "instances_training.json").read_bytes())["images"] == []


def test_nothing_but_its_files_is_left(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {"images", "instances_training.json", "instances_evaluation.json"}


def test_a_held_out_mask_that_no_person_has_seen_stands_apart(tmp_path):
    held_out = next(piece for piece in pieces() if piece.split == "evaluation")
    unseen = replace(held_out, task_id=977, made=Maker(by="version", version="r0001-abcdef"))
    written(write, tmp_path, [*pieces(), unseen])
    apart = json.loads((tmp_path / "instances_evaluation_unseen.json").read_text())
    assert 977 in {image["id"] for image in apart["images"]}
    measured = json.loads((tmp_path / "instances_evaluation.json").read_text())["images"]
    assert {image["attributes"]["mask_by"] for image in measured} == {"person"}


def test_a_team_s_own_keys_do_not_pass_for_ours(tmp_path):
    said = {"split": "test", "mask_by": "somebody", "version": "v1", "site": "north"}
    written(write, tmp_path, [replace(pieces()[0], data=said)])
    (image,) = json.loads((tmp_path / "instances_training.json").read_text())["images"]
    assert image["attributes"] == {
        "split": "training",
        "mask_by": "person",
        "version": None,
        "site": "north",
    }
