"""The committee's drafts of held-out slices against their labels."""

import dataclasses

import numpy as np
import pytest

from ml_backend.committees import load
from ml_backend.gathering import LabelledSet, read_image
from ml_backend.learning.metrics import hd95
from ml_backend.rounds import run_round
from ml_backend.rounds.artefacts import from_labelled, to_labelled
from ml_backend.rounds.evaluate import evaluate
from ml_backend.store import Store
from tests.ml_backend.projects import Project, quick_settings, sides


@dataclasses.dataclass
class Scored:
    draft: np.ndarray


class Fixed:
    """A committee whose drafts are known."""

    class_names = ("disc",)

    def __init__(self, drafts):
        self._drafts = drafts

    def score(self, images):
        return [Scored(draft) for draft, _ in zip(self._drafts, images, strict=True)]


def square(top, left):
    label_map = np.zeros((12, 12), np.uint8)
    label_map[top : top + 3, left : left + 3] = 1
    return label_map


LABELS = [square(2, 2), square(4, 4), np.zeros((12, 12), np.uint8)]
DRAFTS = [square(2, 5), square(4, 4), np.zeros((12, 12), np.uint8)]


def held_out(spacings):
    return LabelledSet([1, 2, 3], LABELS, LABELS, ["a", "a", "b"], "f", spacings=spacings)


@pytest.mark.parametrize(
    ("spacings", "unit", "expected"),
    [
        ([(1.0, 0.5), (0.7, 0.7), (2.0, 2.0)], "mm", 0.75),  # 3 columns of 0.5 mm, and 0
        ([(1.0, 0.5), None, (2.0, 2.0)], "px", 1.5),  # lengths of both kinds make no mean
        ((), "px", 1.5),
    ],
)
def test_distances_are_in_mm_where_it_is_known_of_every_slice(spacings, unit, expected):
    measured = evaluate(Fixed(DRAFTS), held_out(spacings))
    quality = measured.quality(("disc",))
    other = {"mm": "hd95_px", "px": "hd95_mm"}[unit]
    assert quality["classes"]["disc"][f"hd95_{unit}"] == pytest.approx(expected)
    assert quality[f"hd95_{unit}"] == pytest.approx(expected) and other not in quality
    assert quality["classes"]["disc"]["iou"] == pytest.approx(9 / 27)
    assert measured.of_patients(held_out(spacings), "patient")[0] == pytest.approx(9 / 27)


def test_slices_of_one_patient_are_values_of_their_own_only_where_there_is_no_other():
    alone = dataclasses.replace(held_out(()), groups=["a", "a", "a"])
    measured = evaluate(Fixed(DRAFTS), alone)
    assert len(measured.of_patients(alone, "patient")) == 1
    assert len(measured.of_patients(alone, "slab")) == 3


def test_without_held_out_slices_nothing_is_said():
    nobody = LabelledSet([], [], [], [], "f")
    measured = evaluate(Fixed([]), nobody)
    assert measured.quality(("disc",)) is None and measured.of_patients(nobody, "patient") == []


def test_spacings_are_handed_on_and_an_earlier_release_s_set_has_none():
    kept = to_labelled(from_labelled(held_out([(1.0, 0.5), None, (2.0, 2.0)])))
    assert kept.spacings == [(1.0, 0.5), None, (2.0, 2.0)]
    content = from_labelled(held_out(()))
    assert not to_labelled(content).spacings


class Spaced(Project):
    """Slices whose pixels' size is known, of pictures twice as wide as their matrix."""

    def tasks(self, project_id):
        spacing = {"pixel_spacing_mm": [1.0, 4.0], "rows": 16, "columns": 8}
        for task in super().tasks(project_id):
            yield dataclasses.replace(task, data={**task.data, **spacing})


@pytest.mark.parametrize(
    ("kind", "unit", "spacing"), [(Project, "px", None), (Spaced, "mm", (1.0, 2.0))]
)
def test_a_round_keeps_each_class_s_distance(tmp_path, kind, unit, spacing):
    settings, project = quick_settings(tmp_path), kind()
    store = Store(settings.store_root, 1)
    store.keep_sides(sides(project))
    project.annotate([*project.data.test[:2], 0, 1, 2])
    version = run_round(settings, project, 1)["version"]
    committee = load(store, version, project.data.class_names, "cpu", settings.network)
    labelled = [task for task in project.tasks(1) if task.id - 1 in project.data.test[:2]]
    scores = committee.score(read_image(project, task, project.config) for task in labelled)
    distances = [
        hd95(project.data.slices[task.id - 1].label_map, scored.draft, 2, spacing)[1]
        for task, scored in zip(labelled, scores, strict=True)
    ]
    of_class = store.metadata(version)["quality"]["classes"]["disc"]
    assert of_class[f"hd95_{unit}"] == pytest.approx(np.mean(distances))
