"""The pool's order and its predictions."""

import numpy as np

from ml_backend.label_studio import Task
from ml_backend.learning.committee import Score
from ml_backend.learning.held_out import Division
from ml_backend.masks import BrushConfig, to_label_map
from ml_backend.pool import Draft, ScoredPool, candidates_of, predictions, queue, select
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
    pool = ScoredPool(
        read,
        candidates_of([score(generator) for _ in read], seed=0),
        [Draft(np.full((3, 5), t.id % 2, np.uint8)) for t in read],
    )
    return found, pool


def test_neither_held_out_nor_labelled_nor_skipped_slices_are_selected():
    found, pool = make(held_out=range(5), labelled=[5, 6], skipped=[7])
    selected = select(found, pool, Settings(K=20, k=20))
    assert sorted(selected) == list(range(8, 20))


def test_a_large_K_does_not_switch_uncertainty_off():
    found, pool = make(count=40)
    selected = select(found, pool, Settings(K=1000, k=8))
    uncertain = np.argsort(-pool.uncertainty)[:20]
    assert set(selected) <= {pool.tasks[index].id for index in uncertain}


def test_every_open_slice_is_in_the_queue_once_in_its_place():
    found, pool = make(held_out=range(6), evaluation=[0, 1], labelled=[0, 10], unreadable=[19])
    selected = [15, 12, 17]
    order = [task.id for task in queue(found, pool, selected)]
    assert sorted(order) == sorted(set(range(20)) - {0, 10})
    assert order[:4] == [1, 15, 12, 17]  # the evaluation slice that is still open, the batch
    assert set(order[-5:-1]) == {2, 3, 4, 5}  # held out, and not needed
    assert order[-1] == 19  # its image cannot be read
    uncertainty = dict(zip((t.id for t in pool.tasks), pool.uncertainty, strict=True))
    rest = [uncertainty[i] for i in order[4:-5]]
    assert rest == sorted(rest, reverse=True)


def test_an_empty_pool_has_an_empty_queue():
    found, pool = make(count=0)
    assert select(found, pool, Settings()) == [] and queue(found, pool, []) == []


def test_predictions_carry_drafts_and_scores_and_are_empty_without_a_draft():
    found, pool = make(count=4)
    drafts = pool.draft_of()
    del drafts[3]
    made = predictions("r0001-abcdef", found.tasks, [0.0, 0.1, 0.2, 0.3], drafts, CONFIG)
    assert [p["score"] for p in made] == [0.0, 0.1, 0.2, 0.3]
    assert {p["model_version"] for p in made} == {"r0001-abcdef"}
    assert made[3]["result"] == [] and made[0]["result"] == []  # no draft; only background
    assert (to_label_map(made[1]["result"], CONFIG, 3, 5) == 1).all()
