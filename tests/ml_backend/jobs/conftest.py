"""A real Redis, and a project in memory in Label Studio's place."""

import os

import pytest
from rq import SimpleWorker

from ml_backend.jobs import HEAVY, QUICK, Jobs
from ml_backend.settings import Settings
from ml_backend.store import Store
from tests.ml_backend.projects import Project, in_place_of_label_studio, sides


@pytest.fixture
def environment(redis_url, tmp_path):
    return {
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        # Nobody listens there: what is run fails with words, not with a traceback.
        "LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "LABEL_STUDIO_API_KEY": "0" * 40,
        "QUORUM_PATIENCE_S": "0",
        "QUORUM_DEVICE": "cpu",
        "QUORUM_BATCH": "3",
        "QUORUM_K": "6",
        "QUORUM_MEMBERS": "2",
        "QUORUM_WIDTH": "4",
        "QUORUM_SCALES": "2",
        "QUORUM_SIDE_PX": "16",
        "QUORUM_STEPS": "3",
        "QUORUM_TRAIN_BATCH": "2",
        "QUORUM_EVALUATION_SLICES": "2",
        "QUORUM_SHARD": "5",
    }


@pytest.fixture
def settings(environment, monkeypatch):
    # What the live servers of the same session were started with is none of these tests'.
    for name in [name for name in os.environ if name.startswith("QUORUM_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment(environment)


@pytest.fixture
def jobs(settings):
    jobs = Jobs.connect(settings)
    jobs.redis.flushall()
    return jobs


@pytest.fixture
def work_off(jobs):
    """Let a worker do what is queued, and what follows from it."""

    def work(*queues, most=None):
        names = queues or (QUICK, HEAVY)
        worker = SimpleWorker(list(names), connection=jobs.redis)
        worker.work(burst=True, max_jobs=most)

    return work


@pytest.fixture
def waiting(jobs):
    """What lies in a queue: names of functions."""
    from rq import Queue

    def names(queue):
        found = Queue(queue, connection=jobs.redis).get_jobs()
        return [job.func_name.rsplit(".", 1)[-1] for job in found]

    return names


@pytest.fixture
def pass_by(jobs):
    """Let seconds pass by Redis' clock since the jobs that were asked about told something new."""

    def later(seconds):
        for key in jobs.redis.scan_iter("quorum:job:*:heard"):
            jobs.redis.hincrbyfloat(key, "since", -seconds)

    return later


@pytest.fixture
def store(settings):
    return Store(settings.store_root, 1)


@pytest.fixture
def project(jobs, store, monkeypatch):
    made = Project()
    store.keep_sides(sides(made))
    with in_place_of_label_studio(monkeypatch, made):
        yield made
