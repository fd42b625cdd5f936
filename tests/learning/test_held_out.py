"""Which slices are held out."""

import numpy as np
import pytest

from ml_backend.learning.held_out import Side, Unit, divide, evaluation_subset


def patients(count, slices=5):
    return [
        Unit(f"{p}-{s}", f"patient {p}", f"series {p}", float(s))
        for p in range(count)
        for s in range(slices)
    ]


def split(units, key=b"key", fraction=0.2, decided=None):
    return divide(units, key, fraction, slab_mm=10.0, decided=decided)


@pytest.mark.parametrize("count", [2, 3, 10, 200])
def test_no_patient_stands_on_both_sides_and_no_side_is_empty(count):
    units = patients(count)
    for key in (b"a", b"b", b"c", b"d"):
        found = split(units, key)
        assert np.array_equal(found.whole, found.held_out)
        sides = [
            {u.patient for u, flag in zip(units, found.held_out, strict=True) if bool(flag) is side}
            for side in (True, False)
        ]
        assert len(sides[0]) == max(1, round(count / 5))
        assert not sides[0] & sides[1]


@pytest.mark.parametrize("first", [1, 2, 50])
def test_patients_that_come_later_move_nobody_and_keep_the_share(first):
    units = patients(80)
    sides, out = {}, np.zeros(0, bool)
    for count in range(first, 81):
        found = split(units[: count * 5], decided=sides)
        assert np.array_equal(found.held_out[: len(out)], out)
        sides, out = found.sides, found.held_out
        assert count == 1 or list(sides.values()).count("held out") == max(1, round(count / 5))


def test_a_single_patient_who_comes_when_all_others_are_deleted_is_divided():
    sides = split(patients(1, slices=30)).sides
    newcomer = [Unit(f"new-{s}", "new", "series", float(s)) for s in range(30)]
    found = split(newcomer, decided=sides)
    assert found.held_out.any() and not found.held_out.all()
    assert found.sides.items() >= sides.items()


@pytest.mark.parametrize("key", [b"1", b"2", b"3", b"4"])
def test_nor_are_the_newcomer_s_slices_all_on_one_side_where_positions_are_unknown(key):
    sides = split([Unit(f"old-{s}", "old") for s in range(9)], key).sides
    found = split([Unit("new-0", "new"), Unit("new-1", "new")], key, decided=sides)
    assert found.held_out.sum() == 1


@pytest.mark.parametrize("count", [2, 3, 10])
def test_however_large_the_fraction_one_patient_is_left_to_train_on(count):
    found = split(patients(count), fraction=0.9)
    assert 0 < found.held_out.sum() < len(found.held_out)


def test_another_key_divides_otherwise():
    units = patients(50)
    assert not np.array_equal(split(units, b"a").held_out, split(units, b"b").held_out)


def test_a_single_patient_is_divided_by_whole_slabs():
    units = [Unit(str(z), "p", "s", float(z)) for z in range(138)]
    found = split(units)
    assert not found.whole.any()
    for slab in range(14):
        assert len(set(found.held_out[slab * 10 : slab * 10 + 10].tolist())) == 1
    assert 0.1 < found.held_out.mean() < 0.35


def test_the_first_patients_slabs_stay_when_others_come():
    one = [Unit(str(z), "p", "s", float(z)) for z in range(138)]
    alone = split(one)
    later = split([*one, *patients(9)], decided=alone.sides)
    assert np.array_equal(later.held_out[:138], alone.held_out)
    assert not later.whole[:138].any()
    assert later.whole[138:].sum() == 2 * 5


KEYS = [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("key", KEYS)
def test_a_series_that_ends_before_its_start_has_a_slab_held_out(key):
    found = split([Unit(str(z), "p", "s", float(z)) for z in range(24)], key)
    assert 4 <= found.held_out.sum() <= 10


@pytest.mark.parametrize("key", KEYS)
def test_slices_that_arrive_one_by_one_never_change_sides_but_for_new_ones(key):
    units = [Unit(f"{s}{z}", "p", s, float(z)) for z in range(60) for s in "st"]
    sides, before = {}, {}
    for count in range(1, len(units) + 1):
        found = split(units[:count], key, decided=sides)
        sides = found.sides
        now = dict(zip((u.slice_id for u in units), found.held_out.tolist(), strict=False))
        assert {name: now[name] for name in before} == before
        assert any(now.values()) or len({unit.position_mm // 10 for unit in units[:count]}) == 1
        before = now


@pytest.mark.parametrize("key", KEYS)
def test_a_single_slab_is_trained_on(key):
    assert not split([Unit(str(z), "p", "s", float(z)) for z in range(5)], key).held_out.any()


def unplaced(count):
    return [Unit(f"slice {n}", "p") for n in range(count)]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [2, 5, 11])
def test_of_a_single_patient_without_positions_some_are_held_out_and_never_all(key, count):
    assert 0 < split(unplaced(count), key).held_out.sum() < count
    assert not split(unplaced(1), key).held_out.any()


@pytest.mark.parametrize("key", KEYS)
def test_slices_without_positions_that_arrive_one_by_one_stay_where_they_are(key):
    units, sides, before = unplaced(30), {}, np.zeros(0, bool)
    for count in range(1, 31):
        found = split(units[:count], key, decided=sides)
        assert np.array_equal(found.held_out[: count - 1], before)
        assert count == 1 or 0 < found.held_out.sum() < count
        sides, before = found.sides, found.held_out


@pytest.mark.parametrize("key", KEYS)
def test_slices_that_an_earlier_release_divided_without_keeping_it_stay_where_they_are(key):
    units, earlier = unplaced(4), {"p": Side.DIVIDED}
    # By the hash of each alone: of a single one each time, which nothing is moved for.
    alone = [bool(split([unit], key, decided=earlier).held_out[0]) for unit in units]
    found = split(units, key, decided=earlier)
    assert found.held_out.tolist() == alone
    later = split(unplaced(9), key, decided=found.sides)
    assert later.held_out[:4].tolist() == alone
    assert 0 < later.held_out.sum() < 9


@pytest.mark.parametrize("key", KEYS)
def test_a_slice_without_position_beside_slabs_on_both_sides_is_divided_as_it_falls(key):
    slabs = [Unit(str(z), "p", "s", float(z)) for z in range(60)]
    one = Unit("one", "p")
    beside = split([*slabs, one], key)
    assert np.array_equal(beside.held_out[:60], split(slabs, key).held_out)
    alone = split([one], key, decided={"p": Side.DIVIDED})
    assert beside.held_out[60] == alone.held_out[0]


def test_slices_of_unknown_origin_are_divided_one_by_one():
    found = split([Unit(str(n)) for n in range(500)])
    assert found.held_out.sum() == 100


def test_an_empty_or_single_pool_is_no_error():
    assert split([]).held_out.shape == (0,)
    assert split([Unit("only", "p", "s", 0.0)]).held_out.shape == (1,)


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
        divide(patients(2), b"key", fraction, slab_mm)
