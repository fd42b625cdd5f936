"""The whole loop through queues and workers, with a project in memory in Label Studio's place."""

import pytest

from ml_backend.figures import refresh
from ml_backend.jobs import HEAVY, QUICK
from ml_backend.jobs.work import advance_all_job, reconcile_job


def label(project, indices):
    project.annotate(indices)


def test_a_look_starts_the_first_order_and_labels_start_a_round(jobs, project, store, work_off):
    jobs.request_look(1)
    work_off()
    first = store.current()
    assert first == project.served
    assert jobs.latest(1)["result"]["did"] == "ordered"
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off()
    status = jobs.latest(1)
    assert status["job_status"] == "finished" and status["result"]["did"] == "trained"
    assert store.current() == project.served == status["result"]["version"] != first


def test_a_round_waits_neither_for_figures_nor_for_the_next_look(
    jobs, project, work_off, waiting, monkeypatch
):
    queued = []
    monkeypatch.setattr(refresh, "refresh", lambda *_: queued.extend(waiting(HEAVY)) or 0)
    jobs.request_look(1)
    work_off(QUICK, most=1)
    assert queued == ["gather_job"]
    work_off(QUICK)
    assert waiting(HEAVY) == ["gather_job"]  # asked for twice, queued once


def test_too_few_labels_start_nothing_but_start_training_does(jobs, project, store, work_off):
    label(project, [*project.data.test[:2], 0, 1])
    jobs.request_look(1)
    work_off()
    assert jobs.latest(1)["result"]["did"] == "trained"  # the first: there was no order yet
    before = store.current()
    label(project, [2])
    jobs.request_look(1)
    work_off()
    assert store.current() == before
    name = jobs.request_round(1, force=True)
    work_off()
    assert jobs.status(name)["result"]["did"] == "trained"
    assert store.current() != before


def test_while_paused_no_round_begins_by_itself_but_one_asked_for_does(
    jobs, project, store, work_off
):
    store.keep_overrides({"paused": True})
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off()
    assert store.current() is None and jobs.latest(1) is None
    jobs.request_round(1, force=True)
    work_off()
    assert jobs.latest(1)["result"]["did"] == "trained"


def test_forced_without_anything_new_a_round_does_nothing(jobs, project, store, work_off):
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off()
    name = jobs.request_round(1, force=True)
    work_off()
    assert jobs.status(name)["result"]["did"] == "nothing"


def test_a_round_goes_on_after_redis_came_back_empty(jobs, project, store, work_off, waiting):
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off(QUICK)
    work_off(HEAVY, most=2)  # gathered, and the members trained
    (version,) = store.works()
    weights = store.work(version).get("member-0")
    assert weights
    jobs.redis.flushall()
    reconcile_job()
    work_off()
    assert store.current() == project.served == version
    from safetensors.torch import load

    kept = load(weights)
    assert all((kept[name] == tensor).all() for name, tensor in store.states(version)[0].items())


def test_what_a_killed_step_left_is_taken_up_by_the_timer(jobs, project, store, work_off, pass_by):
    from rq import Queue

    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off(QUICK)
    work_off(HEAVY, most=1)
    # The worker dies with the job it had just taken.
    jobs.redis.delete(Queue(HEAVY, connection=jobs.redis).key)
    work_off()
    advance_all_job()
    work_off()
    assert store.current() is None
    pass_by(31)
    advance_all_job()
    work_off()
    assert store.current() == project.served


@pytest.mark.parametrize("lost", ["training", "gathered", "member-0", "evaluation"])
def test_a_lost_artefact_sends_the_round_back_and_it_ends(
    jobs, project, store, work_off, settings, lost
):
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off(QUICK)
    work_off(HEAVY, most=2)
    for path in settings.store_root.rglob(f"*/{lost}*"):
        path.unlink()
    work_off()
    assert store.current() == project.served
    assert jobs.latest(1)["job_status"] == "finished"


def test_several_workers_get_the_members_apart(jobs, project, store, work_off, monkeypatch):
    monkeypatch.setattr("ml_backend.jobs.queue.Jobs.workers", lambda self: 2)
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off(QUICK)
    work_off(HEAVY, most=1)
    from rq import Queue

    steps = [job.args[-1] for job in Queue(HEAVY, connection=jobs.redis).get_jobs()]
    assert steps == ["train-0", "train-1"]
    assert jobs.latest(1)["step"] in ("gather", "train")
    work_off()
    assert store.current() == project.served


def test_labels_made_during_a_round_start_the_next_one(jobs, project, store, work_off):
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off(QUICK)
    work_off(HEAVY, most=2)
    label(project, [3, 4, 5])
    jobs.request_look(1)
    work_off(QUICK)
    assert jobs.state(1).waits
    work_off()
    assert len(store.metadata(store.current())["training_tasks"]) == 6
    assert len([v for v in store.versions() if store.metadata(v)["training_tasks"]]) == 2


def test_a_store_that_is_away_is_said_and_the_round_goes_on_when_it_is_back(
    jobs, project, store, work_off, settings
):
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off(QUICK)
    work_off(HEAVY, most=1)
    root = settings.store_root / "projects"
    away = root.rename(root.with_name("away"))
    root.write_text("a file where the folder was")
    work_off()
    assert jobs.latest(1)["job_status"] == "started"
    assert "check the disk" in jobs.latest(1)["error"]
    root.unlink()
    away.rename(root)
    advance_all_job()
    work_off()
    assert jobs.latest(1)["job_status"] == "finished"
    assert store.current() == project.served


def test_a_round_without_a_number_is_none_and_keeps_nobody_waiting(jobs, project, work_off):
    jobs.redis.hset("quorum:project:1:round", "at:train-0", "[]")
    assert jobs.state(1).running() == {}
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off()
    assert jobs.latest(1)["job_status"] == "finished"


def test_a_label_config_changed_during_a_round_begins_it_anew(jobs, project, store, work_off):
    label(project, [*project.data.test[:2], 0, 1, 2])
    jobs.request_look(1)
    work_off(QUICK)
    work_off(HEAVY, most=3)
    old = project.label_config
    project.label_config = old.replace(
        '<Label value="disc"/>', '<Label value="a"/><Label value="disc"/>'
    )
    work_off()
    metadata = store.metadata(store.current())
    assert metadata["labels"] == ["a", "disc"]
    assert project.served == store.current()
    assert len(metadata["training_tasks"]) == 3
