"""One task's annotations against the target they make, and what people are told about them."""

import numpy as np
import pytest

from ml_backend.label_studio import Annotation
from ml_backend.masks import BrushConfig, encode_rle
from ml_backend.masks.targets import target_of

CONFIG = BrushConfig("mask", "image", "image", ("Lesion",))
SIDE = 12
EMPTY = np.zeros((SIDE, SIDE), np.uint8)


def square(first, last):
    drawn = EMPTY.copy()
    drawn[first:last, first:last] = 1
    return drawn


SMALL, MIDDLE, LARGE = square(4, 8), square(3, 9), square(2, 10)


def regions(drawn):
    value = {"format": "rle", "rle": encode_rle(drawn > 0), "brushlabels": ["Lesion"]}
    size = {"original_width": SIDE, "original_height": SIDE}
    return [{"type": "brushlabels", "value": value, **size}] if drawn.any() else []


BROKEN = [{"type": "brushlabels", "value": {"brushlabels": ["Bone"]}}]


def annotation(id, annotator, drawn, second=0.0, ground_truth=False):
    whole, fraction = f"{second:09.6f}".split(".")
    stamp = f"2026-11-21T10:00:{whole}" + (f".{fraction}" if int(fraction) else "") + "Z"
    return Annotation(
        id=id,
        task_id=1,
        updated_at=stamp,
        annotator=annotator,
        regions=drawn if isinstance(drawn, list) else regions(drawn),
        ground_truth=ground_truth,
    )


def target(*annotations, **how):
    return target_of(annotations, CONFIG, SIDE, SIDE, **how)


def test_one_annotator_is_the_target_and_disagrees_with_nobody():
    made, complaints = target(annotation(5, 7, SMALL))
    assert np.array_equal(made.label_map, SMALL) and complaints == []
    assert made.used == [(5, "2026-11-21T10:00:00Z")]
    assert set(made.by_annotator) == {7} and np.isnan(made.disagreement)
    assert not made.ground_truth


def test_several_annotators_are_joined_and_their_disagreement_is_known():
    made, complaints = target(
        annotation(1, 7, SMALL), annotation(2, 8, MIDDLE), annotation(3, 9, LARGE)
    )
    assert np.array_equal(made.label_map, MIDDLE) and complaints == []
    dices = [2 * a / (a + b) for a, b in ((16, 36), (16, 64), (36, 64))]
    assert made.disagreement == pytest.approx(1 - np.mean(dices))
    assert sorted(id for id, _ in made.used) == [1, 2, 3]
    assert all(
        np.array_equal(made.by_annotator[who], drawn)
        for who, drawn in ((7, SMALL), (8, MIDDLE), (9, LARGE))
    )


def test_an_annotation_without_a_region_says_that_there_is_nothing():
    made, complaints = target(annotation(1, 7, EMPTY))
    assert not made.label_map.any() and complaints == []
    both, _ = target(annotation(1, 7, EMPTY), annotation(2, 8, EMPTY))
    assert both.disagreement == 0
    one, _ = target(annotation(1, 7, EMPTY), annotation(2, 8, SMALL))
    assert one.disagreement == 1 and not one.label_map.any()


def test_a_ground_truth_alone_is_the_target_whatever_the_others_drew():
    made, complaints = target(
        annotation(1, 7, SMALL, ground_truth=True),
        annotation(2, 8, LARGE, second=1),
        annotation(3, 9, LARGE, second=2),
        consensus="staple",
    )
    assert np.array_equal(made.label_map, SMALL) and complaints == []
    assert made.used == [(1, "2026-11-21T10:00:00Z")] and made.ground_truth
    assert made.disagreement == 0 and set(made.by_annotator) == {7, 8, 9}
    assert made.label_map is made.by_annotator[7]  # readers.readings() knows by this who drew it


def test_of_several_ground_truths_the_newest_counts_and_it_is_said():
    made, complaints = target(
        annotation(1, 7, SMALL, second=5.5, ground_truth=True),
        annotation(2, 8, LARGE, second=5, ground_truth=True),
    )
    assert np.array_equal(made.label_map, SMALL)
    assert len(complaints) == 1 and "annotation 1, the newest, counts" in complaints[0]


def test_an_unusable_ground_truth_settles_nothing():
    made, complaints = target(
        annotation(1, 7, BROKEN, ground_truth=True),
        annotation(2, 8, SMALL),
        annotation(3, 9, LARGE),
    )
    assert not made.ground_truth and made.disagreement > 0
    assert [id for id, _ in made.used] == [2, 3]
    assert (
        "annotation 1 is left out: region 1: the label config has no label 'Bone'" in complaints[0]
    )


