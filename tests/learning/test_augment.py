"""Random changes of a batch that keep its meaning."""

import pytest
import torch

from ml_backend.learning.augment import augment, share_to_change
from ml_backend.learning.geometry import IGNORE


def batch(count=64, side=32):
    """Slices whose left half is dark and whose right half is bright, labelled so."""
    image = torch.full((count, 1, side, side), 0.3)
    image[:, :, :, side // 2 :] = 0.7
    target = torch.zeros((count, side, side), dtype=torch.long)
    target[:, :, side // 2 :] = 1
    return image, target


def augmented(seed=0, **how):
    return augment(*batch(), torch.Generator().manual_seed(seed), **how)


@pytest.mark.parametrize("mirror", [False, True])
def test_labels_move_with_their_slices(mirror):
    images, labels = augmented(mirror=mirror)
    bright = images[:, 0] > 0.5
    inside = labels != IGNORE
    assert (bright == (labels == 1))[inside].float().mean() > 0.97
    assert 0 < (~inside).float().mean() < 0.2  # what came in from outside


def test_the_same_seed_changes_a_batch_alike_and_another_does_not():
    assert torch.equal(augmented(3)[0], augmented(3)[0])
    assert not torch.equal(augmented(3)[0], augmented(4)[0])


def test_left_stays_left_unless_mirrored():
    def right_is_bright(images):
        return images[:, 0, 8:24, 20:28].mean(dim=(1, 2)) > images[:, 0, 8:24, 4:12].mean(
            dim=(1, 2)
        )

    assert right_is_bright(augmented()[0]).all()
    share = right_is_bright(augmented(mirror=True)[0]).float().mean()
    assert 0.3 < share < 0.7


def test_grey_values_stay_near_what_they_say():
    images, labels = augmented()
    for label, value in ((0, 0.3), (1, 0.7)):
        seen = torch.stack([i[0][t == label].median() for i, t in zip(images, labels, strict=True)])
        assert (seen - value).abs().max() < 0.25
        assert seen.std() > 0.01


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_other_slices_stay_as_they_are(share):
    images, labels = augmented(share=share)
    as_they_are, target = batch()
    same = (
        torch.isclose(images, as_they_are, atol=1e-5)
        .all(dim=(1, 2, 3))
        .logical_and((labels == target).all(dim=(1, 2)))
    )
    assert abs((~same).float().mean().item() - share) < 0.15


def test_what_is_seen_often_is_changed_more():
    assert share_to_change("repeats", slices=100, views=3200) == 0
    assert share_to_change("repeats", slices=100, views=6400) == 0.5
    assert 0.8 < share_to_change("repeats", slices=5, views=1600) < 1
    assert share_to_change("all", 100, 100) == 1 and share_to_change("none", 5, 1600) == 0
