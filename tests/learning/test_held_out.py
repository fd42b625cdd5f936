"""Which slices are held out."""

import numpy as np
import pytest

from ml_backend.learning.held_out import Unit, evaluation_subset, held_out


def patients(count, slices=5):
    return [
        Unit(f"{p}-{s}", f"patient {p}", f"series {p}", float(s))
        for p in range(count)
        for s in range(slices)
    ]


def divide(units, key=b"key", fraction=0.2):
    return held_out(units, key, fraction, slab_mm=10.0)


@pytest.mark.parametrize("count", [2, 3, 10, 200])
def test_no_patient_stands_on_both_sides_and_no_side_is_empty(count):
    units = patients(count)
    for key in (b"a", b"b", b"c", b"d"):
        out, unit = divide(units, key)
        assert unit == "patient"
        sides = [
            {u.patient for u, flag in zip(units, out, strict=True) if bool(flag) is side}
            for side in (True, False)
        ]
        assert sides[0] and sides[1]
        assert not sides[0] & sides[1]


def test_the_share_of_patients_is_what_was_asked_for():
    out, _ = divide(patients(2000, slices=1))
    assert out.mean() == pytest.approx(0.2, abs=0.03)


def test_patients_that_come_later_move_nobody():
    few, many = patients(50), patients(80)
    assert np.array_equal(divide(few)[0], divide(many)[0][: len(few)])


def test_another_key_divides_otherwise():
    assert not np.array_equal(divide(patients(50), b"a")[0], divide(patients(50), b"b")[0])


def test_a_single_patient_is_divided_by_whole_slabs():
    units = [Unit(str(z), "p", "s", float(z)) for z in range(138)]
    out, unit = divide(units)
    assert unit == "slab"
    for slab in range(14):
        assert len(set(out[slab * 10 : slab * 10 + 10].tolist())) == 1
    assert 0.1 < out.mean() < 0.35


def test_slices_of_unknown_origin_are_divided_one_by_one():
    units = [Unit(str(n)) for n in range(500)]
    out, unit = divide(units)
    assert unit == "slice"
    assert out.mean() == pytest.approx(0.2, abs=0.06)


def test_an_empty_or_single_pool_is_no_error():
    assert divide([])[0].shape == (0,)
    assert not divide([Unit("only")])[0].any()


def test_the_evaluation_subset_is_spread_evenly_within_its_limit():
    units = [Unit(str(z), "p", "s", float(z)) for z in range(100)]
    eligible = np.zeros(100, bool)
    eligible[20:60] = True
    chosen = np.flatnonzero(evaluation_subset(units, eligible, limit=8))
    assert len(chosen) == 8
    assert set(np.diff(chosen)) == {5}
    assert evaluation_subset(units, eligible, limit=500).sum() == 40


@pytest.mark.parametrize(("fraction", "slab_mm"), [(0, 10), (1, 10), (0.2, 0)])
def test_bounds_are_named(fraction, slab_mm):
    with pytest.raises(ValueError, match="must be"):
        held_out(patients(2), b"key", fraction, slab_mm)
