"""Selection strategies against brute force and their bounds."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ml_backend.learning.strategies import (
    STRATEGIES,
    Candidates,
    cold_start,
    descriptor_type,
    k_centre,
    power_noised,
    two_stage,
    two_stage_coverage,
    two_stage_stratified,
    typical,
)
from ml_backend.learning.strategies.spread import k_means


def pool(seed, count=40, dimensions=6):
    generator = np.random.default_rng(seed)
    return generator.random(count), generator.normal(size=(count, dimensions))


def candidates_of(seed, count=40, dimensions=6, labelled=4):
    generator = np.random.default_rng([seed, 1])
    uncertainty, descriptors = pool(seed, count, dimensions)
    return Candidates(
        uncertainty=uncertainty,
        entropy=generator.random(count),
        bald=generator.random(count),
        mc_dropout=generator.random(count),
        descriptors=descriptors,
        shares=generator.dirichlet([8, 1, 1], count),
        labelled=generator.normal(size=(labelled, dimensions)),
        foreground=np.maximum(0, generator.random(count) - 0.5),
        seed=seed,
    )


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def two_stage_by_the_book(uncertainty, descriptors, K, k):
    """Eq. 1 and 2 word for word: recomputed from scratch for each choice."""
    candidates = sorted(range(len(uncertainty)), key=lambda i: (-uncertainty[i], i))[:K]
    chosen = candidates[:1]
    while len(chosen) < min(k, len(candidates)):
        rest = [i for i in candidates if i not in chosen]
        chosen.append(
            min(rest, key=lambda i: max(cosine(descriptors[i], descriptors[j]) for j in chosen))
        )
    return chosen


def coverage(chosen, descriptors, labelled=()):
    """Yang et al.'s F: each slice's likeness to the most similar one chosen or labelled, summed."""
    representatives = [descriptors[i] for i in chosen] + list(labelled)
    return sum(max(cosine(r, d) for r in representatives) for d in descriptors)


def two_stage_coverage_by_the_book(uncertainty, descriptors, K, k, labelled=()):
    candidates = sorted(range(len(uncertainty)), key=lambda i: (-uncertainty[i], i))[:K]
    chosen = []
    while len(chosen) < min(k, len(candidates)):
        rest = [i for i in candidates if i not in chosen]
        chosen.append(max(rest, key=lambda i: coverage([*chosen, i], descriptors, labelled)))
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_two_stage_is_the_papers_rule(seed):
    uncertainty, descriptors = pool(seed)
    expected = two_stage_by_the_book(uncertainty, descriptors, K=15, k=6)
    assert two_stage(uncertainty, descriptors, 15, 6).tolist() == expected
    chosen = STRATEGIES["two-stage"].select(candidates_of(seed), 15, 6)
    assert chosen.tolist() == expected


@pytest.mark.parametrize("seed", range(8))
def test_two_stage_entropy_is_the_papers_rule_by_entropy(seed):
    candidates = candidates_of(seed)
    expected = two_stage_by_the_book(candidates.entropy, candidates.descriptors, K=15, k=6)
    assert STRATEGIES["two-stage-entropy"].select(candidates, 15, 6).tolist() == expected


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("labels", [0, 3])
def test_coverage_is_yangs_greedy_rule(seed, labels):
    candidates = candidates_of(seed, count=30, labelled=labels)
    uncertainty, descriptors = candidates.uncertainty, candidates.descriptors
    expected = two_stage_coverage_by_the_book(uncertainty, descriptors, 14, 6, candidates.labelled)
    assert two_stage_coverage(uncertainty, descriptors, 14, 6, candidates.labelled).tolist() == (
        expected
    )
    assert STRATEGIES["two-stage-coverage"].select(candidates, 14, 6).tolist() == expected


def test_coverage_without_kept_similarities_is_the_same(monkeypatch):
    uncertainty, descriptors = pool(2, count=300)
    kept = two_stage_coverage(uncertainty, descriptors, 120, 30)
    rules = "ml_backend.learning.strategies.coverage."
    monkeypatch.setattr(rules + "_MOST_KEPT", 0)
    monkeypatch.setattr(rules + "BLOCK", 7)
    assert two_stage_coverage(uncertainty, descriptors, 120, 30).tolist() == kept.tolist()


def test_coverage_takes_the_crowd_where_the_papers_rule_takes_the_outlier():
    crowd = np.array([[1, 0.05 * i] for i in range(5)] + [[0.05 * i, 1] for i in range(5)])
    descriptors = np.concatenate([crowd, [[-1.0, -1.0]]])
    uncertainty = np.linspace(1, 0.5, 11)
    assert two_stage(uncertainty, descriptors, 11, 2).tolist()[1] == 10
    assert {i // 5 for i in two_stage_coverage(uncertainty, descriptors, 11, 2)} == {0, 1}


def test_coverage_passes_over_what_is_labelled_and_takes_the_more_uncertain_of_copies():
    descriptors = np.array([[1.0, 0]] * 6 + [[0, 1.0]] * 3)
    uncertainty = np.array([9, 8, 7, 6, 5, 4, 1, 3, 2.0])
    chosen = two_stage_coverage(uncertainty, descriptors, 9, 3, labelled=np.array([[2.0, 0]]))
    assert chosen.tolist() == [7, 0, 1]


def test_two_stage_never_takes_a_slice_outside_the_K_most_uncertain():
    uncertainty, descriptors = pool(0)
    top = set(np.argsort(-uncertainty)[:10])
    assert set(two_stage(uncertainty, descriptors, 10, 10)) == top
    assert set(two_stage_coverage(uncertainty, descriptors, 10, 10)) == top


def test_two_stage_passes_over_copies():
    descriptors = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [-1, 0]])
    uncertainty = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert two_stage(uncertainty, descriptors, 5, 3).tolist() == [0, 4, 3]


def test_two_stage_does_not_see_the_length_of_a_descriptor():
    uncertainty, descriptors = pool(1)
    scaled = descriptors * np.random.default_rng(2).uniform(0.1, 10, (len(descriptors), 1))
    for rule in (two_stage, two_stage_coverage):
        first, second = (rule(uncertainty, d, 20, 8) for d in (descriptors, scaled))
        assert first.tolist() == second.tolist()


def test_the_classes_take_turns_so_that_a_rare_one_gets_slices():
    _, descriptors = pool(7, count=60)
    uncertainty = np.linspace(1, 0, 60)  # the rare class is among the least uncertain
    shares = np.zeros((60, 3))
    shares[:40, 1], shares[54:58, 2] = 0.2, 0.01
    shares[:, 0] = 1 - shares.sum(axis=1)
    chosen = two_stage_stratified(uncertainty, descriptors, shares, 20, 7)
    assert chosen[0] == 54  # the most uncertain of the rarest class
    assert [54 <= i < 58 for i in chosen] == [True, False] * 3 + [True]
    assert chosen.max() < 58 and not set(range(40, 54)) & set(chosen.tolist())
    likeness = [cosine(descriptors[i], descriptors[54]) for i in range(16)]
    assert chosen[1] == np.argmin(likeness)  # its class keeps 10, and the 6 the other lacks
    # What the classes cannot fill goes to slices without any.
    everyone = two_stage_stratified(uncertainty, descriptors, shares, 60, 60)
    assert sorted(everyone.tolist()) == list(range(60))
    assert set(everyone[-16:].tolist()) == {*range(40, 54), 58, 59}


def test_without_a_predicted_class_the_stratified_rule_is_two_stage():
    uncertainty, descriptors = pool(8)
    shares = np.tile([1.0, 0, 0], (40, 1))
    assert np.array_equal(
        two_stage_stratified(uncertainty, descriptors, shares, 15, 6),
        two_stage(uncertainty, descriptors, 15, 6),
    )


@pytest.mark.parametrize("name", ["uncertainty", "entropy", "bald", "mc-dropout"])
def test_a_ranking_takes_the_highest_of_its_own_score(name):
    candidates = candidates_of(9)
    scores = getattr(candidates, name.replace("-", "_"))
    chosen = STRATEGIES[name].select(candidates, 12, 5)
    assert chosen.tolist() == sorted(range(40), key=lambda i: -scores[i])[:5]


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("count", [0, 1, 3, 40])
@pytest.mark.parametrize("labels", [0, 4])
def test_every_strategy_gives_k_distinct_slices_or_all_there_are(name, count, labels):
    chosen = STRATEGIES[name].select(candidates_of(3, count, labelled=labels), 12, 5)
    assert chosen.dtype == np.int64
    assert len(chosen) == len(set(chosen.tolist())) == min(5, count)
    assert all(0 <= index < count for index in chosen)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_repeats_itself_and_changes_nothing(name):
    candidates, untouched = candidates_of(4), candidates_of(4)
    first, second = (STRATEGIES[name].select(candidates, 12, 5) for _ in range(2))
    assert np.array_equal(first, second)
    for field in ("uncertainty", "descriptors", "labelled", "shares"):
        assert np.array_equal(getattr(candidates, field), getattr(untouched, field))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_chooses_among_copies_of_one_slice(name):
    count = 30
    same = replace(
        candidates_of(5, count),
        uncertainty=np.zeros(count),
        descriptors=np.zeros((count, 6)),
        shares=np.tile([0.5, 0.5, 0.0], (count, 1)),
        labelled=np.zeros((3, 6)),
        foreground=np.zeros(count),
    )
    assert len(set(STRATEGIES[name].select(same, 30, 30).tolist())) == 30


@pytest.mark.parametrize("name", ["random", "random-foreground", "power"])
def test_chance_follows_the_seed(name):
    batches = [
        tuple(STRATEGIES[name].select(replace(candidates_of(6), seed=s), 40, 8)) for s in range(5)
    ]
    assert len(set(batches)) == 5


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize(
    ("changes", "K", "k", "words"),
    [
        ({}, 2, 3, "k must be at most K = 2"),
        ({}, 2, 0, "k must be at least 1"),
        ({"uncertainty": np.array([1, np.nan, 1])}, 2, 1, "finite"),
        ({"descriptors": np.full((3, 6), np.inf)}, 2, 1, "finite"),
        ({"descriptors": np.ones((4, 6))}, 2, 1, "N = 3"),
        ({"uncertainty": np.ones((3, 1))}, 2, 1, r"\(N,\)"),
        ({"entropy": np.ones(4)}, 2, 1, "entropy must be"),
        ({"shares": np.ones(3)}, 2, 1, r"\(N, C\)"),
        ({"labelled": np.ones((2, 5))}, 2, 1, "D = 6"),
    ],
)
def test_bad_arguments_are_refused_with_their_bound(name, changes, K, k, words):
    with pytest.raises(ValueError, match=words):
        STRATEGIES[name].select(replace(candidates_of(1, 3), **changes), K, k)


def test_a_score_that_was_not_computed_is_refused_by_the_strategy_that_needs_it_alone():
    missing = np.full(40, np.nan)
    candidates = replace(
        candidates_of(1), entropy=missing, bald=missing, mc_dropout=missing, foreground=None
    )
    needy = {"entropy", "bald", "mc-dropout", "random-foreground", "two-stage-entropy"}
    for name, strategy in STRATEGIES.items():
        if name in needy:
            with pytest.raises(ValueError, match=r"finite|only a simulation"):
                strategy.select(candidates, 12, 5)
        else:
            assert len(strategy.select(candidates, 12, 5)) == 5


def test_the_registry_says_what_each_strategy_needs():
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        assert strategy.note and "\n" not in strategy.note
    assert STRATEGIES["mc-dropout"].training == {"dropout": 0.2, "passes": 8}
    assert "LABEL LEAK" in STRATEGIES["random-foreground"].note
    # What labelled slices look like changes the choice of those that say so, and of no other.
    candidates = candidates_of(10)
    moved = replace(candidates, labelled=candidates.descriptors[:4] * 1.01)
    for strategy in STRATEGIES.values():
        same = np.array_equal(*(strategy.select(c, 30, 8) for c in (candidates, moved)))
        assert same is not strategy.uses_labelled, strategy.name


def test_two_of_three_foreground_stratified_slices_hold_foreground_small_and_large():
    candidates = candidates_of(11, count=200)
    foreground = np.zeros(200)
    foreground[:30] = np.linspace(0.01, 0.3, 30)
    chosen = STRATEGIES["random-foreground"].select(
        replace(candidates, foreground=foreground), 9, 9
    )
    holds = (chosen < 30).tolist()
    assert holds[:2] == holds[3:5] == holds[6:8] == [True, True]
    # One from each of six strata: the rest of the nine may add others.
    assert {i // 5 for i in chosen[np.isin(np.arange(9), [0, 1, 3, 4, 6, 7])]} == set(range(6))


def bare(candidates):
    """The same candidates, their descriptors not read yet."""
    return replace(candidates, descriptors=np.zeros((0, 6)), described=np.zeros(0, np.int64))


# Chosen by these strategies before descriptors were read in parts and blocks.
CHOSEN = {
    "bald": [2, 13, 33, 17, 19],
    "entropy": [10, 6, 28, 29, 34],
    "k-centre": [23, 22, 4, 33, 31],
    "mc-dropout": [36, 30, 20, 18, 19],
    "power": [8, 11, 26, 25, 16],
    "random": [37, 0, 12, 7, 35],
    "random-foreground": [13, 12, 0, 21, 20],
    "two-stage": [1, 32, 17, 27, 21],
    "two-stage-coverage": [37, 30, 9, 21, 23],
    "two-stage-depth": [1, 32, 17, 27, 21],
    "two-stage-narrowing": [1, 32, 17, 27, 21],
    "two-stage-entropy": [10, 3, 6, 34, 35],
    "two-stage-stratified": [1, 30, 17, 37, 27],
    "typical": [29, 13, 32, 5, 20],
    "uncertainty": [1, 21, 37, 25, 17],
}


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_reading_descriptors_in_parts_changes_no_choice(name):
    assert STRATEGIES[name].select(candidates_of(12), 12, 5).tolist() == CHOSEN[name]


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("count", [0, 3, 40])
def test_a_strategy_reads_no_more_descriptors_than_it_says(name, count):
    candidates, asked = candidates_of(3, count), []

    def read(indices):
        asked.extend(indices.tolist())
        return candidates.descriptors[indices]

    strategy = STRATEGIES[name]
    chosen = strategy.choose(bare(candidates), 12, 5, read)
    assert np.array_equal(chosen, strategy.select(candidates, 12, 5))
    assert asked == strategy.first_stage(bare(candidates), 12, 5).tolist()
    assert (
        len(asked) == {"nothing": 0, "candidates": min(12, count), "pool": count}[strategy.looks_at]
    )


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_descriptors_that_a_strategy_needs_and_are_not_there_are_missed(name):
    candidates = bare(candidates_of(3))
    if STRATEGIES[name].looks_at == "nothing":
        assert len(STRATEGIES[name].select(candidates, 12, 5)) == 5
    else:
        with pytest.raises(ValueError, match="descriptors"):
            STRATEGIES[name].select(candidates, 12, 5)


def test_descriptors_are_found_by_slice_in_any_order():
    candidates = candidates_of(3)
    kept = np.array([7, 30, 2])
    some = replace(candidates, descriptors=candidates.descriptors[kept], described=kept)
    assert np.array_equal(some.rows(np.array([2, 7])), candidates.descriptors[[2, 7]])
    with pytest.raises(ValueError, match="not there"):
        some.rows(np.array([2, 8]))
    with pytest.raises(ValueError, match=r"\(R, D\) with R = 2"):
        STRATEGIES["random"].select(replace(some, described=kept[:2]), 12, 5)


POOL_WIDE = sorted(name for name, s in STRATEGIES.items() if s.looks_at == "pool")


@pytest.mark.parametrize("name", POOL_WIDE)
def test_half_precision_is_reckoned_with_in_single(name):
    candidates = candidates_of(14, count=200, dimensions=64)
    # Squares of these would overflow half precision.
    half = replace(candidates, descriptors=(candidates.descriptors * 300).astype(np.float16))
    single = replace(candidates, descriptors=half.descriptors.astype(np.float32))
    chosen = [STRATEGIES[name].select(c, 40, 8).tolist() for c in (half, single)]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("name", POOL_WIDE)
def test_a_large_pool_is_gone_through_in_blocks(name, monkeypatch):
    rules = "ml_backend.learning.strategies."
    monkeypatch.setattr(rules + "directions._MOST_HELD", 0)
    monkeypatch.setattr(rules + "spread._MOST_CLUSTERED", 500)
    monkeypatch.setattr(rules + "clusters._MOST_COMPARED", 50)
    for module in ("directions", "coverage"):
        monkeypatch.setattr(rules + module + ".BLOCK", 256)
    descriptors = np.random.default_rng(0).random((40_000, 128)).astype(np.float16)
    candidates = replace(candidates_of(15, 40_000, 2), descriptors=descriptors)
    candidates = replace(candidates, labelled=candidates.labelled[:, :1].repeat(128, axis=1))
    tracemalloc.start()
    try:
        chosen = STRATEGIES[name].select(candidates, 8, 8)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(set(chosen.tolist())) == 8
    # A copy in single precision would be twice the descriptors.
    kept = 8 * 40_000 * 4 if name == "two-stage-coverage" else 0
    assert most - kept < descriptors.nbytes


def test_coverage_of_a_pool_whose_directions_are_not_held_is_the_same(monkeypatch):
    uncertainty, descriptors = pool(4, count=300)
    held = two_stage_coverage(uncertainty, descriptors, 120, 30)
    monkeypatch.setattr("ml_backend.learning.strategies.directions._MOST_HELD", 0)
    assert two_stage_coverage(uncertainty, descriptors, 120, 30).tolist() == held.tolist()


def test_typical_slices_of_a_large_pool_come_from_its_clusters_though_a_sample_made_them(
    monkeypatch,
):
    monkeypatch.setattr("ml_backend.learning.strategies.spread._MOST_CLUSTERED", 60)
    features = clusters([400, 300, 200, 100], spread=0.5)
    first, second, third, fourth = typical(features, 4, seed=0)
    assert first < 400 <= second < 700 <= third < 900 <= fourth


def test_a_pool_is_kept_in_half_precision_only_where_it_would_take_a_gibibyte():
    assert descriptor_type(200_000, 1024) == np.float32
    assert descriptor_type(1_000_000, 1024) == np.float16


def test_power_draws_in_proportion_to_the_score():
    generator = np.random.default_rng(0)
    scores = np.array([1.0, 2.0, 7.0, 0.0])
    first = [power_noised(scores, 1, generator)[0] for _ in range(4000)]
    share = np.bincount(first, minlength=4) / 4000
    assert share == pytest.approx([0.1, 0.2, 0.7, 0.0], abs=0.03)
    assert power_noised(scores, 4, generator)[-1] == 3
    sure = [power_noised(scores, 1, generator, beta=50.0)[0] for _ in range(50)]
    assert set(sure) == {2}
    with pytest.raises(ValueError, match="beta must be above 0"):
        power_noised(scores, 1, generator, beta=0)


def test_descriptors_without_a_direction_do_no_harm():
    assert len(two_stage(np.arange(4.0), np.zeros((4, 3)), 4, 3)) == 3
    assert len(two_stage_coverage(np.arange(4.0), np.zeros((4, 3)), 4, 3)) == 3


def clusters(sizes, spread=0.1, seed=6):
    generator = np.random.default_rng(seed)
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    return np.concatenate(
        [
            c + generator.normal(scale=spread, size=(n, 2))
            for c, n in zip(centres, sizes, strict=True)
        ]
    )


def test_a_cold_start_begins_with_the_middle_of_each_cluster_the_largest_first():
    sizes = [40, 30, 20, 10]
    features = clusters(sizes, spread=0.5)
    for seed in range(3):
        chosen = cold_start(features, 8, seed)
        for index, start, size in zip(chosen, np.cumsum([0, *sizes]), sizes, strict=False):
            members = features[start : start + size]
            middle = np.linalg.norm(members - members.mean(axis=0), axis=1)
            assert index == start + np.argmin(middle)


@pytest.mark.parametrize("seed", range(3))
def test_a_cold_start_ends_with_the_farthest_from_all_before(seed):
    _, descriptors = pool(seed)
    chosen = cold_start(descriptors, 7, seed).tolist()
    assert len(set(chosen)) == 7
    for place in range(3, 7):
        before = descriptors[chosen[:place]]
        distance = [np.linalg.norm(before - d, axis=1).min() for d in descriptors]
        assert chosen[place] == np.argmax(distance)


def test_a_cold_start_of_one_is_the_slice_nearest_the_mean():
    features = np.random.default_rng(0).normal(size=(50, 6))
    (chosen,) = cold_start(features, 1)
    assert chosen == np.argmin(np.linalg.norm(features - features.mean(axis=0), axis=1))


def test_a_cold_start_larger_than_the_slices_that_differ_has_each_slice_once():
    features = np.repeat(np.eye(3), 4, axis=0)
    chosen = cold_start(features, 9)
    assert len(set(chosen.tolist())) == 9
    assert {int(index) // 4 for index in chosen[:3]} == {0, 1, 2}
    assert sorted(cold_start(features, 99)) == list(range(12))


def volumes(count, length, generator):
    """Descriptors (N, 2) of volumes whose slices change along a curve, and their depths (N,)."""
    depths = np.tile(np.linspace(0, 1, length), count)
    curve = np.stack([10 * depths, 5 * np.sin(3 * depths)], axis=1)
    return curve + generator.normal(scale=0.2, size=curve.shape), depths


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 13])
def test_a_cold_start_of_volumes_is_the_usual_slice_of_each_depth(k):
    descriptors, depths = volumes(6, 13, np.random.default_rng(k))
    chosen = cold_start(descriptors, k, 0, depths)
    order = np.argsort(depths, kind="stable")
    strata = np.array_split(order, k)
    expected = set()
    for stratum in strata:
        rows = descriptors[stratum]
        distance = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
        expected.add(int(stratum[np.argmin(distance)]))
    assert set(chosen.tolist()) == expected and len(expected) == k
    assert chosen[0] in strata[k // 2]  # whoever labels a single one sees the middle


@pytest.mark.parametrize("k", [4, 8, 16])
def test_the_first_half_of_a_cold_start_of_volumes_is_spread_too(k):
    descriptors, depths = volumes(10, 33, np.random.default_rng(0))
    first = np.sort(depths[cold_start(descriptors, k, 0, depths)[: k // 2]])
    assert np.diff(np.concatenate([[0], first, [1]])).max() < 2.5 / (k // 2)


def test_slices_of_unknown_depth_have_their_share_of_a_cold_start_as_ever():
    generator = np.random.default_rng(1)
    of_volumes, depths = volumes(4, 15, generator)
    single = generator.normal(size=(20, 2)) + 40
    both = np.concatenate([single, of_volumes])
    every = np.concatenate([np.full(20, np.nan), depths])
    chosen = cold_start(both, 8, 3, every)
    assert [index >= 20 for index in chosen] == [True] * 6 + [False] * 2
    assert chosen[:6].tolist() == (cold_start(of_volumes, 6, 3, depths) + 20).tolist()
    assert chosen[6:].tolist() == cold_start(single, 2, 3).tolist()
    for unknown in (None, np.full(20, np.nan)):
        assert cold_start(single, 5, 3, unknown).tolist() == cold_start(single, 5, 3).tolist()


@pytest.mark.parametrize("known", [0, 1, 5, 9, 10])
@pytest.mark.parametrize("k", [1, 4, 9, 10, 99])
def test_a_cold_start_has_no_slice_twice_whatever_is_known(known, k):
    descriptors = np.random.default_rng(known).normal(size=(10, 3))
    depths = np.full(10, np.nan)
    depths[:known] = np.linspace(0, 1, known)
    chosen = cold_start(descriptors, k, 0, depths).tolist()
    assert len(set(chosen)) == len(chosen) == min(k, 10)


def test_depths_that_are_not_of_the_slices_are_refused():
    with pytest.raises(ValueError, match="10 slices need as many depths"):
        cold_start(np.zeros((10, 2)), 3, 0, np.zeros(9))
    with pytest.raises(ValueError, match="k must be at least 1"):
        cold_start(np.zeros((10, 2)), 0, 0, np.zeros(10))
    assert len(cold_start(np.zeros((0, 2)), 3, 0, np.zeros(0))) == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("labels", [0, 3])
def test_k_centre_is_the_farthest_first_rule(seed, labels):
    _, descriptors = pool(seed)
    labelled = np.random.default_rng(seed).normal(size=(labels, 6))
    chosen = k_centre(descriptors, 6, labelled).tolist()
    centres = list(labelled)
    if not labels:
        middle = descriptors.mean(axis=0)
        assert chosen[0] == np.argmin(np.linalg.norm(descriptors - middle, axis=1))
        centres.append(descriptors[chosen[0]])
    for nearer, index in pairwise(chosen) if not labels else enumerate(chosen):
        distance = [min(np.linalg.norm(d - c) for c in centres) for d in descriptors]
        assert index == np.argmax(distance), nearer
        centres.append(descriptors[index])


def test_typical_slices_are_in_the_middle_of_the_largest_clusters():
    features = clusters([40, 30, 20, 10], spread=0.5)
    first, second, third, fourth = typical(features, 4, seed=0)
    assert first < 40 <= second < 70 <= third < 90 <= fourth
    for index, members in [(first, range(40)), (second, range(40, 70))]:
        to_others = [
            np.linalg.norm(features - features[i], axis=1)[members].mean() for i in members
        ]
        typicality_rank = np.argsort(np.argsort(to_others))[index - members[0]]
        assert typicality_rank < len(members) / 4


def test_typical_slices_come_from_clusters_without_a_label():
    features = clusters([40, 30, 20, 10])
    labelled = np.array([[0, 0], [10, 0.0]])
    assert all(index >= 70 for index in typical(features, 2, seed=0, labelled=labelled))


def test_k_means_finds_clusters_that_stand_apart():
    features = clusters([40, 30, 20, 10]).astype(np.float32)
    assigned, centres = k_means(features, 4, seed=1)
    assert sorted(np.bincount(assigned).tolist()) == [10, 20, 30, 40]
    for c in range(4):
        assert centres[c] == pytest.approx(features[assigned == c].mean(axis=0), abs=1e-4)


def test_an_outlier_is_the_second_of_k_centre_not_typical_and_no_middle_of_a_cold_start():
    features = np.concatenate([clusters([20] * 4), [[90.0, 90.0]]])
    assert 80 in k_centre(features, 2)
    assert 80 not in typical(features, 4, seed=0)
    assert 80 not in cold_start(features, 8)[:4]
