"""Where slices lie in their series."""

import numpy as np
import pytest

from ml_backend.learning.depths import relative_depths
from ml_backend.learning.held_out import Unit


def units(*rows):
    return [
        Unit(str(number), patient, series, position)
        for number, (patient, series, position) in enumerate(rows)
    ]


def test_a_series_runs_from_0_to_1_whatever_its_offset_order_and_spacing():
    found = relative_depths(
        units(("A", "1", -30.0), ("A", "1", 10.0), ("A", "1", -20.0), ("A", "2", 5.0))
        + units(("A", "2", 7.5), ("A", "2", 10.0))
    )
    assert found == pytest.approx([0, 1, 0.25, 0, 0.5, 1])


def test_equal_names_of_series_of_two_patients_are_two_series():
    rows = [("A", "1", 0), ("A", "1", 1), ("B", "1", 100), ("B", "1", 101)]
    rows += [("A", "1", 4), ("B", "1", 102)]
    assert relative_depths(units(*rows)) == pytest.approx([0, 0.25, 0, 0.5, 1, 1])


@pytest.mark.parametrize(
    "rows",
    [
        [("A", None, 1.0), ("A", None, 2.0), ("A", None, 3.0)],
        [("A", "1", None), ("A", "1", None), ("A", "1", None)],
        [("A", "1", 1.0), ("A", "1", 2.0), ("A", "1", 2.0), ("A", "1", 1.0)],
        [("A", "1", 2.0)] * 3,
        [("A", "1", 1.0), ("A", "1", 2.0), ("A", "2", 3.0)],
    ],
    ids=["no series", "no positions", "two positions", "one position", "short series"],
)
def test_without_a_series_positions_or_a_between_no_depth_is_known(rows):
    assert np.isnan(relative_depths(units(*rows))).all()


def test_a_slice_without_a_position_has_no_depth_and_spoils_no_others():
    found = relative_depths(units(*[("A", "1", z) for z in (3.0, None, 1.0, 2.0)]))
    assert found == pytest.approx([1, np.nan, 0, 0.5], nan_ok=True)
    assert relative_depths([]).shape == (0,)
