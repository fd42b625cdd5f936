"""The pool's order and its predictions."""

from dataclasses import replace

import numpy as np

from ml_backend.label_studio import Task
from ml_backend.learning.committee import Score
from ml_backend.learning.held_out import Division
from ml_backend.learning.strategies import narrowed, two_stage, two_stage_depth
from ml_backend.masks import BrushConfig, to_label_map
from ml_backend.pool import (
    Draft,
    ScoredPool,
    held_back,
    of_scored,
    prediction,
    queue,
    select,
    unscored,
)
from ml_backend.settings import Settings
from ml_backend.survey import Survey

CONFIG = BrushConfig("mask", "image", "image", ("A",))


def score(generator):
    return Score(
        *generator.random(4),
        generator.normal(size=4).astype(np.float32),
        np.array([0.9, 0.1]),
        np.zeros((3, 5), np.uint8),
    )


def make(count=20, held_out=(), evaluation=(), labelled=(), skipped=(), unreadable=()):
    tasks = [
        Task(n, {}, n in labelled, int(n in labelled), int(n in skipped)) for n in range(count)
    ]
    out, asked = (
        np.array([n in chosen for n in range(count)]) for chosen in (held_out, evaluation)
    )
    found = Survey(1, CONFIG, tasks, Division(out, out, {}), asked, "slice")
    generator = np.random.default_rng(0)
    read = [t for t in tasks if t.id not in unreadable and not t.is_labeled]
    drafts = {t.id: Draft.of(np.full((3, 5), t.id % 2, np.uint8)) for t in read}
    pool = of_scored([t.id for t in read], [score(generator) for _ in read], drafts)
    return found, pool


def test_neither_held_out_nor_labelled_nor_skipped_slices_are_selected():
    found, pool = make(held_out=range(5), labelled=[5, 6], skipped=[7])
    selected = select(found, pool, Settings(K=20, k=20))
    assert sorted(selected) == list(range(8, 20))


def test_a_large_K_does_not_switch_uncertainty_off():
    found, pool = make(count=40)
    selected = select(found, pool, Settings(K=1000, k=8))
    uncertain = np.argsort(-pool.uncertainty)[:20]
    assert set(selected) <= set(pool.task_ids[uncertain].tolist())


def test_depths_are_taken_from_where_a_slice_lies_among_all_of_its_series():
    found, pool = make(count=24, labelled=[0, 1, 2, 12], skipped=[5])
    tasks = [
        replace(
            t, data={"patient": "p", "series": f"s{t.id // 12}", "slice_position_mm": t.id % 12}
        )
        for t in found.tasks
    ]
    found = replace(found, tasks=tasks)
    settings = Settings(strategy="two-stage-depth", K=10, k=4)
    depth = {t.id: (t.id % 12) / 11 for t in tasks}
    open_ = np.isin(pool.task_ids, [5], invert=True)
    ids = pool.task_ids[open_]
    expected = two_stage_depth(
        pool.uncertainty[open_],
        pool.descriptors[open_],
        np.array([depth[int(n)] for n in ids]),
        K=9,  # half of what is open
        k=4,
    )
    assert select(found, pool, settings) == ids[expected].tolist()
    without = replace(found, tasks=[replace(t, data={}) for t in tasks])
    assert select(without, pool, settings) != ids[expected].tolist()


def test_a_strategy_is_told_which_share_of_the_slices_to_learn_from_has_a_label():
    settings = Settings(strategy="two-stage-narrowing", K=10, k=2)
    # 18 slices are not held out; one cannot be read, one was skipped; of the others 4 have a label.
    found, pool = make(held_out=[0, 1], labelled=[0, 2, 3, 4, 5], skipped=[6], unreadable=[7])
    free = np.isin(pool.task_ids, [0, 1, 2, 3, 4, 5, 6, 7], invert=True)
    kept = narrowed(6, 2, 4 / 16)  # of the half of 12 slices
    assert kept == 4
    expected = two_stage(pool.uncertainty[free], pool.descriptors[free], kept, 2)
    assert select(found, pool, settings) == pool.task_ids[free][expected].tolist()


