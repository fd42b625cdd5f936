"""What is noted of one annotation."""

from types import SimpleNamespace

import numpy as np
import pytest

from ml_backend.figures.records import areas, changed, record_of, size_of
from ml_backend.masks import BrushConfig

CONFIG = BrushConfig("mask", "image", "image", ("lesion", "organ"))


def annotation(**fields):
    given = {
        "id": 5,
        "task_id": 7,
        "annotator": 3,
        "created_at": "2026-03-02T08:00:00Z",
        "updated_at": "2026-03-02T08:00:00Z",
        "lead_time_s": 12.5,
        "ground_truth": False,
    }
    return SimpleNamespace(**(given | fields))


def square(size):
    drawn = np.zeros((10, 10), dtype=np.uint8)
    drawn[:size, :size] = 1
    return drawn


def test_what_was_left_as_drafted_is_unchanged():
    assert changed(square(4), square(4), 3) == 0


def test_change_is_one_minus_dice():
    # 16 and 64 pixels, 16 of them in both: Dice is 2 * 16 / 80.
    assert changed(square(4), square(8), 3) == pytest.approx(1 - 32 / 80)


def test_an_empty_draft_left_empty_is_unchanged_and_one_drawn_over_wholly_changed():
    assert changed(square(0), square(0), 3) == 0
    assert changed(square(0), square(4), 3) == 1
    assert changed(square(4), square(0), 3) == 1


def test_without_a_draft_nothing_is_said_of_change():
    assert record_of(annotation(), square(4), None, CONFIG).changed is None
    assert changed(square(4), np.zeros((5, 5), np.uint8), 3) is None


def test_areas_are_shares_of_the_image_by_class():
    assert areas(square(5), CONFIG) == {"lesion": 0.25, "organ": 0.0}
    assert record_of(annotation(), square(5), None, CONFIG).area == 0.25
    assert record_of(annotation(), None, None, CONFIG).area is None


@pytest.mark.parametrize("given", [None, 0, -1.0, float("nan"), float("inf")])
def test_a_time_that_nobody_measured_is_none(given):
    record = record_of(annotation(lead_time_s=given), None, None, CONFIG)
    assert record.lead_time_s is None


def test_size_is_what_the_first_region_says_and_never_absurd():
    said = {"original_width": 30, "original_height": 20}
    assert size_of([None, [{}, "?"], [said]]) == (20, 30)
    assert size_of([[]]) == (1, 1)
    assert size_of([[{"original_width": 10**6, "original_height": 10**6}]]) == (1, 1)
