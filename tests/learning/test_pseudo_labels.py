"""Labels that a committee gives itself."""

from dataclasses import replace

import numpy as np
import torch

from ml_backend.learning.committee import train_committee
from ml_backend.learning.geometry import IGNORE
from ml_backend.learning.pseudo_labels import agreed, pseudo_labels

from .shapes import SMALL, discs, one_thread  # noqa: F401


def certain(label_map, p=0.95):
    """Probabilities (2, H, W) of a member that is sure of a label map (H, W)."""
    foreground = np.where(label_map == 1, p, 1 - p)
    return torch.from_numpy(np.stack([1 - foreground, foreground])).float()


def test_only_pixels_that_all_members_give_the_same_class_surely_have_a_label():
    disc = np.zeros((6, 6), np.uint8)
    disc[1:5, 1:5] = 1
    smaller = disc.copy()
    smaller[1] = 0
    found = agreed(torch.stack([certain(disc), certain(smaller)])[:, None], 0.9)[0].numpy()
    assert (found[disc != smaller] == IGNORE).all()
    assert np.array_equal(found[disc == smaller], disc[disc == smaller])
    unsure = agreed(torch.stack([certain(disc), certain(disc, 0.8)])[:, None], 0.9)[0]
    assert (unsure == IGNORE).all()  # mean 0.875


def test_a_slice_whose_foreground_is_disputed_is_left_out_though_its_background_is_not():
    left, right = np.zeros((2, 1, 8, 8), np.uint8)
    left[0, :4, :4], right[0, :4, 2:6] = 1, 1
    members = torch.stack([certain(left[0]), certain(right[0])])[:, None]
    assert (agreed(members, 0.9) == IGNORE).all()
    assert (agreed(members, 0.9, least=0.2) != IGNORE).any()


def test_what_members_take_padding_for_decides_nothing():
    disc, own = np.zeros((2, 8, 8), np.uint8)
    disc[1:4, 1:4], own[:5] = 1, 1
    first, second = disc.copy(), disc.copy()
    first[5:, :4], second[5:, 4:] = 1, 1  # each dreams up something else below the slice
    members = torch.stack([certain(first), certain(second)])[:, None]
    assert (agreed(members, 0.9) == IGNORE).all()
    found = agreed(members, 0.9, torch.from_numpy(own == 1)[None])[0].numpy()
    assert np.array_equal(found, np.where(own == 1, disc, IGNORE))


def test_slices_that_all_take_for_empty_teach_background():
    empty = certain(np.zeros((4, 4), np.uint8))
    assert (agreed(torch.stack([empty, empty])[:, None], 0.9) == 0).all()


def test_pseudo_labels_are_nearly_right_and_leave_padding_out():
    settings = replace(SMALL, confidence=0.6)
    committee = train_committee(*discs(6), ["disc"], settings, seed=1)
    images, labels = discs(8, seed=5)
    squares, maps = pseudo_labels(committee.members, [*images, images[0][:20]], 1, settings)
    assert squares.shape == maps.shape and 3 <= len(squares) <= 9
    for square, found in zip(squares, maps, strict=True):
        same = [n for n, image in enumerate(images) if np.array_equal(image, square)]
        if same:
            sure = found != IGNORE
            assert sure.mean() > 0.5
            assert (found[sure] == labels[same[0]][sure]).mean() > 0.98
        else:
            assert (found[20:] == IGNORE).all()
    none, _ = pseudo_labels(committee.members, [], 1, settings)
    assert none.shape == (0, 32, 32)
