"""A worker that is asked to end in the middle of a training gives the step back."""

import os
import signal
import subprocess
import sys
import time

from rq import Queue

from launcher import CLONE
from ml_backend.jobs import HEAVY, Jobs
from ml_backend.jobs.advance import advance
from ml_backend.settings import Settings

PROJECT = 9
# In place of a step: one that goes on until it is killed.
PROGRAM = """
import time
from ml_backend.jobs import work
work.gather_job = lambda *_: time.sleep(60)
from ml_backend.worker import main
raise SystemExit(main())
"""


def until(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_stops_as_many_as_there_are_attempts_fail_no_round(redis_url, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(CLONE),
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        "QUORUM_DEVICE": "cpu",
        "QUORUM_ATTEMPTS": "1",
    }
    jobs = Jobs.connect(Settings.from_environment(environment))
    jobs.redis.flushall()
    jobs.state(PROJECT).ask_for_round(force=True)
    advance(jobs, PROJECT)
    queue = Queue(HEAVY, connection=jobs.redis)
    for _ in range(2):
        with (tmp_path / "log").open("a") as log:
            worker = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], env=environment, stdout=log, stderr=log
            )
            try:
                until(lambda: queue.started_job_registry.count == 1)
                worker.send_signal(signal.SIGTERM)  # once, as docker does
                assert worker.wait(30) == 0, (tmp_path / "log").read_text()
            finally:
                worker.kill()
                worker.wait()
        assert queue.started_job_registry.count == 0
        advance(jobs, PROJECT)  # as the attendant does
        assert queue.count == 1  # at once: nobody waits for a heartbeat to be late
        assert jobs.state(PROJECT).running()["attempts:gather"] == "1"
    jobs.redis.flushall()
