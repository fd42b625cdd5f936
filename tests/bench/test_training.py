"""The training bench: every way trains, and what is said of the time to the same score."""

import json

import pytest

from bench.training import main, to_the_same_score
from bench.training_ways import FLOOR, WAYS, measure
from ml_backend.learning.training_settings import TrainingSettings

TINY = TrainingSettings(
    network="unet", width=2, scales=2, side_px=16, steps=2, batch_size=2, members=2, device="cpu"
)
RATES = [way for way in WAYS if way.startswith("adam")]


def test_two_ways_take_turns_and_make_a_table(tmp_path):
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    words = ["--runs", "2", "--steps", "1", "--side", "16", "--ways", "plain", "ours"]
    assert main([*words, "--device", "cpu", "--page", str(page), "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert {way: len(runs) for way, runs in found.items()} == {"plain": 2, "ours": 2}
    assert "<!-- training-cpu -->" in page.read_text() and "| ours |" in page.read_text()


@pytest.mark.parametrize("way", ["plain", FLOOR, *RATES])
def test_a_way_runs(way):
    figures = measure(way, TINY)
    assert figures["seconds"] > 0 and 0 <= figures["mean_iou"] <= 1


def measured(*scores):
    others = {
        way: [{"seconds": 100.0 * times, "mean_iou": score}]
        for times, (way, score) in enumerate(zip(RATES, scores, strict=False), start=1)
    }
    return {"ours": [{"seconds": 50.0, "mean_iou": 0.8}], **others}


def test_our_score_lies_between_two_numbers_of_steps():
    said = to_the_same_score(measured(0.7, 0.81, 0.82))
    assert "between 2.0" in said and f"4.0 (*{WAYS[RATES[1]].title}*: 0.810) times as fast" in said
    said = to_the_same_score(measured(0.7, 0.75))
    assert "more than 4.0" in said and "0.750" in said
    assert "at most 2.0" in to_the_same_score(measured(0.8))
    assert "times as fast" not in to_the_same_score({"ours": measured()["ours"]})
