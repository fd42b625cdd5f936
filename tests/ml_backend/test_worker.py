"""A worker process with its timer, on a real Redis."""

import os
import subprocess
import sys
import time

from launcher import CLONE
from ml_backend.jobs import Jobs
from ml_backend.settings import Settings


def test_the_timer_finds_a_project_whose_webhook_was_lost(redis_url, tmp_path):
    (tmp_path / "store" / "projects" / "3").mkdir(parents=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(CLONE),
        "QUORUM_REDIS_URL": redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        "QUORUM_RECONCILE_S": "1",
        # Nobody listens there: the round ends with words.
        "LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "LABEL_STUDIO_API_KEY": "0" * 40,
    }
    jobs = Jobs.connect(Settings.from_environment(environment))
    jobs.redis.flushall()
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "ml_backend.worker", "--cron"],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            limit, seen = time.monotonic() + 60, None
            while time.monotonic() < limit and not (seen and seen["job_status"] == "failed"):
                seen = jobs.latest(3)
                time.sleep(0.2)
        finally:
            worker.terminate()
            worker.wait(20)
    assert seen is not None, (tmp_path / "log").read_text()
    assert "cannot be reached" in seen["error"]
