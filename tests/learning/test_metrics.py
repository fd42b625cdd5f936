"""Metrics against their definitions."""

import numpy as np
import pytest

from ml_backend.learning.geometry import IGNORE
from ml_backend.learning.metrics import (
    cohen_kappa,
    confusion,
    dice,
    f1,
    foreground_mean,
    hd95,
    iou,
    mean_by_class,
    mean_iou_by,
    overall_mean,
    report,
)


def maps(seed):
    return np.random.default_rng(seed).integers(0, 3, (2, 20, 30), dtype=np.uint8)


def blobs(seed, shape=(40, 50)):
    """Two label maps of three classes with overlapping discs, as a draft and its reference."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    found = np.zeros((2, *shape), np.uint8)
    for label_map in found:
        for c, centre in ((1, (15, 15)), (2, (22, 32))):
            cy, cx = centre + generator.uniform(-4, 4, 2)
            label_map[(y - cy) ** 2 + (x - cx) ** 2 < generator.uniform(4, 12) ** 2] = c
    return found


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
        "mean_iou_all": 1.0,
        "f1_all": 1.0,
        "classes": {"lesion": {"iou": None, "dice": None}},
    }


def test_other_shapes_and_unknown_classes_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    with pytest.raises(ValueError, match="not below 2"):
        confusion(np.full((2, 2), 2, np.uint8), np.zeros((2, 2), np.uint8), 2)


@pytest.mark.parametrize("seed", range(5))
def test_iou_f1_and_kappa_are_those_of_scikit_learn(seed):
    sklearn = pytest.importorskip("sklearn.metrics")
    reference, predicted = maps(seed)
    counts = confusion(reference, predicted, 3)
    a, b = reference.ravel(), predicted.ravel()
    assert np.array_equal(counts, sklearn.confusion_matrix(a, b))
    assert iou(counts) == pytest.approx(sklearn.jaccard_score(a, b, average=None))
    assert f1(counts) == pytest.approx(sklearn.f1_score(a, b, average=None))
    assert overall_mean(f1(counts)) == pytest.approx(sklearn.f1_score(a, b, average="macro"))
    foreground = sklearn.jaccard_score(a, b, labels=[1, 2], average="macro")
    assert foreground_mean(iou(counts)) == pytest.approx(foreground)
    assert cohen_kappa(counts) == pytest.approx(sklearn.cohen_kappa_score(a, b))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("seed", range(5))
def test_hd95_and_dice_are_those_of_monai(seed):
    monai = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    reference, predicted = blobs(seed)
    hot = [
        torch.from_numpy(np.stack([m == c for c in range(3)])[None]) for m in (predicted, reference)
    ]
    distance = monai.compute_hausdorff_distance(*hot, percentile=95)[0].tolist()
    assert hd95(reference, predicted, 3)[1:] == pytest.approx(distance, rel=1e-5)
    overlap = monai.compute_dice(*hot, include_background=False)[0].tolist()
    assert dice(confusion(reference, predicted, 3))[1:] == pytest.approx(overlap, rel=1e-5)


@pytest.mark.parametrize("spacing_mm", [None, (0.7, 0.7), (2.0, 0.5)])
def test_hd95_is_its_definition_point_by_point(spacing_mm):
    reference, predicted = blobs(7)
    outlines = []
    for mask in (reference == 1, predicted == 1):
        padded = np.pad(mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        outlines.append(np.argwhere(mask & ~inner) * (spacing_mm or (1.0, 1.0)))
    distance = np.linalg.norm(outlines[0][:, None] - outlines[1], axis=2)
    expected = max(np.percentile(distance.min(axis=axis), 95) for axis in (0, 1))
    assert hd95(reference, predicted, 3, spacing_mm)[1] == pytest.approx(expected)


def test_hd95_by_hand():
    reference, predicted = np.zeros((2, 9, 9), np.uint8)
    reference[4, 1], predicted[4, 7] = 1, 1
    assert hd95(reference, predicted, 2)[1] == 6
    assert hd95(reference, predicted, 2, (1.0, 0.5))[1] == 3
    assert hd95(reference, reference, 2)[1] == 0
    volume = np.zeros((2, 3, 4, 5), np.uint8)
    volume[0, 0, 2, 2], volume[1, 2, 2, 2] = 1, 1
    assert hd95(*volume, 2, (5.0, 1.0, 1.0))[1] == 10


def test_a_class_one_side_lacks_is_as_far_as_the_image_allows_and_one_both_lack_is_left_out():
    reference, predicted = np.zeros((2, 30, 40), np.uint8)
    reference[:3, :3] = 1
    for a, b in ((reference, predicted), (predicted, reference)):
        distances = hd95(a, b, 3)
        assert distances[1] == 50
        assert np.isnan(distances[[0, 2]]).all()
    assert hd95(reference, predicted, 2, (0.1, 0.1))[1] == pytest.approx(5)


def test_ignored_pixels_have_no_outline():
    reference, predicted = blobs(3)
    reference[:, 40:] = IGNORE
    marked = predicted.copy()
    marked[:, 40:] = 2
    cleared = np.where(reference == IGNORE, 0, predicted).astype(np.uint8)
    expected = hd95(np.where(reference == IGNORE, 0, reference).astype(np.uint8), cleared, 3)
    assert np.array_equal(hd95(reference, marked, 3), expected, equal_nan=True)


def test_a_wrong_spacing_is_refused():
    reference, predicted = blobs(1)
    for wrong in ((1.0,), (1.0, 0.0), (1.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="2 lengths above 0 mm"):
            hd95(reference, predicted, 3, wrong)
    with pytest.raises(ValueError, match="shapes differ"):
        hd95(reference, predicted[1:], 3)


def test_a_patients_value_counts_his_slices_together():
    counts = [confusion(*maps(seed), 3) for seed in range(3)]
    empty = np.diag([9, 0, 0])
    by_patient = mean_iou_by(["a", "b", "a", "c"], [*counts, empty])
    assert by_patient["a"] == pytest.approx(foreground_mean(iou(counts[0] + counts[2])))
    assert by_patient["b"] == pytest.approx(foreground_mean(iou(counts[1])))
    assert np.isnan(by_patient["c"])
    assert np.array_equal(counts[0], confusion(*maps(0), 3))  # no sum was written into it


def test_distances_are_told_of_each_class_over_the_slices_that_have_it():
    slices = [np.array([np.nan, 2.0, np.nan]), np.array([np.nan, 4.0, np.nan])]
    assert mean_by_class(slices) == pytest.approx([np.nan, 3.0, np.nan], nan_ok=True)
    means = mean_by_class([*slices, np.array([np.nan, np.nan, 7.0])])
    figures = report(confusion(*maps(2), 3), ["a", "b"], {"hd95_mm": means})
    assert [figures["classes"][name]["hd95_mm"] for name in "ab"] == [3.0, 7.0]
    assert figures["hd95_mm"] == 5.0
    unknown = report(confusion(*maps(2), 3), ["a", "b"], {"hd95_mm": np.full(3, np.nan)})
    assert unknown["hd95_mm"] is None and unknown["classes"]["a"]["hd95_mm"] is None


def test_background_counts_in_the_overall_mean_alone():
    figures = report(confusion(*maps(2), 3), ["a", "b"])
    counts = confusion(*maps(2), 3)
    assert figures["mean_iou_all"] == pytest.approx(iou(counts).mean())
    assert figures["f1_all"] == pytest.approx(dice(counts).mean())
    assert figures["mean_iou"] == pytest.approx(iou(counts)[1:].mean())


def test_kappa_by_hand_and_where_it_is_not_defined():
    # 20 of 50 and 15 of 50 agreed: observed 0.7, by chance 0.5.
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)
    assert np.isnan(cohen_kappa(np.array([[50, 0], [0, 0]])))
    assert np.isnan(cohen_kappa(np.zeros((2, 2), int)))
