"""The data sheet says what the manifest holds, and nothing else."""

import pytest

from ml_backend.export.sheet import data_sheet


def entry(task, **changes):
    known = {
        "task": task,
        "split": "training",
        "files": {},
        "size": [10, 10],
        "pixels": {"a|b": 25, "c": 0},
        "made": {"by": "person", "annotators": [3], "reviewed": False},
        "consensus": None,
        "agreement": None,
        "ground_truth": False,
        "updated_at": None,
        "data": {"patient": "p1", "modality": "CT"},
    }
    return {**known, **changes}


def manifest(slices, **changes):
    known = {
        "format": "png",
        "quorum": {"release": "0.1.0", "commit": "0123456789abcdef"},
        "made_at": "2026-05-01T10:00:00+00:00",
        "project": 7,
        "include": "labelled",
        "labels": {"1": "a|b", "2": "c"},
        "held_out_unit": "patient",
        "quality": None,
        "trial": None,
        "slices": slices,
        "files": [],
        "problems": [],
    }
    return {**known, **changes}


def test_slices_patients_and_classes_are_counted():
    slices = [entry(1), entry(2), entry(3, data={"patient": "p2", "site": "x"}, split="evaluation")]
    sheet = data_sheet(manifest(slices))
    assert "| training | 2 | 1 | 2 (2 to 2) |" in sheet
    assert "| evaluation | 1 | 1 | 1 (1 to 1) |" in sheet
    assert "| 1 | a\\|b | 3 | 25 % |" in sheet
    assert "| CT | 2 |" in sheet and "| not said | 1 |" in sheet
    assert "`site`" in sheet  # a key to look at before the set is passed on
    assert "Quorum 0.1.0 (0123456789)" in sheet


def test_who_made_the_masks_is_told_without_names():
    slices = [
        entry(
            1,
            made={"by": "consensus", "annotators": [3, 4], "reviewed": False},
            agreement=0.8,
            consensus="staple",
        ),
        entry(2, ground_truth=True, made={"by": "person", "annotators": [3], "reviewed": True}),
        entry(3, made={"by": "version", "annotators": [], "reviewed": False, "version": "r1"}),
    ]
    sheet = data_sheet(manifest(slices, include="all"))
    assert "2 masks were drawn or approved by people: 1 by one person each, 1 are the" in sheet
    assert "(staple: 1)" in sheet and "0.800 in the median" in sheet
    assert "| annotator 3 | 2 |" in sheet and "| annotator 4 | 1 |" in sheet
    assert "1 are marked as ground truth; 1 were reviewed" in sheet
    assert "1 of version r1" in sheet and "1 masks are a model's" in sheet


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (None, "was not measured here"),
        ({"mean": 1.02, "low": 0.97, "high": 1.08}, "no bias was seen"),
        ({"mean": 1.2, "low": 1.1, "high": 1.3}, "Drafts move what people draw"),
        ({"mean": 0.8, "low": 0.7, "high": 0.9}, "Drafts move what people draw"),
    ],
)
def test_a_bias_by_drafts_is_a_known_limit(ratio, said):
    assert said in data_sheet(manifest([entry(1)], trial={"area_ratio": ratio}))


@pytest.mark.parametrize(
    ("unit", "said"), [("slab", "began with one patient"), ("slice", "which patient a slice is of")]
)
def test_a_split_that_is_not_by_patient_is_a_known_limit(unit, said):
    assert said in data_sheet(manifest([entry(1)], held_out_unit=unit))


def test_distances_are_told_in_the_unit_that_they_were_measured_in():
    classes = {
        "a|b": {"iou": 0.5, "dice": 0.6, "hd95_mm": 2.25},
        "c": {"iou": 0.5, "dice": 0.6, "hd95_px": 3.0},
        "d": {"iou": None, "dice": None},  # of an earlier release's version
    }
    quality = {"version": "r1", "training": 3, "evaluation": 2, "classes": classes}
    sheet = data_sheet(manifest([entry(1)], quality=quality))
    assert "| a\\|b | 0.500 | 0.600 | 2.2 mm |" in sheet
    assert "| c | 0.500 | 0.600 | 3.0 px |" in sheet and "| d | – | – | – |" in sheet


def test_an_empty_data_set_has_a_sheet_too():
    assert "0 slices" in data_sheet(manifest([]))


def test_a_class_that_fills_its_slices_covers_a_hundred_percent():
    full = entry(1, pixels={"a|b": 100, "c": 0})
    assert "| 1 | a\\|b | 1 | 100 % |" in data_sheet(manifest([full]))


def test_of_stretched_pictures_the_pixels_size_is_said_to_be_the_stored_matrix_s():
    data = {"rows": 5, "columns": 10, "pixel_spacing_mm": [2.0, 1.0]}
    slices = [entry(1, data=data), entry(2, data={**data, "rows": 10}), entry(3)]
    for name, said in (("png", True), ("coco", True), ("label-studio", True), ("nifti", False)):
        sheet = data_sheet(manifest(slices, format=name))
        assert ("1 pictures were stretched" in sheet) is said
