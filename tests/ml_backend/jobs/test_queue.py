"""Asking for looks and rounds on a real Redis: coalescing, failure, reconcile."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job, JobStatus

from ml_backend.jobs import HEAVY, QUICK, Jobs, JobsError, state
from ml_backend.jobs.advance import advance
from ml_backend.jobs.under_way import is_under_way
from ml_backend.jobs.work import advance_all_job, reconcile_job
from ml_backend.rounds.graph import Step


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

        return jobs.redis.pttl("quorum:project:7:held_back")

    first, second = pause_s(), pause_s()
    assert jobs.state(7).held_back
    assert second > 1.5 * first
    jobs.state(7).succeeded()
    assert not jobs.state(7).held_back


def test_a_host_whose_clock_is_set_right_after_a_failure_holds_no_round_back_for_longer(
    jobs, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 4e9)  # of a host that began with a wrong clock
        jobs.state(7).failed(0.5)
        jobs.state(8).cancel(0.5)
    assert jobs.state(7).held_back and jobs.state(8).held_back
    time.sleep(0.6)
    assert not jobs.state(7).held_back and not jobs.state(8).held_back
    jobs.state(7).failed(60)
    jobs.state(7).cancel(0)  # which is to let the next begin at once
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


def test_a_step_whose_worker_died_is_queued_again(jobs, work_off, waiting, pass_by):
    """Killed between taking the job and starting it, or while it ran: the job is in no queue."""
    jobs.request_round(7)
    work_off(QUICK)
    (job_id,) = Queue(HEAVY, connection=jobs.redis).job_ids
    jobs.redis.delete(Queue(HEAVY, connection=jobs.redis).key)
    job = Job.fetch(job_id, connection=jobs.redis)
    advance_all_job()
    assert waiting(HEAVY) == []  # it was queued a moment ago: its worker may be starting it
    pass_by(31)
    advance_all_job()
    assert waiting(HEAVY) == ["gather_job"]

    (job_id,) = Queue(HEAVY, connection=jobs.redis).job_ids
    jobs.redis.delete(Queue(HEAVY, connection=jobs.redis).key)
    job = Job.fetch(job_id, connection=jobs.redis)
    job.set_status(JobStatus.STARTED)
    job.heartbeat(datetime.now(timezone.utc), 90)
    advance_all_job()
    pass_by(29)
    advance_all_job()
    assert waiting(HEAVY) == []
    pass_by(2)
    advance_all_job()
    assert waiting(HEAVY) == ["gather_job"]


@pytest.mark.parametrize("ahead_s", [-3600, -35, 0, 35, 3600])
def test_a_living_worker_is_heard_whatever_its_host_takes_for_the_time(
    jobs, work_off, waiting, pass_by, ahead_s
):
    name = jobs.request_round(7)
    work_off(QUICK)
    job_id = take(jobs)
    for beat in range(8):
        moment = datetime.now(timezone.utc) + timedelta(seconds=ahead_s + 10 * beat)
        Job.fetch(job_id, connection=jobs.redis).heartbeat(moment, 90)
        advance_all_job()
        pass_by(10)
    assert waiting(HEAVY) == [] and jobs.status(name)["job_status"] == "started"
    for _ in range(3):
        advance_all_job()
        pass_by(10)
    advance_all_job()
    assert waiting(HEAVY) == ["gather_job"]


def test_a_step_whose_worker_is_long_gone_is_queued_again_at_once(jobs, work_off, waiting):
    jobs.request_round(7)
    work_off(QUICK)
    job_id = take(jobs)
    worker = SimpleWorker([HEAVY], connection=jobs.redis)
    worker.register_birth()
    jobs.redis.hset(Job.key_for(job_id), "worker_name", worker.name)
    advance_all_job()
    assert waiting(HEAVY) == []
    jobs.redis.delete(worker.key)  # as it runs out when nothing is heard for a minute
    advance_all_job()
    assert waiting(HEAVY) == ["gather_job"]


def test_a_job_of_the_same_name_as_one_that_was_given_back_is_not_taken_for_it(
    jobs, work_off, pass_by
):
    jobs.request_round(7)
    work_off(QUICK)
    queue = Queue(HEAVY, connection=jobs.redis)
    for _ in range(2):
        (job_id,) = queue.job_ids
        jobs.redis.delete(queue.key)
        assert is_under_way(jobs.redis, jobs.settings, HEAVY, job_id)
        pass_by(31)
        assert not is_under_way(jobs.redis, jobs.settings, HEAVY, job_id)
        Job.fetch(job_id, connection=jobs.redis).delete()
        jobs.enqueue(HEAVY, "gather_job", 7, 1, False, job_id=job_id)


def test_a_redis_whose_clock_is_set_back_takes_no_dead_worker_for_a_living_one_for_long(
    jobs, work_off, pass_by
):
    jobs.request_round(7)
    work_off(QUICK)
    asked = (jobs.redis, jobs.settings, HEAVY, take(jobs))
    assert is_under_way(*asked)
    pass_by(-3600)
    assert is_under_way(*asked)
    pass_by(31)
    assert not is_under_way(*asked)


def test_however_many_steps_wait_those_that_wait_are_asked_for_at_once(
    jobs, store, monkeypatch, waiting
):
    steps = [Step("score", index) for index in range(300)]
    monkeypatch.setattr("ml_backend.rounds.next_steps", lambda *_: steps)
    jobs.request_round(1)
    jobs.state(1).start_waiting()
    jobs.state(1).note(1, version="r0001-aaaaaa")
    advance(jobs, 1)
    assert len(waiting(HEAVY)) == 300
    take(jobs, jobs.state(1).running()["job:score-0"])
    before = jobs.redis.info("stats")["total_commands_processed"]
    advance(jobs, 1)
    assert jobs.redis.info("stats")["total_commands_processed"] - before < 40
    lost = jobs.state(1).running()["job:score-7"]
    jobs.redis.lrem(Queue(HEAVY, connection=jobs.redis).key, 1, lost)
    Job.fetch(lost, connection=jobs.redis).delete()
    advance(jobs, 1, ended="score-0")
    names = [job.args[-1] for job in Queue(HEAVY, connection=jobs.redis).get_jobs()]
    assert names == [f"score-{i}" for i in range(1, 300) if i != 7] + ["score-0", "score-7"]


def take(jobs, job_id=None):
    """What a worker does that takes a job; the job's id."""
    queue = Queue(HEAVY, connection=jobs.redis)
    job_id = job_id or queue.job_ids[0]
    jobs.redis.lrem(queue.key, 1, job_id)
    job = Job.fetch(job_id, connection=jobs.redis)
    job.set_status(JobStatus.STARTED)
    job.heartbeat(datetime.now(timezone.utc), 90)
    return job_id


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
