"""Selection strategies against brute force and their bounds."""

import numpy as np
import pytest

from ml_backend.learning.strategies import STRATEGIES, cold_start, queue_order, two_stage


def pool(seed, count=40, dimensions=6):
    generator = np.random.default_rng(seed)
    return generator.random(count), generator.normal(size=(count, dimensions))


def two_stage_by_the_book(uncertainty, descriptors, K, k):
    """Eq. 1 and 2 word for word: recomputed from scratch for each choice."""
    candidates = sorted(range(len(uncertainty)), key=lambda i: (-uncertainty[i], i))[:K]

    def similarity(i, j):
        a, b = descriptors[i], descriptors[j]
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    chosen = candidates[:1]
    while len(chosen) < min(k, len(candidates)):
        rest = [i for i in candidates if i not in chosen]
        chosen.append(min(rest, key=lambda i: max(similarity(i, j) for j in chosen)))
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_two_stage_is_the_papers_rule(seed):
    uncertainty, descriptors = pool(seed)
    expected = two_stage_by_the_book(uncertainty, descriptors, K=15, k=6)
    assert two_stage(uncertainty, descriptors, 15, 6).tolist() == expected


def test_two_stage_never_takes_a_slice_outside_the_K_most_uncertain():
    uncertainty, descriptors = pool(0)
    top = set(np.argsort(-uncertainty)[:10])
    assert set(two_stage(uncertainty, descriptors, 10, 10)) == top


def test_two_stage_passes_over_copies():
    descriptors = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [-1, 0]])
    uncertainty = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert two_stage(uncertainty, descriptors, 5, 3).tolist() == [0, 4, 3]


def test_two_stage_does_not_see_the_length_of_a_descriptor():
    uncertainty, descriptors = pool(1)
    scaled = descriptors * np.random.default_rng(2).uniform(0.1, 10, (len(descriptors), 1))
    first, second = (two_stage(uncertainty, d, 20, 8) for d in (descriptors, scaled))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_every_strategy_gives_k_distinct_slices_or_all_there_are(name, count):
    chosen = STRATEGIES[name](*pool(3, count), 12, 5)
    assert len(chosen) == len(set(chosen.tolist())) == min(5, count)
    assert all(0 <= index < count for index in chosen)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_repeats_itself(name):
    assert np.array_equal(*(STRATEGIES[name](*pool(4), 12, 5) for _ in range(2)))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize(
    ("uncertainty", "descriptors", "K", "k", "words"),
    [
        (np.ones(3), np.ones((3, 2)), 2, 3, "k must be at most K = 2"),
        (np.ones(3), np.ones((3, 2)), 2, 0, "k must be at least 1"),
        (np.array([1, np.nan, 1]), np.ones((3, 2)), 2, 1, "finite"),
        (np.ones(3), np.full((3, 2), np.inf), 2, 1, "finite"),
        (np.ones(3), np.ones((4, 2)), 2, 1, "N = 3"),
        (np.ones((3, 1)), np.ones((3, 2)), 2, 1, r"\(N,\)"),
    ],
)
def test_bad_arguments_are_refused_with_their_bound(name, uncertainty, descriptors, K, k, words):
    with pytest.raises(ValueError, match=words):
        STRATEGIES[name](uncertainty, descriptors, K, k)


def test_descriptors_without_a_direction_do_no_harm():
    assert len(two_stage(np.arange(4.0), np.zeros((4, 3)), 4, 3)) == 3


def test_the_queue_begins_with_those_selected_and_holds_each_slice_once():
    uncertainty, _ = pool(5)
    order = queue_order(uncertainty, np.array([7, 3]))
    assert order[:2].tolist() == [7, 3]
    assert sorted(order.tolist()) == list(range(40))
    assert (np.diff(uncertainty[order[2:]]) <= 0).all()


def test_a_cold_start_spreads_over_clusters():
    generator = np.random.default_rng(6)
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    features = np.concatenate([c + generator.normal(scale=0.1, size=(20, 2)) for c in centres])
    assert {index // 20 for index in cold_start(features, 4)} == {0, 1, 2, 3}
