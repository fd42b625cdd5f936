"""The gather bench: its slices, that it sees a difference, what it says, and a small run."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.gather import Measured, Run, differs, label_map, main, png, section
from ml_backend.gathering import LabelledSet
from ml_backend.images import read_image


def labelled():
    images = [np.arange(12, dtype=np.uint8).reshape(3, 4), np.zeros((2, 2), np.uint8)]
    maps = [np.zeros((3, 4), np.uint8), np.ones((2, 2), np.uint8)]
    return LabelledSet([1, 2], images, maps, ["a", "b"], "f")


@pytest.mark.live
def test_a_small_project_is_gathered_alike_all_three_ways(tmp_path):
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    words = ["--tasks", "12", "--side", "48", "--runs", "2"]
    assert main([*words, "--page", str(page), "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert found["tasks"] == 12 and len(found["runs"]) == 2 and found["disk_bytes"] > 12 * 48 * 48
    for run in found["runs"]:
        assert min(run["cold_s"], run["again_s"], run["changed_s"]) > 0
        assert run["cold_parts"]["pictures from Label Studio"] > 0
        assert "pictures from Label Studio" not in run["again_parts"]
    text = page.read_text()
    assert text.count("<!-- gather -->") == 1 and "| again, 10 annotations changed |" in text


def test_a_difference_is_seen_wherever_it_is():
    assert differs(labelled(), labelled()) == ""
    other = labelled()
    other.images[1][1, 1] = 1
    assert differs(labelled(), other) == "images"
    other = labelled()
    other.label_maps[0][2, 3] = 2
    assert differs(labelled(), other) == "label_maps"
    assert differs(labelled(), replace(labelled(), fingerprint="g")) == "fingerprint"
    assert differs(labelled(), replace(labelled(), groups=["a", "c"])) == "groups"


def test_slices_differ_and_are_the_same_every_time():
    assert png(3, 32) == png(3, 32) != png(15, 32)
    assert read_image(png(3, 32)).shape == (32, 32)
    maps = [label_map(number, 64) for number in range(20)]
    assert {int(value) for each in maps for value in np.unique(each)} == {0, 1, 2}
    assert len({each.tobytes() for each in maps}) == 20


def test_the_goal_is_judged_by_the_median_of_the_runs():
    def text(*again_s):
        runs = [Run(10.0, again, 1.0, {"PNG": 10.0}, {"PNG": again}) for again in again_s]
        return section(Measured(100, 64, 5.0, 1.0, 9.0, 10**6, 10**6, runs), "c")

    assert "25 times as fast: as was aimed at" in text(0.4, 0.1, 0.6)
    assert "**less than the 20 aimed at**" in text(0.4, 0.6, 0.6)
