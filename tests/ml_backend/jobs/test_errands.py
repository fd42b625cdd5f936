"""What people ask for beside rounds, on a real Redis, with a project in memory."""

from contextlib import contextmanager

import pytest
from redis import Redis
from rq.job import Job, JobStatus

from ml_backend.jobs import HEAVY, QUICK, Jobs, JobsError, errand_work, work
from ml_backend.jobs.state import ProjectState
from ml_backend.jobs.work import advance_all_job, reconcile_job


def two_versions(jobs, project, store, work_off):
    """Both names, the older first."""
    names = []
    for labels in ([*project.data.test[:2], 0, 1, 2], [3, 4, 5]):
        project.annotate(labels)
        jobs.request_look(1)
        work_off()
        names.append(store.current())
    return names


def test_going_back_is_asked_for_and_done_by_a_worker(jobs, project, store, work_off):
    older, newer = two_versions(jobs, project, store, work_off)
    assert older != newer
    jobs.errands.request_rollback(1, older)
    assert store.current() == newer
    work_off()
    assert store.current() == project.served == older
    assert jobs.errands.waiting(1) == {}
    assert store.figures("rollback") == {"state": "done", "version": older}


def test_a_look_that_falls_into_going_back_does_not_undo_it(
    jobs, project, store, work_off, monkeypatch
):
    monkeypatch.setattr(work, "_LOOK_WAIT_S", 0.1)
    older, _ = two_versions(jobs, project, store, work_off)
    project.annotate([6, 7, 8])  # enough for a round, as the version that is left sees it
    serve, looks = project.serve_order_of, []

    def look_in_between(project_id, version):
        if version == older and not looks:
            jobs.request_look(project_id)
            looks.append(work.look_job(project_id))
        serve(project_id, version)

    monkeypatch.setattr(project, "serve_order_of", look_in_between)
    jobs.errands.request_rollback(1, older)
    work_off()
    assert looks == ["busy"]
    assert store.current() == project.served == older


def test_going_back_waits_for_a_long_look_and_counts_that_as_no_failure(
    jobs, project, store, work_off, monkeypatch
):
    monkeypatch.setattr(errand_work, "_LOOK_WAIT_S", 0.1)
    older, newer = two_versions(jobs, project, store, work_off)
    jobs.request_round(1, force=True)
    work_off(QUICK)
    jobs.errands.request_rollback(1, older)
    with jobs.state(1).locked("look", 1):
        work_off(HEAVY, most=1)
    assert jobs.errands.waiting(1)["rollback"]["attempts"] == 0
    assert jobs.state(1).running() and not jobs.state(1).cancelled
    assert store.current() == newer and store.figures("rollback") == {}
    advance_all_job()
    work_off()
    assert store.current() == project.served == older


def test_going_back_that_is_cancelled_while_it_waits_for_a_look_changes_nothing(
    jobs, project, store, work_off, monkeypatch
):
    older, newer = two_versions(jobs, project, store, work_off)
    jobs.errands.request_rollback(1, older)
    locked = ProjectState.locked

    @contextmanager
    def forgotten_meanwhile(state, name, wait_s):
        with locked(state, name, wait_s):
            if name == "look":
                jobs.errands.cancel(1, "rollback")
            yield

    monkeypatch.setattr(ProjectState, "locked", forgotten_meanwhile)
    errand_work.rollback_job(1, older)
    assert store.current() == project.served == newer
    assert "rollback" not in jobs.errands.waiting(1)


def test_a_version_that_cannot_be_gone_back_to_ends_no_round(
    jobs, project, settings, store, work_off
):
    older, _ = two_versions(jobs, project, store, work_off)
    next(settings.store_root.rglob(f"versions/{older}/member-0*")).write_bytes(b"{")
    jobs.request_round(1, force=True)
    work_off(QUICK)
    for version in ("r0099-abcdef", older):
        jobs.errands.request_rollback(1, version)
        work_off(HEAVY, most=1)
        assert store.figures("rollback")["state"] == "failed"
        assert jobs.state(1).running() and not jobs.state(1).cancelled


