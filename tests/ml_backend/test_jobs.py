"""Rounds on a real Redis: coalescing, failure, reconcile."""

import pytest
from redis import Redis
from rq import Queue, SimpleWorker

from ml_backend import jobs as jobs_module
from ml_backend.jobs import QUEUE, Jobs, JobsError, _project_lock, reconcile_job, round_job
from ml_backend.settings import Settings


@pytest.fixture
def settings(redis_url, tmp_path, monkeypatch):
    environment = {
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        # Nobody listens there: a round that is run fails with words, not with a traceback.
        "LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "LABEL_STUDIO_API_KEY": "0" * 40,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment(environment)


@pytest.fixture
def jobs(settings):
    jobs = Jobs.connect(settings)
    jobs.redis.flushall()
    return jobs


def waiting(jobs):
    return Queue(QUEUE, connection=jobs.redis).job_ids


def work_off(jobs):
    SimpleWorker([QUEUE], connection=jobs.redis).work(burst=True)


def test_any_number_of_events_leave_one_round_waiting(jobs):
    ids = {jobs.request_round(7) for _ in range(50)}
    assert len(ids) == 1
    assert waiting(jobs) == list(ids)


def test_projects_do_not_share_a_round(jobs):
    assert jobs.request_round(1) != jobs.request_round(2)
    assert len(waiting(jobs)) == 2
    assert jobs.projects() == [1, 2]


def test_events_during_a_round_leave_one_more_waiting(jobs):
    first = jobs.request_round(7)
    # What a round does when it starts.
    jobs.redis.incr("quorum:project:7:generation")
    later = {jobs.request_round(7) for _ in range(20)}
    assert len(later) == 1 and first not in later
    assert len(waiting(jobs)) == 2


def test_a_failed_round_says_why_and_does_not_block_the_next(jobs):
    first = jobs.request_round(7)
    work_off(jobs)
    status = jobs.status(first)
    assert status["job_status"] == "failed"
    assert "cannot be reached" in status["error"]
    second = jobs.request_round(7)
    assert second != first
    assert waiting(jobs) == [second]


def test_a_job_that_ended_without_beginning_is_replaced(jobs):
    first = jobs.request_round(7)
    jobs.redis.delete("quorum:project:7:generation")
    Queue(QUEUE, connection=jobs.redis).fetch_job(first).cancel()
    assert jobs.request_round(7) != first


def test_a_round_that_finds_another_running_leaves_a_note_and_ends(jobs):
    with _project_lock(jobs.redis, 7) as mine:
        assert mine
        assert round_job(7)["did"] == "nothing"
    assert jobs.redis.get("quorum:project:7:again")
    with _project_lock(jobs.redis, 7) as mine:
        assert mine


def test_the_lock_outlives_its_time_only_while_it_is_held(jobs, monkeypatch):
    import time

    monkeypatch.setattr(jobs_module, "_LOCK_S", 1)
    with _project_lock(jobs.redis, 7):
        time.sleep(1.6)
        with _project_lock(jobs.redis, 7) as second:
            assert not second


def test_reconcile_asks_for_every_project_even_if_redis_came_back_empty(jobs, settings):
    (settings.store_dir / "projects" / "3").mkdir(parents=True)
    jobs.request_round(5)
    jobs.redis.flushall()
    assert reconcile_job() == 1
    assert waiting(jobs) == ["round-3-0"]


def test_a_redis_that_is_down_is_told_with_its_remedy(tmp_path):
    dead = Jobs(Redis.from_url(f"unix://{tmp_path}/none.sock"), 10)
    with pytest.raises(JobsError, match="QUORUM_REDIS_URL"):
        dead.request_round(1)
    with pytest.raises(JobsError, match="QUORUM_REDIS_URL"):
        dead.status("round-1-0")
    assert dead.latest(1) is None


def test_an_unknown_job_is_said_to_be_unknown(jobs):
    with pytest.raises(JobsError, match="no such job"):
        jobs.status("round-1-99")


def test_the_page_is_told_of_the_running_round_before_the_waiting_one(jobs):
    from rq.job import Job, JobStatus

    first = jobs.request_round(7)
    jobs.redis.incr("quorum:project:7:generation")
    jobs.request_round(7)
    assert jobs.latest(7)["job_status"] == "queued"
    Job.fetch(first, connection=jobs.redis).set_status(JobStatus.STARTED)
    assert jobs.latest(7)["job_status"] == "started"
