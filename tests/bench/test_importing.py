"""The bench of the importer's speed, in small."""

import json
import os

from bench.importing import cores, main


def test_each_row_is_measured_and_compared_with_its_own_on_one_core(tmp_path, capsys):
    figures = tmp_path / "figures.json"
    assert main(["--slices", "24", "--runs", "1", "--no-peer", "--json", str(figures)]) == 0
    measured = json.loads(figures.read_text())
    assert all(len(rates) == 1 for rates in measured.values())
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| importer")]
    assert len(rows) == 6 and all(line.endswith("| – |") == ("1 core" in line) for line in rows)


def test_processes_are_bound_to_their_cores_and_let_go_again():
    before = os.sched_getaffinity(0)
    with cores(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
