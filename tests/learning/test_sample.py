"""The part of a sequence that is looked at."""

from ml_backend.learning.sample import evenly


def test_a_part_is_evenly_spread_and_holds_both_ends():
    assert evenly("abcdefghi", 3) == ["a", "e", "i"]
    assert len(set(evenly(range(5000), 2000))) == 2000


def test_a_short_sequence_is_taken_whole():
    assert evenly([4, 2], 3) == [4, 2]
    assert evenly([], 3) == []
