"""Metrics against their definitions."""

import numpy as np
import pytest

from ml_backend.learning.consensus import agreement, majority
from ml_backend.learning.metrics import confusion, dice, foreground_mean, iou, report


def maps(seed):
    return np.random.default_rng(seed).integers(0, 3, (2, 20, 30), dtype=np.uint8)


def test_iou_and_dice_are_their_definitions():
    reference, predicted = maps(0)
    counts = confusion(reference, predicted, 3)
    for c in range(3):
        a, b = reference == c, predicted == c
        assert iou(counts)[c] == pytest.approx((a & b).sum() / (a | b).sum())
        assert dice(counts)[c] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_ignored_pixels_do_not_count():
    reference, predicted = maps(1)
    reference[:10] = 255
    assert np.array_equal(
        confusion(reference, predicted, 3), confusion(reference[10:], predicted[10:], 3)
    )


def test_a_class_absent_from_both_is_left_out_of_the_mean():
    counts = confusion(np.array([[0, 1]], np.uint8), np.array([[0, 1]], np.uint8), 3)
    assert np.isnan(iou(counts)[2])
    assert foreground_mean(iou(counts)) == 1.0


def test_nothing_but_background_has_no_score_and_stays_valid_json():
    empty = np.zeros((4, 4), np.uint8)
    figures = report(confusion(empty, empty, 2), ["lesion"])
    assert figures == {
        "mean_iou": None,
        "dice": None,
        "classes": {"lesion": {"iou": None, "dice": None}},
    }


def test_other_shapes_and_unknown_classes_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    with pytest.raises(ValueError, match="not below 2"):
        confusion(np.full((2, 2), 2, np.uint8), np.zeros((2, 2), np.uint8), 2)


def test_the_majority_wins_and_a_tie_goes_to_background():
    a, b, c = (np.array([[v]], np.uint8) for v in (0, 1, 2))
    assert majority(np.stack([b, b, a]))[0, 0] == 1
    assert majority(np.stack([c, c, b]))[0, 0] == 2
    assert majority(np.stack([a, c]))[0, 0] == 0
    with pytest.raises(ValueError, match="A, H, W"):
        majority(a)


def test_agreement_of_the_same_mask_is_one_and_of_disjoint_ones_zero():
    left, right = np.zeros((2, 6, 6), np.uint8)
    left[:, :3], right[:, 3:] = 1, 1
    assert agreement(np.stack([left, left]), 2) == 1.0
    assert agreement(np.stack([left, right]), 2) == 0.0
