"""A volume and a scratch folder for commands that are run as in a container."""

import subprocess
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from .sealed import ENTRY, environment, is_possible, sealed


@pytest.fixture(scope="session")
def can_seal():
    if not is_possible():
        pytest.skip("this machine lets no test have a read-only view of its files (unshare)")


@pytest.fixture
def container(can_seal, tmp_path):
    """Runs entry scripts under a read-only view; `volume` is /data, `log` what they print."""
    volume, scratch, log = tmp_path / "data", tmp_path / "tmp", tmp_path / "log"

    def command(script, *arguments):
        return sealed([ENTRY / script, *arguments], volume, scratch)

    def run(script, *arguments, **variables):
        return subprocess.run(
            command(script, *arguments),
            env=environment(volume, scratch, **variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def running(script, *arguments, **variables):
        with log.open("a") as stream:
            process = subprocess.Popen(
                command(script, *arguments),
                env=environment(volume, scratch, **variables),
                stdout=stream,
                stderr=stream,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def until(condition, what, timeout_s=60):
        limit = time.monotonic() + timeout_s
        while time.monotonic() < limit:
            if condition():
                return
            time.sleep(0.2)
        raise AssertionError(f"{what} did not come: {log.read_text() if log.exists() else ''}")

    return SimpleNamespace(run=run, running=running, until=until, volume=volume, log=log)
