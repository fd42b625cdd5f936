"""Originals out of archives do not outlive the return that took them out."""

import signal
import subprocess
import sys

import pytest

from importer.segmentations.spool import spool_in

RETURN = """
import sys
from pathlib import Path
from importer.segmentations.spool import spool_in
with spool_in(Path(sys.argv[1])) as spool:
    (spool / "original.dcm").write_bytes(b"identified")
    print("there", flush=True)
    sys.stdin.read()
"""


def started(out, *before):
    process = subprocess.Popen(
        [*before, sys.executable, "-c", RETURN, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "there\n"
    assert len(list(out.glob("*/original.dcm"))) == 1
    return process


def ended(process):
    """Close its input, its exit status."""
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_return_that_is_told_to_end_leaves_nothing(number, tmp_path):
    with started(tmp_path) as process:
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_return_left_is_removed_by_the_next(tmp_path):
    with started(tmp_path) as process:
        process.kill()
    (left,) = tmp_path.iterdir()
    earlier = tmp_path / ".return-of-an-earlier-release"  # had no lock
    earlier.mkdir()
    (earlier / "original.dcm").write_bytes(b"identified")
    with spool_in(tmp_path) as spool:
        assert list(tmp_path.iterdir()) == [spool] != [left]
    assert list(tmp_path.iterdir()) == []


def test_the_originals_of_a_return_that_runs_stay(tmp_path):
    with started(tmp_path) as process:
        with spool_in(tmp_path) as spool:
            assert len(list(tmp_path.iterdir())) == 2
            assert not list(spool.glob("*.dcm"))
        assert len(list(tmp_path.glob("*/original.dcm"))) == 1
        assert ended(process) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_return_under_nohup_outlives_its_terminal(tmp_path):
    with started(tmp_path, "nohup") as process:
        process.send_signal(signal.SIGHUP)
        assert ended(process) == 0


def test_a_link_of_that_name_is_not_followed(tmp_path):
    kept, out = tmp_path / "kept", tmp_path / "out"
    kept.mkdir()
    out.mkdir()
    (kept / "original.dcm").write_bytes(b"somebody's own")
    (out / ".return-link").symlink_to(kept)
    with spool_in(out):
        pass
    assert (kept / "original.dcm").exists()


def test_handlers_are_as_before_afterwards(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with spool_in(tmp_path):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