def test_what_the_committee_annotated_itself_counts_as_no_label():
    settings = Settings(strategy="two-stage-narrowing", K=10, k=2)
    # Of 18 slices that are not held out 2 have a person's label, and 4 the committee's.
    found, pool = make(held_out=[0, 1], labelled=[2, 3, 4, 5, 6, 7])
    found = replace(found, automatic=frozenset([4, 5, 6, 7]))
    free = np.isin(pool.task_ids, [0, 1], invert=True)
    kept = narrowed(6, 2, 2 / 18)  # of the half of 12 slices
    assert kept != narrowed(6, 2, 6 / 18)
    expected = two_stage(pool.uncertainty[free], pool.descriptors[free], kept, 2)
    assert select(found, pool, settings) == pool.task_ids[free][expected].tolist()


def test_every_open_slice_is_in_the_queue_once_in_its_place():
    found, pool = make(held_out=range(6), evaluation=[0, 1], labelled=[0, 10], unreadable=[19])
    selected = [15, 12, 17]
    order = queue(found, pool, selected)
    assert sorted(order) == sorted(set(range(20)) - {0, 10})
    assert order[:4] == [1, 15, 12, 17]  # the evaluation slice that is still open, the batch
    assert set(order[-5:-1]) == {2, 3, 4, 5}  # held out, and not needed
    assert order[-1] == 19  # its image cannot be read
    uncertainty = dict(zip(pool.task_ids.tolist(), pool.uncertainty, strict=True))
    rest = [uncertainty[i] for i in order[4:-5]]
    assert rest == sorted(rest, reverse=True)


def test_before_any_label_the_queue_behind_the_batch_is_at_random_and_stays_so():
    found, _ = make(count=40, held_out=[3, 4], evaluation=[3], unreadable=[9])
    readable = [n for n in range(40) if n not in (3, 4, 9)]
    batch = [20, 11]
    order = queue(found, unscored(readable, seed=5), batch)
    assert order == queue(found, unscored(readable, seed=5), batch)
    assert order[:3] == [3, *batch]
    assert order[-2:] == [4, 9]
    rest = order[3:-2]
    assert sorted([*rest, *batch]) == readable
    assert np.mean(np.abs(np.diff(rest)) == 1) < 0.2  # no slice after its neighbour
    assert rest != queue(found, unscored(readable, seed=6), batch)[3:-2]


def test_an_empty_pool_has_an_empty_queue():
    found, pool = make(count=0)
    assert select(found, pool, Settings()) == [] and queue(found, pool, []) == []


def test_predictions_carry_drafts_and_scores_and_are_empty_without_a_draft():
    found, pool = make(count=4)
    drafts = dict(pool.drafts)
    del drafts[3]
    made = [
        prediction("r0001-abcdef", task.id, task.id / 10, drafts, CONFIG) for task in found.tasks
    ]
    assert [p["score"] for p in made] == [0.0, 0.1, 0.2, 0.3]
    assert {p["model_version"] for p in made} == {"r0001-abcdef"}
    assert made[3]["result"] == [] and made[0]["result"] == []  # no draft; only background
    assert (to_label_map(made[1]["result"], CONFIG, 3, 5) == 1).all()


def test_a_pool_in_shards_is_the_pool_in_one():
    found, pool = make(count=20)

    def part(rows):
        return {name: array[rows] for name, array in pool.scores().items()}

    again = ScoredPool.of_scores([part(slice(0, 7)), part(slice(7, 7)), part(slice(7, 20))])
    for name, array in pool.scores().items():
        assert np.array_equal(again.scores()[name], array, equal_nan=True)
    asked = []

    def read(ids):
        asked.extend(ids.tolist())
        return pool.read(ids)

    settings = Settings(K=6, k=3)
    assert select(found, again, settings, read=read) == select(found, pool, settings)
    assert len(asked) == 6  # descriptors of the K most uncertain, of no others
    assert len(ScoredPool.of_scores([]).task_ids) == 0


def test_drafts_are_held_back_from_the_wanted_share_and_a_larger_share_only_adds():
    def held(share):
        return {n for n in range(4000) if held_back(Settings(hold_drafts_back=share), n)}

    assert held(0) == set() and held(1) == set(range(4000))
    assert held(0.1) < held(0.3)
    assert abs(len(held(0.3)) / 4000 - 0.3) < 0.03
    other = {n for n in range(4000) if held_back(Settings(hold_drafts_back=0.3, split_key="x"), n)}
    assert other != held(0.3)