def test_what_fails_says_why_and_frees_its_slot(jobs, project, store, work_off):
    two_versions(jobs, project, store, work_off)
    jobs.errands.request_rollback(1, "r0099-abcdef")
    work_off()
    assert store.figures("rollback")["state"] == "failed"
    assert "no version r0099-abcdef" in store.figures("rollback")["error"]
    assert jobs.errands.waiting(1) == {}


def test_what_fails_is_told_of_what_was_asked_for_until_another_version_drafts(
    jobs, project, store, work_off
):
    older, _ = two_versions(jobs, project, store, work_off)
    jobs.errands.request_rollback(1, older)
    work_off()
    jobs.errands.request_rollback(1, "r0099-abcdef")
    work_off()
    assert store.figures("rollback")["state"] == "failed"
    assert store.figures("rollback")["version"] == "r0099-abcdef"
    project.annotate([6, 7, 8])
    jobs.request_look(1)
    work_off()
    assert store.current() != older and store.figures("rollback") == {}


def test_asked_for_twice_it_is_done_once(jobs, waiting):
    for _ in range(3):
        jobs.errands.request_export(7, "png")
    assert waiting(HEAVY) == ["export_job"]


def test_what_would_be_dropped_for_another_is_refused_with_words(jobs, waiting):
    jobs.errands.request_export(7, "png")
    jobs.errands.request_export(7, "png")
    with pytest.raises(JobsError, match="another data set is being prepared"):
        jobs.errands.request_export(7, "coco")
    jobs.errands.request_rest(7, "predictions")
    with pytest.raises(JobsError, match="wait for its end, or stop it first"):
        jobs.errands.request_rest_undo(7)
    assert waiting(HEAVY) == ["export_job", "rest_job"]


def test_going_back_comes_before_what_waits(jobs, waiting):
    jobs.errands.request_export(7, "png")
    jobs.errands.request_rollback(7, "r0001-abcdef")
    assert waiting(HEAVY) == ["rollback_job", "export_job"]


def test_an_errand_whose_worker_died_is_queued_again_but_not_for_ever(
    jobs, settings, waiting, store, pass_by
):
    jobs.errands.request_export(1, "png")
    for _ in range(settings.attempts):
        jobs.redis.delete("rq:queue:quorum")
        advance_all_job()
        assert waiting(HEAVY) == []  # its worker may be starting it
        pass_by(31)
        advance_all_job()
    assert waiting(HEAVY) == [] and jobs.errands.waiting(1) == {}
    assert store.figures("export")["state"] == "failed"


def test_attempts_count_from_the_last_progress(jobs):
    jobs.errands.ask(1, "rest_job", "predictions")
    key = "quorum:project:1:errands"
    entry = jobs.errands.waiting(1)["rest"]
    import json

    jobs.redis.hset(key, "rest", json.dumps({**entry, "attempts": 3}))
    jobs.errands.came_on(1, "rest")
    assert jobs.errands.waiting(1)["rest"] == {**entry, "attempts": 0}


def test_the_rest_waits_for_the_round_that_runs(jobs, waiting):
    jobs.request_round(1)
    jobs.errands.request_rest(1, "predictions")
    assert waiting(HEAVY) == []
    jobs.cancel(1, hold_s=0)
    jobs.errands.advance(1)
    assert waiting(HEAVY) == ["rest_job"]


def test_what_waits_and_is_cancelled_never_begins(jobs, waiting):
    jobs.request_round(1)
    jobs.errands.request_rest(1, "predictions")
    jobs.errands.cancel_rest(1)
    jobs.cancel(1, hold_s=0)
    jobs.errands.advance(1)
    assert waiting(HEAVY) == [] and jobs.errands.waiting(1) == {}
    jobs.errands.request_rest(
        1, "predictions"
    )  # a cancelled one does not keep the next from beginning
    assert waiting(HEAVY) == ["rest_job"]


