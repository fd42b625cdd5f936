"""Two-stage selection by depth, against the rule word for word."""

from dataclasses import replace

import numpy as np
import pytest

from ml_backend.learning.strategies import STRATEGIES, two_stage, two_stage_depth
from tests.learning.test_strategies import candidates_of

STRATEGY = STRATEGIES["two-stage-depth"]


def by_the_book(uncertainty, descriptors, depths, K, k):
    """K by uncertainty, cut into k equal parts by depth: of each the one nearest its mean."""
    kept = sorted(range(len(uncertainty)), key=lambda i: (-uncertainty[i], i))[:K]
    chosen = set()
    for stratum in np.array_split(sorted(kept, key=lambda i: depths[i]), k):
        middle = np.mean([descriptors[i] for i in stratum], axis=0)
        distance = {int(i): round(np.linalg.norm(descriptors[i] - middle), 6) for i in stratum}
        chosen.add(min(distance, key=lambda i: (distance[i], kept.index(i))))
    return chosen


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("K", "k"), [(30, 1), (18, 6), (20, 7), (9, 9), (99, 5)])
def test_of_the_most_uncertain_each_depth_gives_its_usual_one(seed, K, k):
    candidates = candidates_of(seed)
    depths = np.random.default_rng(seed).permutation(40) / 39
    chosen = two_stage_depth(candidates.uncertainty, candidates.descriptors, depths, K, k)
    expected = by_the_book(candidates.uncertainty, candidates.descriptors, depths, K, k)
    assert set(chosen.tolist()) == expected and len(chosen) == k
    told = replace(candidates, depths=depths)
    assert STRATEGY.select(told, K, k).tolist() == chosen.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_without_any_depth_it_is_the_papers_rule(seed):
    candidates = candidates_of(seed)
    uncertainty, descriptors = candidates.uncertainty, candidates.descriptors
    expected = two_stage(uncertainty, descriptors, 15, 6).tolist()
    nothing_known = np.full(40, np.nan)
    assert two_stage_depth(uncertainty, descriptors, nothing_known, 15, 6).tolist() == expected
    for depths in (None, nothing_known):
        found = STRATEGY.select(replace(candidates, depths=depths), 15, 6)
        assert found.tolist() == expected


def test_slices_with_and_without_a_depth_have_their_shares():
    candidates = candidates_of(3)
    depths = np.where(np.arange(40) % 4 > 0, np.arange(40) / 39, np.nan)
    uncertainty = np.ones(40)
    chosen = two_stage_depth(uncertainty, candidates.descriptors, depths, 40, 8)
    assert np.isfinite(depths[chosen]).tolist() == [True] * 6 + [False] * 2
    single = np.flatnonzero(np.isnan(depths))
    assert (
        chosen[6:].tolist()
        == single[two_stage(np.ones(10), candidates.descriptors[single], 10, 2)].tolist()
    )


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("known", [0, 1, 5])
def test_fewer_candidates_than_asked_for_are_all_chosen_once(count, known):
    candidates = candidates_of(4, count)
    depths = np.full(count, np.nan)
    depths[:known] = 0.5
    chosen = STRATEGY.select(replace(candidates, depths=depths), 9, 7)
    assert sorted(chosen.tolist()) == list(range(count))


def test_depths_that_do_not_fit_are_refused():
    candidates = candidates_of(5)
    with pytest.raises(ValueError, match=r"depths must be \(N,\): their shape is \(39,\)"):
        two_stage_depth(candidates.uncertainty, candidates.descriptors, np.zeros(39), 9, 3)
    with pytest.raises(ValueError, match=r"depths must be \(N,\) with N = 40"):
        STRATEGY.select(replace(candidates, depths=np.zeros(39)), 9, 3)
    with pytest.raises(ValueError, match="k must be at most K"):
        two_stage_depth(candidates.uncertainty, candidates.descriptors, np.zeros(40), 3, 9)


def test_an_odd_slice_that_the_papers_rule_takes_is_not_usual_at_any_depth():
    depths = np.tile(np.linspace(0, 1, 9), 4)
    descriptors = np.stack([1 + depths, 2 - depths], axis=1)
    descriptors[[4, 20]] = [[-1, -1], [-1, 1]]
    uncertainty = np.linspace(1, 0.5, 36)
    assert {4, 20} <= set(two_stage(uncertainty, descriptors, 36, 4).tolist())
    assert not {4, 20} & set(two_stage_depth(uncertainty, descriptors, depths, 36, 4).tolist())
