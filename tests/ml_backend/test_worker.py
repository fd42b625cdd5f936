"""The attendant with its timers, and a worker, as processes on a real Redis."""

import os
import subprocess
import sys
import time

from redis import Redis
from rq import Queue, Worker

from launcher import CLONE
from ml_backend.caches.pictures import PictureCache
from ml_backend.connection import Connection, keep_connection, keep_disconnected
from ml_backend.jobs import HEAVY, Jobs
from ml_backend.settings import Settings
from ml_backend.worker import RoundWorker, _Attendant


def run(environment, log, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "ml_backend.worker", *arguments],
        env=environment,
        stdout=log,
        stderr=log,
    )


def test_the_timer_finds_a_project_whose_webhook_was_lost(redis_url, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(CLONE),
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        "QUORUM_RECONCILE_S": "1",
        "QUORUM_HEARTBEAT_S": "1",
        # Nobody listens there: the look ends with words.
        "LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "LABEL_STUDIO_API_KEY": "0" * 40,
        "QUORUM_PATIENCE_S": "0",
    }
    jobs = Jobs.connect(Settings.from_environment(environment))
    jobs.redis.flushall()
    with (tmp_path / "log").open("w") as log:
        attendant = run(environment, log, "--attendant")
        try:
            # A project that comes to be after the attendant's first reconcile.
            time.sleep(3)
            (tmp_path / "store" / "projects" / "3").mkdir(parents=True)
            limit = time.monotonic() + 60
            while time.monotonic() < limit and not jobs.state(3).trouble:
                time.sleep(0.2)
            trouble = jobs.state(3).trouble
        finally:
            attendant.terminate()
            attendant.wait(20)
    assert trouble is not None, (tmp_path / "log").read_text()
    assert "cannot be reached" in trouble


def test_a_worker_takes_steps_and_leaves_no_process_behind(redis_url, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(CLONE),
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        "QUORUM_DEVICE": "cpu",
        "LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "LABEL_STUDIO_API_KEY": "0" * 40,
        "QUORUM_PATIENCE_S": "0",
    }
    jobs = Jobs.connect(Settings.from_environment(environment))
    jobs.redis.flushall()
    with (tmp_path / "log").open("w") as log:
        both = [run(environment, log), run(environment, log, "--attendant")]
        try:
            name = jobs.request_round(3)
            limit = time.monotonic() + 60
            while time.monotonic() < limit:
                try:
                    if jobs.status(name)["job_status"] == "failed":
                        break
                except Exception:
                    pass
                time.sleep(0.2)
            status = jobs.status(name)
            (worker,) = Worker.all(queue=Queue(HEAVY, connection=jobs.redis))
            device = jobs.redis.hget(worker.key, "device")
        finally:
            for process in both:
                process.terminate()
            for process in both:
                process.wait(20)
    assert "cannot be reached" in status["error"], (tmp_path / "log").read_text()
    assert jobs.workers() == 0
    assert device == b"cpu"


def test_a_device_that_there_is_not_is_told_with_its_remedy(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(CLONE), "QUORUM_DEVICE": "gpu"}
    with (tmp_path / "log").open("w") as log:
        status = run(environment, log).wait(120)
    said = (tmp_path / "log").read_text()
    assert status == 2
    assert "QUORUM_DEVICE: there is no device 'gpu': use auto, cpu, cuda or cuda:N" in said


def test_a_worker_tidies_its_machine(redis_url, tmp_path):
    settings = Settings(data_dir=tmp_path, redis_url=redis_url)
    Redis.from_url(redis_url).flushall()
    for project_id in (1, 2):
        keep_connection(settings, project_id, Connection("http://backend.example"))
        PictureCache.of(settings, project_id).keep(7, "/data/upload/1/0300b9c5-s.png", b"png")
    keep_disconnected(settings, 1)
    worker = RoundWorker(["canaries"], connection=Redis.from_url(redis_url))
    worker.settings = settings
    worker.work(burst=True, logging_level="CRITICAL")
    assert [path.name for path in (tmp_path / "cache" / "projects").iterdir()] == ["2"]


def test_redis_keeps_of_an_error_the_place_and_none_of_its_words(redis_url, tmp_path):
    connection = Redis.from_url(redis_url)
    connection.flushall()
    job = Queue("canaries", connection=connection).enqueue(
        "tests.ml_backend.test_worker.fail_with", "PATIENT^CANARY"
    )
    attendant = _Attendant(["canaries"], connection=connection)
    attendant.settings = Settings(data_dir=tmp_path, redis_url=redis_url)
    attendant.work(burst=True, logging_level="CRITICAL")
    kept = job.latest_result().exc_string
    assert "ValueError" in kept and "test_worker.py" in kept and "CANARY" not in kept
    results = [connection.dump(key) for key in connection.keys("*result*")]
    assert results and not any(b"CANARY" in value for value in results)


def fail_with(text):
    raise ValueError(f"{text}\nPATIENT^CANARY: on a line of its own")
