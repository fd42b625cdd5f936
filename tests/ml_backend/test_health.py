"""What containers' health checks say where the address of Redis is the trouble."""

import os
import subprocess
import sys

import pytest

from ml_backend.health import worker_trouble
from ml_backend.settings import Settings


@pytest.mark.parametrize("part", ["worker", "attendant"])
def test_an_address_that_cannot_be_read_is_told_in_one_line_without_its_password(part):
    told = subprocess.run(
        [sys.executable, "-m", "ml_backend.health", part],
        env={**os.environ, "QUORUM_REDIS_URL": "redis://:S3c/ret+pass@redis:6379/0"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1 and told.stdout == ""
    assert told.stderr.startswith(f"{part}: QUORUM_REDIS_URL must be")
    assert told.stderr.count("\n") == 1 and "%2F" in told.stderr
    assert "S3c" not in told.stderr and "ret+pass" not in told.stderr


@pytest.mark.parametrize("option", ["db=hunter2", "socket_timeout=hunter2", "hunter2=1"])
def test_so_is_one_with_an_option_that_redis_does_not_take(option):
    trouble = worker_trouble(Settings(redis_url=f"redis://127.0.0.1:9/0?{option}"), "quorum")
    assert "QUORUM_REDIS_URL" in trouble and "hunter2" not in trouble
