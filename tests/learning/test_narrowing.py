"""Two-stage selection that narrows, between the strategies that it begins and ends as."""

from dataclasses import replace

import numpy as np
import pytest

from ml_backend.learning.strategies import STRATEGIES, narrowed, two_stage_depth
from tests.learning.test_strategies import candidates_of

STRATEGY = STRATEGIES["two-stage-narrowing"]


@pytest.mark.parametrize(
    ("share", "kept"), [(0.0, 48), (0.05, 44), (0.25, 28), (0.4, 16), (0.5, 8), (0.9, 8)]
)
def test_the_first_stage_keeps_K_at_first_and_k_from_half_on(share, kept):
    assert narrowed(48, 8, share) == kept
    assert narrowed(8, 8, share) == 8


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.49])
def test_it_is_two_stage_by_depth_of_what_the_first_stage_keeps(share):
    depths = np.random.default_rng(1).permutation(40) / 39
    told = replace(candidates_of(1), depths=depths, labelled_share=share)
    kept = narrowed(20, 6, share)
    expected = two_stage_depth(told.uncertainty, told.descriptors, depths, kept, 6)
    assert STRATEGY.select(told, 20, 6).tolist() == expected.tolist()
    if share == 0.0:
        by_depth = STRATEGIES["two-stage-depth"]
        assert STRATEGY.select(told, 20, 6).tolist() == by_depth.select(told, 20, 6).tolist()


@pytest.mark.parametrize("depths", [None, np.arange(40) / 39])
def test_with_half_of_the_pool_labelled_it_takes_the_most_uncertain(depths):
    told = replace(candidates_of(2), depths=depths, labelled_share=0.5)
    uncertain = STRATEGIES["uncertainty"].select(told, 20, 6)
    assert set(STRATEGY.select(told, 20, 6).tolist()) == set(uncertain.tolist())


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="labelled_share must be 0 to 1"):
        STRATEGY.select(replace(candidates_of(0), labelled_share=share), 20, 6)
