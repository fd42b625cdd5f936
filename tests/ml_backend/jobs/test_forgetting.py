"""A project that is disconnected is forgotten, and stays so."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from rq import Queue

from ml_backend.connection import Connection, keep_connection, keep_disconnected
from ml_backend.jobs import HEAVY, QUICK
from ml_backend.jobs.forgetting import forget, forget_if_reached, has_work
from ml_backend.jobs.queue import Jobs
from ml_backend.jobs.work import look_job, reconcile_job


@pytest.fixture
def disconnected(settings):
    keep_connection(settings, 1, Connection("http://backend.example"))
    keep_disconnected(settings, 1)


def test_a_round_that_waits_never_begins(jobs, work_off, waiting):
    jobs.request_round(1)
    assert forget(jobs, 1, wait_s=1)
    work_off(QUICK)
    assert waiting(HEAVY) == [] and not has_work(jobs, 1)


def test_a_round_asked_for_afterwards_is_refused_with_words(jobs, project, disconnected, work_off):
    project.annotate([*project.data.test[:2], 0, 1, 2])
    name = jobs.request_round(1, force=True)
    work_off()
    status = jobs.status(name)
    assert status["job_status"] == "failed"
    assert "project 1 is disconnected: run ./quorum connect 1" in status["error"]
    assert not project.served


@pytest.mark.parametrize("ask", ["request_rollback", "request_rest"])
def test_so_is_what_else_would_change_its_order_or_its_drafts(
    jobs, project, store, settings, work_off, ask
):
    project.annotate([*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off()
    keep_connection(settings, 1, Connection("http://backend.example"))
    keep_disconnected(settings, 1)
    project.serve_order_of = None  # whoever asks fails otherwise
    choice = store.current() if ask == "request_rollback" else "predictions"
    getattr(jobs.errands, ask)(1, choice)
    work_off()
    figures = store.figures(ask.removeprefix("request_"))
    assert figures["state"] == "failed" and "run ./quorum connect 1" in figures["error"]


def test_a_round_that_runs_is_ended_although_nobody_works(jobs):
    name = jobs.request_round(1)
    assert jobs.state(1).start_waiting()
    jobs.state(1).note(1, **{"job:gather": "1-1-gather-1"})
    assert forget(jobs, 1, wait_s=1)
    assert jobs.status(name)["job_status"] == "canceled"
    assert not has_work(jobs, 1)


def test_a_step_that_does_not_end_in_time_is_told(jobs, work_off, waiting):
    jobs.request_round(1)
    work_off(QUICK, most=1)
    assert waiting(HEAVY) == ["gather_job"]
    (job,) = Queue(HEAVY, connection=jobs.redis).get_jobs()
    job.prepare_for_execution("somebody", jobs.redis.pipeline())
    job.set_status("started")
    job.heartbeat(datetime.now(timezone.utc), 60)
    assert forget(jobs, 1, wait_s=0.5) is False


def test_annotating_the_rest_and_going_back_are_dropped_but_not_a_data_set(jobs):
    jobs.request_round(1)  # they wait behind it
    jobs.errands.ask(1, "rest_job", "predictions")
    jobs.errands.ask(1, "export_job", "coco")
    forget(jobs, 1, wait_s=0.5)
    assert set(jobs.errands.waiting(1)) == {"export"}


def test_what_is_not_known_needs_no_forgetting(jobs, settings):
    assert forget_if_reached(jobs, 1) is True
    away = Jobs.connect(replace(settings, redis_url="redis://127.0.0.1:1/0"))
    assert forget_if_reached(away, 1) is None


def test_a_late_event_does_not_bring_it_back(jobs, disconnected):
    jobs.request_look(1)
    assert look_job(1) == "disconnected"
    assert not jobs.state(1).waits


def test_the_periodic_look_leaves_it_out_and_forgets_what_redis_still_knew(jobs, disconnected):
    jobs.request_round(1)
    assert reconcile_job() == 1
    assert not has_work(jobs, 1)
    assert not jobs.redis.exists("quorum:project:1:look")
