"""One fault of each kind on real servers of its own, through the benchmark's own command."""

import json
import os
import subprocess
import sys

import pytest

from bench.faults.plan import KINDS
from launcher import CLONE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    file = tmp_path_factory.mktemp("faults") / "faults.json"
    command = ["-m", "bench.faults", "--count", str(len(KINDS)), "--seed", "1", "--json", file]
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(CLONE)},
        capture_output=True,
        text=True,
        timeout=900,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert file.is_file(), done.stderr
    return json.loads(file.read_text()) | {"status": done.returncode, "said": done.stdout}


@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_recovers_by_itself_and_ends_as_undisturbed(report, kind):
    (fault,) = [fault for fault in report["faults"] if fault["kind"] == kind]
    assert fault["wrong"] == [], report["said"]
    assert fault["half_versions"] == []
    assert fault["labels_lost"] == 0
    assert fault["looks"] > 20  # somebody watched all the while


def test_the_command_s_status_is_the_outcome(report):
    assert report["status"] == (0 if all(f["recovered"] for f in report["faults"]) else 1)
