"""The unattended demo as a user runs it, with a small committee."""

import json
import os
import subprocess

import psutil
import pytest

from launcher import CLONE

from .conftest import SMALL


@pytest.mark.slow
def test_the_simulation_goes_round_and_cleans_up_after_itself(tmp_path):
    data, file = tmp_path / "data", tmp_path / "out.json"
    command = ["demo", "--simulate", "--rounds", "2", "--json", file, "--data", data]
    done = subprocess.run(
        [CLONE / "quorum", *command],
        env={**os.environ, **SMALL},
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rounds = json.loads(file.read_text())["rounds"]
    assert [entry["round"] for entry in rounds] == [1, 2]
    assert [entry["labelled"] for entry in rounds] == [6, 12]
    for entry in rounds:
        assert entry["served"] == entry["wanted"] and len(entry["wanted"]) == 6
        assert entry["version"] in done.stdout
        assert 0 < entry["mean_iou"] < entry["dice"] < 1
        assert min(entry["train_s"], entry["score_s"], entry["reorder_s"]) > 0
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(p.info["cmdline"])]
    assert left == []
