"""The scoring bench: floor and scoring of the same members, and the memory of two pools."""

from dataclasses import replace

import bench.scoring
from bench.scoring import committee_of, floor, main, scoring
from ml_backend.learning.training_settings import TrainingSettings

TINY = TrainingSettings(network="unet", width=2, scales=2, side_px=16, members=2, device="cpu")


def test_both_take_turns_and_make_a_table(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    monkeypatch.setattr(bench.scoring, "preset", lambda device: replace(TINY, device=device))
    words = ["--slices", "16", "--runs", "2", "--side", "16", "--device", "cpu"]
    assert main([*words, "--page", str(page)]) == 0
    text = page.read_text()
    assert "<!-- scoring-cpu -->" in text and "16 slices: " in text and "64 slices: " in text


def test_every_slice_is_scored():
    committee, asked = committee_of(TINY), []
    usual = committee.score

    def counting(images, *arguments):
        for scored in usual(images, *arguments):
            asked.append(scored)
            yield scored

    committee.score = counting
    assert scoring(committee, 24) > 0 and len(asked) == 24
    assert floor(committee, 24) > 0
