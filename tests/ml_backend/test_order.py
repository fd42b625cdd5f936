"""The labelling order: what is selected, the queue behind it, and both as scores."""

import itertools

import numpy as np
import pytest

from ml_backend.learning.strategies import STRATEGIES, Candidates, two_stage
from ml_backend.order import (
    late_score,
    over_all,
    quantiles,
    queue_positions,
    rank_scores,
    select_ids,
)


@pytest.mark.parametrize("count", [0, 1, 7, 10_000])
def test_scores_rise_strictly_within_what_label_studio_accepts(count):
    scores = rank_scores(count)
    assert len(scores) == count
    assert all(0 <= score <= 1 for score in scores)
    assert all(a < b for a, b in itertools.pairwise(scores))


def test_a_late_slice_is_placed_by_its_uncertainty_behind_the_selected_batch():
    pool = quantiles(np.linspace(0, 1, 1000).tolist())
    certain, middling, uncertain = (late_score(u, pool, first=0.1) for u in (0.01, 0.5, 2.0))
    assert 0.1 <= uncertain < middling < certain <= 1.0
    assert middling == pytest.approx(0.55, abs=0.02)


def test_without_a_pool_a_late_slice_comes_last():
    assert late_score(0.3, quantiles([]), first=0.0) == 1.0


def case(seed):
    """A small project in any state: ties, unreadable images, batches with what is gone in them."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(0, 25))
    task_ids = np.sort(generator.choice(100, count, replace=False)).astype(np.int64)
    flags = {
        name: generator.random(count) < share
        for name, share in [("open_", 0.8), ("wanted", 0.15), ("held_out", 0.3)]
    }
    uncertainty = generator.integers(0, 5, count) / 4.0
    uncertainty[generator.random(count) < 0.15] = np.nan
    among = np.concatenate([task_ids, [500, 501]])
    selected = generator.permutation(among)[: int(generator.integers(0, 6))].tolist()
    return task_ids, flags, uncertainty, selected


def queue_by_the_book(task_ids, open_, wanted, held_out, uncertainty, selected):
    """Group after group, each in its order; a task stands where it is named first."""
    every = range(len(task_ids))
    pool = [n for n in every if not np.isnan(uncertainty[n])]
    by_uncertainty = sorted(pool, key=lambda n: -uncertainty[n])
    place = {int(task_id): n for n, task_id in enumerate(task_ids)}
    ordered = [
        *(n for n in every if wanted[n]),
        *(place[i] for i in selected if i in place),
        *(n for n in by_uncertainty if not held_out[n]),
        *by_uncertainty,
        *every,
    ]
    return [int(task_ids[n]) for n in dict.fromkeys(ordered) if open_[n]]


@pytest.mark.parametrize("seed", range(200))
def test_the_queue_is_the_one_of_lists(seed):
    task_ids, flags, uncertainty, selected = case(seed)
    served = queue_positions(task_ids, **flags, uncertainty=uncertainty, selected=selected)
    assert served.dtype == np.int64
    assert served.tolist() == queue_by_the_book(
        task_ids, **flags, uncertainty=uncertainty, selected=selected
    )


def test_a_task_named_twice_in_the_batch_is_served_once_at_its_first_place():
    flags = {"open_": np.ones(4, bool), "wanted": np.zeros(4, bool), "held_out": np.zeros(4, bool)}
    served = queue_positions(
        np.arange(4), **flags, uncertainty=np.arange(4) / 4, selected=[1, 0, 1]
    )
    assert served.tolist() == [1, 0, 3, 2]


def test_the_order_does_not_hang_on_ids_that_rise():
    """A project's tasks may be listed in any order."""
    task_ids = np.array([30, 10, 20])
    flags = {name: np.zeros(3, bool) for name in ("wanted", "held_out")}
    served = queue_positions(
        task_ids,
        open_=np.ones(3, bool),
        **flags,
        uncertainty=np.array([0.1, 0.2, 0.3]),
        selected=[10],
    )
    assert served.tolist() == [10, 20, 30]


def candidates_of(seed, count=60, size=5):
    generator = np.random.default_rng([seed, 7])
    return generator.normal(size=(count, size)).astype(np.float32), Candidates(
        uncertainty=generator.random(count),
        entropy=generator.random(count),
        bald=generator.random(count),
        mc_dropout=generator.random(count),
        descriptors=np.zeros((0, size), np.float32),
        shares=generator.dirichlet([8, 1, 1], count),
        labelled=generator.normal(size=(3, size)),
        seed=seed,
        described=np.zeros(0, np.int64),
    )


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"random-foreground"}))
def test_only_selectable_slices_are_selected_and_only_their_descriptors_read(name):
    descriptors, candidates = candidates_of(1)
    selectable = np.arange(60) % 3 > 0
    # Others may not even have been scored.
    candidates.uncertainty[~selectable] = np.nan
    asked = []

    def read(places):
        asked.extend(places.tolist())
        return descriptors[places]

    task_ids = np.arange(60) * 10 + 3
    found = select_ids(STRATEGIES[name], task_ids, selectable, candidates, 48, 8, read)
    assert len(set(found.tolist())) == 8
    assert selectable[(found - 3) // 10].all() and selectable[asked].all()
    expected = {"nothing": 0, "candidates": 20, "pool": 40}[STRATEGIES[name].looks_at]
    assert len(asked) == expected


def test_a_large_K_does_not_switch_uncertainty_off():
    descriptors, candidates = candidates_of(2)
    found = select_ids(
        STRATEGIES["two-stage"],
        np.arange(60),
        np.ones(60, bool),
        candidates,
        1000,
        8,
        lambda places: descriptors[places],
    )
    assert found.tolist() == two_stage(candidates.uncertainty, descriptors, 30, 8).tolist()


def test_nothing_selectable_selects_nothing():
    _, candidates = candidates_of(3)
    none = np.zeros(60, bool)
    assert not len(
        select_ids(STRATEGIES["two-stage"], np.arange(60), none, candidates, 9, 3, lambda _: none)
    )


def test_what_is_known_of_some_tasks_stands_in_their_rows():
    rows = over_all(np.array([5, 2, 9]), [9, 7, 5], np.array([0.9, 0.7, 0.5]))
    assert rows[[0, 2]].tolist() == [0.5, 0.9] and np.isnan(rows[1])
    assert over_all(np.array([5]), [5], np.ones((1, 3))).shape == (1, 3)
    assert over_all(np.zeros(0, np.int64), [5], np.ones(1)).shape == (0,)
