"""Class areas, and what the importer set aside."""

import json

import pytest

from ml_backend.figures.data import EDGES, areas_by_slice, class_figures, data, quarantined
from ml_backend.figures.records import Record


def one(areas, labels=("A",)):
    return class_figures(labels, areas)["classes"][0]


def test_quartiles_are_of_the_slices_where_a_class_was_drawn():
    found = one([{"A": 0.1}, {"A": 0.2}, {"A": 0.3}, {"A": 0.0}, {}])
    assert (found["slices"], found["empty"]) == (3, 2)
    assert (found["q1_share"], found["median_share"], found["q3_share"]) == (0.15, 0.2, 0.25)


def test_a_mask_is_empty_if_no_class_is_in_it():
    found = class_figures(("A", "B"), [{"A": 0.1}, {"B": 0.1}, {}, {"A": 0, "B": 0.0}])
    assert (found["annotated"], found["empty_masks"]) == (4, 2)


def test_every_drawn_slice_is_in_one_of_ten_bins():
    shares = [1e-9, 1e-4, 0.00099, 0.001, 0.5, 1.0]
    histogram = one([{"A": share} for share in shares])["histogram"]
    assert len(histogram) == 10 == len(EDGES) - 1 and sum(histogram) == len(shares)
    assert histogram[0] == 2 and histogram[-1] == 2


def test_a_class_that_nobody_drew_has_no_quartiles():
    found = class_figures(("A", "B"), [{"A": 0.5, "gone": 0.5}])
    assert [c["name"] for c in found["classes"]] == ["A", "B"]
    assert found["classes"][1]["median_share"] is None
    assert found["classes"][1]["histogram"] == [0] * 10
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def record(task, areas, ground_truth=False):
    return Record(task, task, 1, "", "", areas=areas, ground_truth=ground_truth)


def test_a_slice_with_several_annotations_counts_once():
    found = areas_by_slice(
        [
            record(1, {"A": 0.2, "B": 0.0}),
            record(2, {"A": 0.5}),
            record(1, {"A": 0.4, "B": 0.1}),
            record(3, None),
            record(4, {"A": 0.9}),
            record(4, {"A": 0.1}, ground_truth=True),
        ]
    )
    assert [areas["A"] for areas in found] == pytest.approx([0.3, 0.5, 0.1])
    assert found[0]["B"] == pytest.approx(0.05)


@pytest.fixture
def imports(tmp_path):
    def imports(*lines):
        folder = tmp_path / "imports"
        folder.mkdir(exist_ok=True)
        (folder / "7.jsonl").write_text("".join(f"{line}\n" for line in lines))
        return tmp_path

    return imports


def test_where_the_importer_leaves_no_counts_nothing_is_known(tmp_path):
    assert quarantined(tmp_path, 7) is None


def test_imports_and_decisions_add_up(imports):
    place = imports(
        json.dumps({"held": 5, "reasons": {"text": 3, "secondary capture": 2}}),
        json.dumps({"held": 1, "reasons": {"text": 1}}),
        json.dumps({"released": 2, "refused": 1}),
    )
    assert quarantined(place, 7) == {
        "held": 3,
        "released": 2,
        "refused": 1,
        "reasons": [
            {"reason": "text", "objects": 4},
            {"reason": "secondary capture", "objects": 2},
        ],
    }
    assert quarantined(place, 8) is None


def test_a_damaged_line_counts_for_nothing(imports):
    good = json.dumps({"held": 2, "reasons": {"text": 2}})
    place = imports(good, "[1, 2]", '{"held": "many"}', '{"reasons": 3}', '{"held": 2')
    assert quarantined(place, 7)["held"] == 2


def test_the_panel_is_whole_before_anything_is_known():
    panel = data({}, {}, None)
    assert panel["by"] == {} and panel["classes"] == [] and panel["quarantined"] is None
    assert panel["annotated"] == panel["empty_masks"] == 0
