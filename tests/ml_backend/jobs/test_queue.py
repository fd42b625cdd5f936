"""Asking for looks and rounds on a real Redis: coalescing, failure, reconcile."""

import time

import pytest
from redis import Redis

from ml_backend.jobs import HEAVY, QUICK, Jobs, JobsError, state
from ml_backend.jobs.work import advance_all_job, reconcile_job


def test_any_number_of_events_leave_one_look_waiting(jobs, waiting):
    assert {jobs.request_look(7) for _ in range(50)} == {"look-7"}
    assert waiting(QUICK) == ["look_job"]


def test_an_event_during_a_look_leaves_one_more_waiting(jobs, waiting):
    jobs.request_look(7)
    jobs.state(7).begin_look()  # what a look does before it reads anything
    for _ in range(20):
        jobs.request_look(7)
    assert waiting(QUICK) == ["look_job", "look_job"]


def test_a_look_whose_job_was_lost_blocks_no_later_one(jobs, waiting):
    jobs.state(7).ask_for_look(hold_s=1)  # noted, but its job never came to be
    jobs.redis.delete("quorum:project:7:look")  # the note ran out
    jobs.request_look(7)
    assert waiting(QUICK) == ["look_job"]


def test_projects_do_not_share_a_round(jobs):
    assert jobs.request_round(1) != jobs.request_round(2)
    assert jobs.projects() == [1, 2]


def test_however_often_it_is_asked_for_one_round_runs_and_one_waits(jobs, work_off, waiting):
    first = {jobs.request_round(7) for _ in range(20)}
    work_off(QUICK)
    assert waiting(HEAVY) == ["gather_job"]
    later = {jobs.request_round(7) for _ in range(20)}
    work_off(QUICK)
    assert len(first) == len(later) == 1 and first != later
    assert waiting(HEAVY) == ["gather_job"]
    assert jobs.status(first.pop())["job_status"] == "started"
    assert jobs.status(later.pop())["job_status"] == "queued"


def test_a_failed_round_is_tried_again_then_says_why_and_does_not_block_the_next(
    jobs, settings, work_off
):
    first = jobs.request_round(7)
    work_off(QUICK)
    work_off(HEAVY, most=1)
    assert jobs.status(first)["job_status"] == "started"  # the second attempt waits
    work_off()
    status = jobs.status(first)
    assert status["job_status"] == "failed"
    assert "cannot be reached" in status["error"]
    second = jobs.request_round(7)
    assert second != first
    work_off()
    assert jobs.status(second)["job_status"] == "failed"


def test_after_a_failure_the_next_round_by_itself_waits_longer_each_time(jobs, work_off):
    def pause_s():
        jobs.request_round(7)
        work_off()

        return float(jobs.redis.get("quorum:project:7:not_before")) - time.time()

    first, second = pause_s(), pause_s()
    assert jobs.state(7).held_back
    assert second > 1.5 * first
    jobs.state(7).succeeded()
    assert not jobs.state(7).held_back


def test_a_look_that_fails_says_why(jobs, work_off):
    jobs.request_look(7)
    work_off(QUICK)
    assert "cannot be reached" in jobs.state(7).trouble
    assert jobs.latest(7) is None


def test_a_cancelled_round_ends_and_lets_the_next_one_run(jobs, work_off, waiting):
    first = jobs.request_round(7)
    work_off(QUICK)
    jobs.request_round(7)
    jobs.cancel(7)
    work_off()
    assert jobs.status(first)["job_status"] == "canceled"
    assert waiting(HEAVY) == []
    again = jobs.request_round(7)
    work_off(QUICK)
    assert jobs.status(again)["job_status"] == "started"


def test_reconcile_looks_at_every_project_even_if_redis_came_back_empty(jobs, settings, waiting):
    (settings.store_root / "projects" / "3").mkdir(parents=True)
    jobs.request_look(5)
    jobs.redis.flushall()
    assert reconcile_job() == 1
    assert waiting(QUICK) == ["look_job"]


def test_a_step_whose_worker_died_is_queued_again(jobs, work_off, waiting):
    """Killed between taking the job and starting it, or while it ran: the job is in no queue."""
    from rq import Queue
    from rq.job import Job, JobStatus

    jobs.request_round(7)
    work_off(QUICK)
    (job_id,) = Queue(HEAVY, connection=jobs.redis).job_ids
    jobs.redis.delete(Queue(HEAVY, connection=jobs.redis).key)
    job = Job.fetch(job_id, connection=jobs.redis)
    advance_all_job()
    assert waiting(HEAVY) == []  # it was queued a moment ago: its worker may be starting it
    long_ago = "2020-01-01T00:00:00.000000Z"
    jobs.redis.hset(job.key, "enqueued_at", long_ago)
    advance_all_job()
    assert waiting(HEAVY) == ["gather_job"]

    (job_id,) = Queue(HEAVY, connection=jobs.redis).job_ids
    jobs.redis.delete(Queue(HEAVY, connection=jobs.redis).key)
    job = Job.fetch(job_id, connection=jobs.redis)
    job.set_status(JobStatus.STARTED)
    jobs.redis.hset(job.key, "last_heartbeat", long_ago)
    advance_all_job()
    assert waiting(HEAVY) == ["gather_job"]


def test_a_redis_that_is_down_is_told_with_its_remedy(settings, tmp_path):
    dead = Jobs(Redis.from_url(f"unix://{tmp_path}/none.sock"), settings)
    for call in (
        lambda: dead.request_look(1),
        lambda: dead.request_round(1),
        lambda: dead.cancel(1),
        lambda: dead.status("round-1-1"),
    ):
        with pytest.raises(JobsError, match="QUORUM_REDIS_URL"):
            call()
    assert dead.latest(1) is None


def test_an_unknown_job_is_said_to_be_unknown(jobs):
    for name in ("round-7-99", "round-x-1", "nonsense"):
        with pytest.raises(JobsError, match="no such job"):
            jobs.status(name)


def test_a_lock_is_held_while_its_process_lives_and_soon_free_when_it_has_died(jobs, monkeypatch):
    monkeypatch.setattr(state, "_LOCK_S", 2.0)  # a machine under load stands still for seconds
    with jobs.state(7).locked("look", 1):
        time.sleep(5)
        with pytest.raises(state.LockedError), jobs.state(7).locked("look", 0.1):
            pass
    with jobs.state(7).locked("look", 0.1):
        pass
    jobs.redis.set("quorum:project:7:lock:look", "of a dead process", px=800)
    with jobs.state(7).locked("look", 20):
        pass


def test_a_lock_that_ran_out_is_taken_back_unless_another_has_it(jobs, monkeypatch):
    monkeypatch.setattr(state, "_LOCK_S", 2.0)
    key = "quorum:project:7:lock:look"
    with jobs.state(7).locked("look", 1):
        jobs.redis.delete(key)
        until = time.monotonic() + 30
        while not jobs.redis.exists(key):
            assert time.monotonic() < until, "the lock was never taken back"
            time.sleep(0.05)
        jobs.redis.set(key, "of another process")
        time.sleep(2)
        assert jobs.redis.get(key) == b"of another process"
    assert jobs.redis.get(key) == b"of another process"


def test_a_project_that_is_gone_is_left_out_of_the_periodic_looks(jobs, settings, waiting):
    (settings.store_root / "projects" / "3").mkdir(parents=True)
    jobs.state(3).looked(0, "there is no such project", gone=True)
    assert reconcile_job() == 0 and waiting(QUICK) == []
    jobs.state(3).looked(0.1)
    assert reconcile_job() == 1
