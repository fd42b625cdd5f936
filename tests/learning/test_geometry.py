"""Slices fitted into a square and back."""

import numpy as np
import pytest
import torch

from ml_backend.learning.geometry import (
    IGNORE,
    channels_of,
    fit,
    fit_labels,
    restore,
    thumbnails,
    to_input,
    with_channels,
)


@pytest.mark.parametrize("shape", [(64, 64), (233, 197), (100, 512), (17, 300), (1, 9)])
def test_the_aspect_is_kept_and_the_rest_is_padding(shape):
    image = np.full(shape, 200, np.uint8)
    square, where = fit(image, 64)
    assert square.shape == (64, 64)
    assert max(where.rows, where.columns) == 64
    assert where.rows / where.columns == pytest.approx(shape[0] / shape[1], rel=0.2, abs=1 / 64)
    assert (square[: where.rows, : where.columns] == 200).all()
    assert square[where.rows :].sum() == square[:, where.columns :].sum() == 0
    labels = fit_labels((image > 0).astype(np.uint8), 64)
    assert (labels[: where.rows, : where.columns] == 1).all()
    assert ((labels == IGNORE) == (square == 0)).all()


def test_a_slice_of_the_square_s_own_size_comes_back_exactly():
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    square, where = fit(image, 64)
    assert np.array_equal(square, image)
    planes = torch.from_numpy(square.astype(np.float32))[None]
    assert torch.equal(restore(planes, where), planes)


@pytest.mark.parametrize("shape", [(233, 197), (100, 512), (40, 30)])
def test_what_is_restored_has_the_slice_s_size_and_its_shape_in_place(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    disc = (
        ((y - shape[0] / 2) / shape[0]) ** 2 + ((x - shape[1] / 3) / shape[1]) ** 2 < 0.04
    ).astype(np.uint8)
    square, where = fit(disc * 255, 128)
    back = restore(torch.from_numpy(square.astype(np.float32))[None], where)[0].numpy() > 127
    assert back.shape == shape
    overlap = (back & (disc > 0)).sum() / (back | (disc > 0)).sum()
    assert overlap > 0.95


def discs(big, count=60, seed=0):
    generator = np.random.default_rng(seed)
    r, c = np.mgrid[:big, :big]
    for _ in range(count):
        (y, x), radius = generator.uniform(0.3, 0.7, 2) * big, generator.uniform(0.05, 0.12) * big
        yield ((r - y) ** 2 + (c - x) ** 2 < radius**2).astype(np.uint8)


@pytest.mark.parametrize("ratio", [2, 3, 4, 197 / 64, 40 / 64])
def test_labels_stay_where_they_lie_on_the_slice_and_keep_their_size(ratio):
    big = round(64 * ratio)
    shifts, sizes = [], []
    for disc in discs(big):
        fitted = fit_labels(disc, 64) == 1
        centre = (np.argwhere(fitted).mean(axis=0) + 0.5) * big / 64 - 0.5
        shifts.append(centre - np.argwhere(disc).mean(axis=0))
        sizes.append(fitted.sum() * (big / 64) ** 2 / disc.sum())
    # The nearest neighbour is half a pixel off for even ratios.
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.1
    assert 0.95 < np.mean(sizes) < 1.02


def test_labels_shrink_with_the_slice():
    """What the network sees of a mask drawn as a picture, and its label, are the same shape."""
    for disc in discs(128, 20, seed=1):
        seen, fitted = fit(disc * 255, 64)[0], fit_labels(disc, 64)
        # What has less than half of a pixel may be given to it to keep the disc's size.
        assert (fitted[seen > 128] == 1).all() and (fitted[seen < 100] == 0).all()


def test_a_class_keeps_its_last_pixel_and_pixels_without_a_label_are_no_class():
    label_map = np.zeros((128, 128), np.uint8)
    label_map[41, 83] = 1  # an eighth of a pixel of the square
    label_map[100:102, 20:22] = 2
    label_map[:, 120:] = IGNORE
    fitted = fit_labels(label_map, 32)
    assert [(y, x) for y, x in np.argwhere(fitted == 1)] == [(10, 20)]
    assert (fitted == 2).sum() == 1 and fitted[25, 5] == 2
    assert (fitted[:, 30:] == IGNORE).all() and (fitted[:, :30] != IGNORE).all()
    assert np.array_equal(fit_labels(label_map, 128), label_map)


@pytest.mark.parametrize("width", [1.5, 2])
def test_a_thin_ring_keeps_its_area_all_around(width):
    rows, columns = np.mgrid[:256, :256] - 128.5
    ring = (np.abs(np.hypot(rows, columns) - 90) < width / 2).astype(np.uint8)
    fitted = fit_labels(ring, 64) == 1
    assert fitted.sum() == pytest.approx(ring.sum() / 16, abs=1)
    y, x = np.nonzero(fitted)
    octants = np.floor(np.arctan2(y - 32, x - 32) / np.pi * 4).astype(int)
    assert all((octants == octant).sum() > fitted.sum() / 20 for octant in range(-4, 4))


def test_classes_in_one_pixel_each_keep_one():
    side_by_side = np.zeros((128, 128), np.uint8)
    side_by_side[100, 100], side_by_side[101, 101] = 1, 2
    within = np.zeros((128, 128), np.uint8)
    within[100:104, 100:104] = 1
    within[101, 101] = within[102, 102] = 2
    for label_map in (side_by_side, within):
        assert np.unique(fit_labels(label_map, 32)).tolist() == [0, 1, 2]


def test_thumbnails_are_one_row_a_slice_whatever_their_sizes():
    images = [np.zeros((20, 30), np.uint8), np.full((300, 100), 255, np.uint8)]
    features = thumbnails(images)
    assert features.shape == (2, 256)
    assert features.min() == 0 and features.max() == 1
    assert thumbnails([]).shape == (0, 256)


@pytest.mark.parametrize("shape", [(64, 64), (100, 40), (20, 33)])
def test_each_channel_of_a_colour_slice_is_fitted_as_a_grey_one(shape):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    square, _ = fit(image, 48)
    assert square.shape == (48, 48, 3)
    for channel in range(3):
        assert np.array_equal(square[:, :, channel], fit(image[:, :, channel], 48)[0])
    x = to_input(torch.from_numpy(square[None]))
    assert x.shape == (1, 3, 48, 48)
    assert torch.equal((x[0, 2] * 255).round(), torch.from_numpy(square[:, :, 2]).float())


def test_grey_becomes_colour_and_back_unchanged():
    grey = np.random.default_rng(2).integers(0, 256, (9, 7), dtype=np.uint8)
    colour = with_channels(grey, 3)
    assert colour.shape == (9, 7, 3)
    assert np.array_equal(with_channels(colour, 1), grey)
    assert channels_of([grey]) == 1 and channels_of([grey, colour]) == 3
    assert thumbnails([grey, colour]).shape == (2, 768)
    with pytest.raises(ValueError, match="its shape is"):
        channels_of([np.zeros((4, 4, 2), np.uint8)])
