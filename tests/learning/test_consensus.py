"""Consensus of annotators, and the figures of their agreement."""

import sys

import numpy as np
import pytest

from ml_backend.learning.consensus import (
    agreement,
    agreements,
    disagreement,
    majority,
    staple,
    staple_estimate,
)
from ml_backend.learning.metrics import cohen_kappa, confusion, dice, foreground_mean

Y, X = np.mgrid[:96, :96]


def disc(row, column, radius):
    return ((Y - row) ** 2 + (X - column) ** 2 <= radius**2).astype(np.uint8)


def truth():
    """A large class and a small one beside it."""
    label_map = disc(50, 40, 20)
    label_map[disc(50, 52, 7) > 0] = 2
    return label_map


def noisy(label_map, errors, seed):
    """One rater for each share of pixels that he labels at random."""
    generator = np.random.default_rng(seed)
    raters = []
    for share in errors:
        wrong = generator.random(label_map.shape) < share
        drawn = generator.integers(0, 3, label_map.shape, dtype=np.uint8)
        raters.append(np.where(wrong, drawn, label_map))
    return np.stack(raters)


def quality(reference, found):
    return foreground_mean(dice(confusion(reference, found, 3)))


def test_the_majority_wins_and_a_tie_goes_to_background():
    a, b, c = (np.array([[v]], np.uint8) for v in (0, 1, 2))
    assert majority(np.stack([b, b, a]))[0, 0] == 1
    assert majority(np.stack([c, c, b]))[0, 0] == 2
    assert majority(np.stack([a, c]))[0, 0] == 0
    with pytest.raises(ValueError, match="A, H, W"):
        majority(a)


def test_the_class_that_weighs_most_wins_and_a_tie_goes_to_the_lowest():
    a, b, c = (np.array([[v]], np.uint8) for v in (0, 1, 2))
    assert majority(np.stack([a, b, b]), [1, 0.4, 0.4])[0, 0] == 0
    assert majority(np.stack([a, b, b]), [1, 0.6, 0.6])[0, 0] == 1
    assert majority(np.stack([c, b]), [0.5, 0.5])[0, 0] == 1
    assert majority(np.stack([a, c]), [0, 0.1])[0, 0] == 2
    # Ten tenths are as much as one, whatever their sum is in floating point.
    assert majority(np.stack([a, *[b] * 10]), [1, *[0.1] * 10])[0, 0] == 0
    raters = noisy(truth(), [0.2, 0.4, 0.5], 3)
    assert np.array_equal(majority(raters), majority(raters, [3, 3, 3]))


@pytest.mark.parametrize("wrong", [[1.0], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")]])
def test_weights_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="weight"):
        majority(np.zeros((2, 4, 4), np.uint8), wrong)


@pytest.mark.parametrize("seed", range(3))
def test_staple_recovers_the_truth_from_noisy_raters_better_than_the_majority(seed):
    pytest.importorskip("SimpleITK")
    raters = noisy(truth(), [0.05, 0.1, 0.5, 0.6, 0.6], seed)
    found = staple(raters)
    assert found.dtype == np.uint8 and found.shape == (96, 96)
    assert quality(truth(), found) > 0.92
    assert quality(truth(), found) > quality(truth(), majority(raters)) + 0.1


def test_staple_trusts_the_rater_who_errs_least():
    pytest.importorskip("SimpleITK")
    raters = noisy(truth(), [0.02, 0.6, 0.6], 0)
    assert quality(truth(), staple(raters)) > 0.85 > quality(truth(), majority(raters))


def test_staple_keeps_a_small_lesion_that_one_of_three_missed():
    pytest.importorskip("SimpleITK")
    lesion = disc(30, 30, 3)
    assert np.array_equal(staple(np.stack([lesion, lesion, lesion * 0])), lesion)
    assert staple(np.stack([lesion, lesion * 0, lesion * 0])).sum() == 0


def test_staple_keeps_class_numbers_with_gaps_and_repeats_itself():
    pytest.importorskip("SimpleITK")
    raters = noisy(truth(), [0.1, 0.1, 0.1], 1)
    renamed = np.array([0, 7, 200], np.uint8)
    assert np.array_equal(renamed[staple(raters)], staple(renamed[raters]))
    assert np.array_equal(staple(raters), staple(raters.copy()))


def test_two_annotators_or_none_that_differ_need_no_staple():
    left, right = disc(40, 30, 10), disc(40, 45, 10)
    assert np.array_equal(staple(np.stack([left, right])), left & right)
    assert np.array_equal(staple(np.stack([left] * 4)), left)
    assert not staple(np.zeros((3, 8, 8), np.uint8)).any()
    with pytest.raises(ValueError, match="A, H, W"):
        staple(left)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ImportError, match="pip install SimpleITK"):
        staple(noisy(truth(), [0.1, 0.1, 0.1], 0))


