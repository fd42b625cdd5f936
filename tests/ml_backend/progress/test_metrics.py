"""Metrics: what Prometheus can read, bounded, and nobody's name in it."""

import re

from ml_backend.figures.quality import refresh_quality
from ml_backend.progress.metrics import Exposition
from ml_backend.store import Store

from .conftest import CURRENT, PASSWORD, PROJECT, USER

LINE = re.compile(r'[a-z_]+(\{([a-z_]+="[^"\n]*",?)+\})? -?[0-9.e+-]+')


def read(app):
    answer = app.test_client().get("/metrics", auth=(USER, PASSWORD))
    assert answer.status_code == 200 and answer.content_type.startswith("text/plain; version=0.0.4")
    return answer.text


def test_each_project_is_measured(app, store, jobs):
    refresh_quality(store)
    store.note(CURRENT, "round", {"train_s": 12.5, "score_s": 3.0})
    jobs.request_round(PROJECT)
    jobs.state(PROJECT).failed(1.0)
    text = read(app)
    for line in (
        'quorum_slices{project="4",state="pool"} 72',
        'quorum_labels{project="4"} 8',
        'quorum_held_out_mean_iou{project="4",bound="mean"} 0.8',
        'quorum_round_step_seconds{project="4",step="train"} 12.5',
        'quorum_rounds_waiting{project="4"} 1',
        'quorum_rounds_running{project="4"} 0',
        'quorum_round_failures{project="4"} 1',
        'quorum_queue_jobs{queue="quorum-quick"} 1',
        'quorum_workers{queue="quorum"} 0',
        "quorum_redis_up 1",
    ):
        assert line in text.splitlines()


def test_every_line_is_of_the_format_and_each_metric_is_described_once(app, store):
    refresh_quality(store)
    lines = read(app).splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert samples and all(LINE.fullmatch(line) for line in samples)
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described))
    assert {re.split(r"[{ ]", line)[0] for line in samples} == set(described)


def test_no_person_and_no_title_is_in_them_and_one_broken_project_hides_no_other(app, store):
    store.keep_figures("people", {"people": [{"name": "somebody", "slices": 3}]})
    Store(app.extensions["quorum"]["settings"].store_root, 5).keep_figures(
        "standing", {"counts": {"slices": "many"}}
    )
    text = read(app)
    assert "somebody" not in text and "Hearts" not in text
    assert 'quorum_project_slices{project="4"} 100' in text
    assert 'quorum_project_slices{project="5"}' not in text


def test_a_labels_value_cannot_break_the_format():
    made = Exposition()
    made.add("x", "gauge", "X.", 1, name='a"\n\\b')
    assert made.text().splitlines()[-1] == 'quorum_x{name="a\\"\\n\\\\b"} 1'