def test_an_annotator_s_newest_annotation_counts_once():
    made, complaints = target(
        annotation(9, 7, SMALL, second=3), annotation(4, 7, LARGE, second=3.25)
    )
    assert np.array_equal(made.label_map, LARGE) and complaints == []
    assert [id for id, _ in made.used] == [4] and np.isnan(made.disagreement)
    same_time, _ = target(annotation(9, 7, SMALL), annotation(4, 7, LARGE))
    assert [id for id, _ in same_time.used] == [9]


def test_an_older_annotation_stands_in_for_one_that_cannot_be_used():
    made, complaints = target(annotation(1, 7, SMALL), annotation(2, 7, BROKEN, second=1))
    assert np.array_equal(made.label_map, SMALL) and "annotation 2" in complaints[0]
    made, complaints = target(annotation(1, 7, BROKEN), annotation(2, 7, SMALL, second=1))
    assert np.array_equal(made.label_map, SMALL) and complaints == []  # mended: nothing to say


def test_an_unusable_annotation_among_good_ones_is_left_out_and_said():
    made, complaints = target(annotation(1, 7, SMALL), annotation(2, 8, BROKEN))
    assert np.array_equal(made.label_map, SMALL) and [id for id, _ in made.used] == [1]
    assert np.isnan(made.disagreement) and len(complaints) == 1


def test_without_a_usable_annotation_there_is_no_target():
    assert target() == (None, [])
    made, complaints = target(annotation(1, 7, BROKEN), annotation(2, 8, BROKEN))
    assert made is None and len(complaints) == 2


def test_annotations_of_nobody_known_count_each_for_itself():
    made, _ = target(annotation(1, 0, SMALL), annotation(2, 0, MIDDLE), annotation(3, 0, LARGE))
    assert np.array_equal(made.label_map, MIDDLE) and set(made.by_annotator) == {-1, -2, -3}


def test_weights_shift_the_majority():
    three = annotation(1, 7, SMALL), annotation(2, 8, LARGE), annotation(3, 9, LARGE)
    assert np.array_equal(target(*three)[0].label_map, LARGE)
    assert np.array_equal(target(*three, weights={8: 0.4, 9: 0.4})[0].label_map, SMALL)
    assert np.array_equal(target(*three, weights={8: 0.5, 9: 0.6})[0].label_map, LARGE)
    with pytest.raises(ValueError, match="weights"):
        target(*three, weights={8: -1})


@pytest.mark.parametrize("consensus", ["majority", "staple"])
def test_who_weighs_nothing_counts_neither_in_the_target_nor_in_the_disagreement(consensus):
    pytest.importorskip("SimpleITK")
    made, _ = target(
        *(annotation(n, n, SMALL) for n in (1, 2, 3)),
        annotation(4, 4, LARGE),
        consensus=consensus,
        weights={4: 0},
    )
    assert np.array_equal(made.label_map, SMALL) and made.disagreement == 0
    assert [id for id, _ in made.used] == [1, 2, 3] and 4 in made.by_annotator


def test_no_label_is_lost_because_its_only_annotator_weighs_nothing():
    made, complaints = target(annotation(1, 7, SMALL), weights={7: 0})
    assert np.array_equal(made.label_map, SMALL) and "weight 0" in complaints[0]


def test_staple_is_the_consensus_where_it_is_asked_for():
    pytest.importorskip("SimpleITK")
    generator = np.random.default_rng(0)
    noise = [np.where(generator.random(EMPTY.shape) < 0.4, 1, EMPTY) for _ in range(4)]
    drawn = [MIDDLE, MIDDLE, *((MIDDLE ^ n).astype(np.uint8) for n in noise)]
    all_ = [annotation(n + 1, n + 1, m) for n, m in enumerate(drawn)]
    assert np.array_equal(target(*all_, consensus="staple")[0].label_map, MIDDLE)
    with pytest.raises(KeyError):
        target(*all_, consensus="vote")


@pytest.mark.parametrize(
    "stamp", ["", "yesterday", "2026-11-21T10:00:00", "2026-11-21T10:00:00+01:00"]
)
def test_a_time_of_any_form_is_no_reason_to_fail(stamp):
    old = Annotation(id=1, task_id=1, updated_at=stamp, annotator=7, regions=regions(SMALL))
    made, _ = target(old, annotation(2, 7, LARGE, second=30))
    assert [id for id, _ in made.used] == [2]