def test_staple_knows_how_often_each_annotator_sees_a_class_where_it_is():
    pytest.importorskip("SimpleITK")
    raters = noisy(truth(), [0.05, 0.1, 0.5, 0.6, 0.6], 0)
    real = [np.mean([(r == c)[truth() == c].mean() for c in (1, 2)]) for r in raters]
    assert staple_estimate(raters).sensitivity == pytest.approx(real, abs=0.02)
    whole, part = disc(30, 30, 10), disc(30, 30, 5)
    assert staple_estimate(np.stack([whole, whole, part])).sensitivity == pytest.approx(
        [1, 1, part.sum() / whole.sum()], abs=0.01
    )


def test_staple_tells_nothing_of_too_few_annotators_or_of_who_weighs_nothing():
    pytest.importorskip("SimpleITK")
    raters = noisy(truth(), [0.1, 0.2, 0.3, 0.6], 0)
    assert np.isnan(staple_estimate(raters[:2]).sensitivity).all()
    assert np.isnan(staple_estimate(raters, [1, 1, 1, 0]).sensitivity).tolist() == [0, 0, 0, 1]
    assert np.array_equal(staple(raters, [1, 1, 1, 0]), staple(raters[:3]))
    assert np.array_equal(staple(raters, [1, 0.1, 0, 0]), raters[0])
    assert np.array_equal(staple(raters, [1, 0.5, 0.2, 0.1]), staple(raters))


def test_disagreement_is_the_mean_over_the_pairs_and_empty_masks_agree():
    left, right = np.zeros((2, 6, 6), np.uint8)
    left[:, :3], right[:, 3:] = 1, 1
    nothing = np.zeros_like(left)
    assert disagreement(np.stack([left, left, right]), 2) == pytest.approx(2 / 3)
    assert disagreement(np.stack([nothing, nothing]), 2) == 0
    assert disagreement(np.stack([nothing, nothing, left]), 2) == pytest.approx(2 / 3)
    assert np.isnan(disagreement(left[None], 2))


def test_agreement_of_the_same_mask_is_one_and_of_disjoint_ones_zero():
    left, right = np.zeros((2, 6, 6), np.uint8)
    left[:, :3], right[:, 3:] = 1, 1
    assert agreement(np.stack([left, left]), 2) == 1.0
    assert agreement(np.stack([left, right]), 2) == 0.0


def test_agreement_counts_the_pixels_that_each_two_have_in_common():
    first, second = (noisy(truth(), [0.1, 0.2, 0.5], seed) for seed in (0, 1))
    slices = [
        {"Ana": first[0], "Bo": first[1], "Cy": first[2]},
        {"Bo": second[1], "Ana": second[0]},
        {"Cy": second[2]},
    ]
    pairs, each = agreements(slices, 3)
    assert set(pairs) == {("Ana", "Bo"), ("Ana", "Cy"), ("Bo", "Cy")}
    together = confusion(first[0], first[1], 3) + confusion(second[0], second[1], 3)
    assert pairs["Ana", "Bo"].dice == pytest.approx(foreground_mean(dice(together)))
    assert pairs["Ana", "Bo"].kappa == pytest.approx(cohen_kappa(together))
    assert [pairs[p].slices for p in sorted(pairs)] == [2, 1, 1]
    assert {name: each[name].slices for name in each} == {"Ana": 2, "Bo": 2, "Cy": 1}
    with_others = confusion(first[1], first[0], 3) + confusion(first[1], first[2], 3)
    with_others += confusion(second[1], second[0], 3)
    assert each["Bo"].dice == pytest.approx(foreground_mean(dice(with_others)))
    assert each["Bo"].kappa == pytest.approx(cohen_kappa(with_others))
    assert each["Ana"].kappa > each["Bo"].kappa > each["Cy"].kappa


def test_one_annotator_agrees_with_nobody():
    assert agreements([{"Ana": truth()}, {}], 3) == ({}, {})
