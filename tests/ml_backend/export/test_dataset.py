"""Which slices are exported, with whose mask, on which side."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dicom.segment import algorithm_of
from ml_backend.auto_annotations import Entry, Made, mark
from ml_backend.export.dataset import Choice, Dataset
from ml_backend.export.formats import ExportError
from ml_backend.masks import to_regions
from ml_backend.settings import Settings
from ml_backend.store import Store

from .slices import Crowd


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path, held_out_fraction=0.4)


def taken(settings, project, **choice):
    dataset = Dataset.of(settings, project, 1, Choice(**choice))
    return {piece.task_id: piece for piece in dataset.slices()}, dataset.about


def test_only_labelled_slices_are_taken_with_their_masks(settings):
    project = Crowd()
    for task_id in (2, 5, 9):
        project.draw(task_id, project.reference(task_id))
    found, _ = taken(settings, project)
    assert sorted(found) == [2, 5, 9]
    for task_id, piece in found.items():
        assert np.array_equal(piece.label_map, project.reference(task_id))
        assert piece.made.by == "person" and piece.made.annotators == (1,)
        assert piece.agreement is None and piece.consensus is None


def test_images_are_read_as_they_are_asked_for_and_a_few_ahead(settings):
    project = Crowd()
    for task_id in range(1, 11):
        project.draw(task_id, project.reference(task_id))
    slices = Dataset.of(settings, project, 1, Choice()).slices()
    for count in range(1, 11):
        next(slices)
        assert count <= len(project.read) <= count + 8


def test_a_slice_in_colour_comes_with_its_colours(settings):
    project = Crowd(colour=("a0",))
    project.draw(1, project.reference(1))
    found, _ = taken(settings, project)
    assert found[1].image.shape == (12, 10, 3)


def test_several_readers_make_a_consensus_with_their_agreement(settings):
    project = Crowd()
    larger = project.reference(1).copy()
    larger[2:8, 2:7] = 1
    for who in (1, 2):
        project.draw(1, project.reference(1), who)
    project.draw(1, larger, 3)
    found, _ = taken(settings, project)
    assert np.array_equal(found[1].label_map, project.reference(1))  # two against one
    assert found[1].made.by == "consensus" and found[1].made.annotators == (1, 2, 3)
    a, b = int(project.reference(1).sum()), int(larger.sum())
    pair = 2 * a / (a + b)
    assert found[1].agreement == pytest.approx((1 + 2 * pair) / 3)
    assert found[1].consensus == "majority"


def test_a_ground_truth_stands_alone_and_counts_as_reviewed(settings):
    project = Crowd()
    project.draw(1, project.reference(1), 1)
    truth = np.zeros((12, 10), np.uint8)
    annotation_id = project.draw(1, truth, 2, ground_truth=True)
    found, _ = taken(settings, project)
    assert np.array_equal(found[1].label_map, truth)
    assert found[1].ground_truth and found[1].made.reviewed
    assert found[1].made.annotation_ids == (annotation_id,) and found[1].agreement is None


def test_the_project_s_consensus_and_weights_are_those_of_its_rounds(settings):
    project = Crowd()
    store = Store(settings.store_root, 1)
    store.publish("r0000-abcdef", [], {})
    store.point_to("r0000-abcdef")
    store.note("r0000-abcdef", "readers", {"weights": {"2": 0.0}})
    project.draw(1, project.reference(1), 1)
    project.draw(1, np.ones((12, 10), np.uint8), 2)
    found, about = taken(replace(settings, consensus="staple"), project)
    assert np.array_equal(found[1].label_map, project.reference(1))
    assert found[1].made.annotators == (1,) and found[1].made.by == "person"
    assert about.version == "r0000-abcdef"


def test_patients_stand_on_one_side_and_never_move(settings):
    project = Crowd(patients=[f"p{n}" for n in range(10)], each=3)
    for task_id in range(1, 11):
        project.draw(task_id, project.reference(task_id))
    found, _ = taken(settings, project)
    side = {}
    for piece in found.values():
        assert side.setdefault(piece.data["patient"], piece.split) == piece.split
    assert set(side.values()) == {"training", "evaluation"}
    more = Crowd(patients=[f"p{n}" for n in range(40)], each=3)
    for task_id in range(1, 121):
        more.draw(task_id, more.reference(task_id))
    later, _ = taken(replace(settings, split_key="another"), more)
    assert {p.data["patient"]: p.split for p in later.values()}.items() >= side.items()


def test_a_series_comes_in_one_piece_along_its_positions(settings):
    project = Crowd(patients=("b", "a"), each=4)
    for task_id in (4, 2, 8, 1, 6, 5, 3, 7):
        project.draw(task_id, project.reference(task_id))
    found, _ = taken(settings, project)
    order = [(p.data["patient"], p.data["slice_position_mm"]) for p in found.values()]
    assert order == sorted(order)


def test_an_annotation_that_cannot_be_used_is_told_and_left_out(settings):
    project = Crowd()
    project.draw(1, project.reference(1))
    bad = [{"type": "brushlabels", "value": {"brushlabels": ["liver"], "format": "rle"}}]
    project.draw(2, project.reference(2), regions=bad)
    found, about = taken(settings, project)
    assert list(found) == [1]
    assert about.problems[0]["task_id"] == 2 and "carries no mask" in about.problems[0]["reason"]


def test_no_address_is_in_what_is_exported(settings):
    extra = {"source": "https://u:token@pacs.example/1", "reader": "a@b.example", "site": "north"}
    project = Crowd(extra=extra)
    project.draw(1, project.reference(1))
    found, _ = taken(settings, project)
    assert "memory://" not in json.dumps(found[1].data) and "token" not in json.dumps(found[1].data)
    assert found[1].data["site"] == "north" and found[1].data["pixel_spacing_mm"] == [0.5, 0.5]
    found, _ = taken(settings, project, known_data=True)
    assert "site" not in found[1].data


# -- the committee's own masks ---------------------------------------------------------------


VERSION = "r0004-0123ab"


def predicted(project, task_id, label_map, version=VERSION):
    result = to_regions(label_map, project.config)
    entry = {"id": len(project.predictions) + 1, "model_version": version, "result": result}
    project.predictions.setdefault(task_id, []).append(entry)


def current(settings):
    store = Store(settings.store_root, 1)
    store.publish(VERSION, [], {})
    store.point_to(VERSION)
    return store


def test_all_takes_the_current_version_s_drafts_and_says_so(settings):
    project = Crowd()
    current(settings)
    project.draw(1, project.reference(1))
    predicted(project, 1, np.ones((12, 10), np.uint8))
    predicted(project, 2, project.reference(2))
    predicted(project, 3, project.reference(3), version="r0001-ffffff")
    predicted(project, 4, np.zeros((12, 10), np.uint8))  # a rank without a draft
    assert list(taken(settings, project)[0]) == [1]
    found, _ = taken(settings, project, include="all")
    assert sorted(found) == [1, 2]
    assert np.array_equal(found[1].label_map, project.reference(1))  # a person's goes first
    assert np.array_equal(found[2].label_map, project.reference(2))
    assert (found[2].made.by, found[2].made.version) == ("version", VERSION)
    assert found[2].made.annotators == () and not found[2].made.reviewed


def test_a_slice_that_was_skipped_is_not_filled_in_by_the_committee(settings):
    project = Crowd()
    current(settings)
    predicted(project, 2, project.reference(2))
    predicted(project, 3, project.reference(3))
    project.skipped.add(3)
    assert list(taken(settings, project, include="all")[0]) == [2]


def test_masks_that_began_as_a_draft_are_counted(settings):
    project = Crowd()
    project.draw(1, project.reference(1), 1, parent_prediction=17)
    project.draw(1, project.reference(1), 2)
    assert taken(settings, project)[0][1].made.from_draft == 1


def test_an_empty_draft_counts_only_where_the_rest_looked_and_saw_nothing(settings):
    project = Crowd()
    store = current(settings)
    for task_id in (4, 5, 6):
        entry = {"id": task_id, "model_version": VERSION, "result": []}
        project.predictions[task_id] = [{**entry, "created_at": "2026-04-30T23:00:00.500000Z"}]
    # That it was done says nothing of a slice that was held back then, or that a round drafted.
    done = {"as": "predictions", "state": "done", "began_at": "2026-05-01T00:00:00+00:00"}
    store.keep_figures("rest", {**done, "version": VERSION})
    assert taken(settings, project, include="all")[0] == {}
    Made(nothing={4: VERSION, 5: "r0001-ffffff"}).keep(store)
    found, _ = taken(settings, project, include="all")
    assert list(found) == [4] and not found[4].label_map.any()
    assert (found[4].made.by, found[4].made.version) == ("version", VERSION)


def test_a_version_s_mask_that_was_approved_began_as_a_draft(settings):
    project = Crowd()
    store = current(settings)
    regions = mark(to_regions(project.reference(2), project.config), VERSION)
    project.draw(1, project.reference(1), who=99, edited_by=5)  # the prediction is gone since
    project.draw(2, project.reference(2), who=99, edited_by=5, regions=regions)
    project.draw(3, project.reference(3), who=5, edited_by=5)
    Made(annotations={100: "earlier"}, tasks={1: Entry(100, 0.5, "x", VERSION, 99)}).keep(store)
    found, _ = taken(settings, project)
    assert {n: piece.made.from_draft for n, piece in found.items()} == {1: 1, 2: 1, 3: 0}
    algorithms = [algorithm_of([found[n].made.as_json()]) for n in (1, 2, 3)]
    assert algorithms == ["SEMIAUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]


def test_what_the_rest_made_is_the_committee_s_until_a_person_touches_it(settings):
    project = Crowd()
    store = current(settings)
    for task_id, editor in ((1, None), (2, 5), (3, None)):
        project.draw(task_id, project.reference(task_id), who=99, edited_by=editor)
    person = np.zeros((12, 10), np.uint8)
    person[0, 0] = 1
    project.draw(3, person, who=5)
    made = Made(annotator=99, version=VERSION)
    made.annotations = {100: "2026-04-01T00:00:00Z", 200: "earlier", 300: "2026-04-01T00:00:00Z"}
    made.tasks = {1: Entry(100, 0.5, "x", "r0002-aaaaaa", 99)}
    made.keep(store)
    found, _ = taken(settings, project)
    assert sorted(found) == [2, 3]  # the first is nobody's
    assert found[2].made.by == "person" and found[2].made.reviewed
    assert np.array_equal(found[3].label_map, person)
    # One person, and not the account that the committee annotates with.
    assert found[2].made.annotators == found[3].made.annotators == (1,)
    found, _ = taken(settings, project, include="all")
    assert sorted(found) == [1, 2, 3]
    assert (found[1].made.by, found[1].made.version) == ("version", "r0002-aaaaaa")
    assert np.array_equal(found[1].label_map, project.reference(1))


def test_annotators_have_the_numbers_that_the_page_gave_them_and_keep_them(settings):
    project = Crowd()
    store = Store(settings.store_root, 1)
    store.keep_figures("annotators", {"numbers": {"812": 3}})
    project.draw(1, project.reference(1), who=812)
    project.draw(2, project.reference(2), who=77)
    for _ in range(2):
        found, _ = taken(settings, project)
        assert [found[n].made.annotators for n in (1, 2)] == [(3,), (4,)]
    assert store.figures("annotators") == {"numbers": {"812": 3, "77": 4}}


def test_another_store_than_the_backend_s_is_refused_for_other_slices_may_be_held_out(settings):
    project = Crowd()
    project.draw(2, project.reference(2))
    project._served = "r0003-abcdef"
    with pytest.raises(ExportError, match="QUORUM_DATA_DIR"):
        taken(settings, project)
    assert Store(settings.store_root, 1).sides() == {}