def test_what_is_being_stopped_is_not_taken_for_what_is_asked_for_again(jobs, waiting):
    jobs.errands.request_rest(1, "predictions")
    job = Job.fetch(jobs.errands.waiting(1)["rest"]["job"], connection=jobs.redis)
    jobs.redis.delete("rq:queue:quorum")
    job.set_status(JobStatus.STARTED)
    jobs.errands.cancel_rest(1)
    for _ in range(2):
        with pytest.raises(JobsError, match="being stopped: ask again when it has ended"):
            jobs.errands.request_rest(1, "predictions")
    with pytest.raises(JobsError, match="being stopped"):
        jobs.errands.request_rest_undo(1)
    assert jobs.errands.cancelled(1, "rest")
    job.set_status(JobStatus.FINISHED)
    jobs.errands.done(1, "rest")  # what it does at its end
    jobs.errands.request_rest(1, "predictions")
    assert waiting(HEAVY) == ["rest_job"] and not jobs.errands.cancelled(1, "rest")


def test_a_rest_that_steps_aside_goes_on_after_the_round(jobs, project, store, work_off, waiting):
    two_versions(jobs, project, store, work_off)
    jobs.errands.ask(1, "rest_job", "predictions")
    with errand_work._errand(1, "rest") as errand:
        assert not errand.round_wants() and not errand.cancelled()
        jobs.state(1).ask_for_round(force=False)
        assert errand.round_wants()
        errand.more = True
    assert jobs.errands.waiting(1)["rest"]["attempts"] == 0  # to step aside is not to fail
    jobs.redis.delete("quorum:project:1:wanted", "rq:queue:quorum")
    with errand_work._errand(1, "rest"):
        pass
    assert jobs.errands.waiting(1) == {}


def test_a_redis_that_came_back_empty_forgets_no_rest_that_was_under_way(jobs, store, waiting):
    store.keep_figures("rest", {"state": "running", "as": "annotations"})
    jobs.redis.flushall()
    reconcile_job()
    assert waiting(HEAVY) == ["rest_job"]
    store.keep_figures("rest", {"state": "done"})
    jobs.redis.flushall()
    reconcile_job()
    assert waiting(HEAVY) == [] and waiting(QUICK) == ["look_job"]


@pytest.mark.parametrize("asked_again", [False, True])
def test_a_rest_that_is_stopped_stays_so_although_redis_came_back_empty(
    jobs, store, waiting, asked_again
):
    store.keep_figures("rest", {"state": "running", "as": "annotations", "done": 20})
    jobs.redis.flushall()
    if asked_again:
        jobs.state(1).ask_for_round(force=True)  # the rest waits for its end
        reconcile_job()
    jobs.errands.cancel_rest(1)
    assert store.figures("rest") == {"state": "cancelled", "as": "annotations", "done": 20}
    jobs.redis.delete("quorum:project:1:wanted")
    reconcile_job()
    assert waiting(HEAVY) == [] and jobs.errands.waiting(1) == {}


def test_after_a_round_the_rest_gets_its_drafts_again(jobs, project, store, work_off, waiting):
    two_versions(jobs, project, store, work_off)
    assert jobs.errands.waiting(1) == {}
    store.keep_figures("rest", {"state": "done", "as": "predictions"})
    project.annotate([6, 7, 8])
    jobs.request_look(1)
    work_off(most=40)
    asked = jobs.errands.waiting(1).get("rest") or store.figures("rest")
    assert asked.get("arguments", ["predictions"]) == ["predictions"]
    assert store.figures("rest")["as"] == "predictions" and "began_at" in store.figures("rest")


def test_without_redis_the_remedy_is_named(settings):
    nowhere = Jobs(Redis(port=9, socket_connect_timeout=0.2), settings)
    for ask in (nowhere.errands.request_rest_undo, nowhere.errands.cancel_rest):
        with pytest.raises(JobsError, match="QUORUM_REDIS_URL"):
            ask(1)
