"""What a window hides is seen in another view."""

import numpy as np
import pytest

from importer.burned_in import hidden_views, text_boxes

from .drawing import covered, written

LOW, HIGH = 2000, 3600


def shown(stored):
    return np.clip((stored.astype(float) - LOW) / (HIGH - LOW) * 255, 0, 255).astype(np.uint8)


def frame(ground, ink):
    """A 12-bit frame with a collimated strip of `ground`, a line of `ink` on it, and the line."""
    letters, line = written(np.zeros((256, 320), np.uint8), "HOLM, Ana 1950", 8, 20, 20)
    stored = np.tile(np.linspace(LOW, HIGH, 320).astype(np.uint16), (256, 1))
    stored[:60] = ground
    stored[letters > 127] = ink
    return stored, line


@pytest.mark.parametrize(("ground", "ink"), [(0, 900), (900, 0), (3700, 4095), (4095, 3700)])
def test_text_on_one_side_of_the_window_is_seen_in_a_view(ground, ink):
    stored, line = frame(ground, ink)
    assert not text_boxes(shown(stored))
    found = [box for view in hidden_views(stored, shown(stored)) for box in text_boxes(view)]
    assert covered(line, found) >= 0.9


def test_text_of_padding_values_within_the_window_is_seen_in_a_view():
    stored, line = frame(0, 3000)
    picture = np.where(stored == 3000, 0, shown(stored)).astype(np.uint8)  # padding is black
    found = [box for view in hidden_views(stored, picture) for box in text_boxes(view)]
    assert covered(line, found) >= 0.9


def test_text_that_a_window_far_too_wide_flattens_is_seen_in_a_view():
    stored, line = frame(0, 900)
    picture = (stored >> 8).astype(np.uint8)
    found = [box for view in hidden_views(stored, picture) for box in text_boxes(view)]
    assert covered(line, found) >= 0.9


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3)])
def test_a_picture_that_shows_every_value_has_no_other_view(shape):
    stored = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert hidden_views(stored, stored) == ()


def test_a_flat_frame_has_no_other_view():
    assert hidden_views(np.full((8, 8), 7, np.int16), np.zeros((8, 8), np.uint8)) == ()


def test_colours_by_palette_are_viewed_by_their_indices():
    stored = np.arange(64, dtype=np.uint8).reshape(8, 8)
    (view,) = hidden_views(stored, np.zeros((8, 8, 3), np.uint8))
    assert view.shape == (8, 8) and len(np.unique(view)) == 64
    assert (view.min(), view.max()) == (0, 255)


def test_signed_values_are_stretched_over_their_own_range():
    stored = np.array([[-32768, -1000], [0, 32767]], np.int16)
    (view,) = hidden_views(stored, np.array([[0, 0], [0, 255]], np.uint8))
    assert view.tolist() == [[0, 247], [255, 255]]
