"""The bench of the brush code, in small."""

import json

import numpy as np
import pytest

from bench import brush
from bench.brush import Measured, main, masks, measure, section


def test_every_mask_is_measured_both_ways(tmp_path, capsys):
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    words = ["--sizes", "16,24", "--runs", "2", "--no-peer"]
    assert main([*words, "--page", str(page), "--json", str(figures)]) == 0
    rows = json.loads(figures.read_text())
    names = [name for name, _ in masks(16)]
    assert [(r["mask"], r["side"], r["way"]) for r in rows] == [
        (name, side, way) for side in (16, 24) for name in names for way in ("encode", "decode")
    ]
    assert all(len(r["ours_ms"]) == len(r["sdk_ms"]) == 2 and not r["rust_ms"] for r in rows)
    text = page.read_text()
    assert text.count("<!-- brush -->") == 1
    assert text.count("| disc | 24² |") == capsys.readouterr().out.count("| disc | 24² |") == 2


def test_the_masks_are_the_same_every_time_and_differ():
    made = [dict(masks(32)) for _ in range(2)]
    assert all(np.array_equal(made[0][name], made[1][name]) for name in made[0])
    assert len({mask.tobytes() for mask in made[0].values()}) == len(made[0])


def test_a_code_that_is_not_the_package_s_fails_the_bench(monkeypatch, capsys):
    monkeypatch.setattr(brush, "encode_rle", lambda mask: [*brush.brush.mask2rle(mask * 255), 0])
    with pytest.raises(RuntimeError, match="not the SDK's"):
        measure("disc", np.eye(8, dtype=np.uint8), 1)
    assert main(["--sizes", "16", "--runs", "1", "--no-peer"]) == 1
    assert "not the SDK's" in capsys.readouterr().err


def test_where_the_goal_is_missed_is_said():
    def measured(name, ours_ms, rust_exact=True):
        return Measured(name, 64, "encode", 900, ours_ms, [10.0, 12.0], [5.0, 5.0], rust_exact)

    text = section([measured("disc", [0.1, 0.1]), measured("noise", [1.0, 2.0])], 2, "command")
    assert "| disc | 64² | 0.9 | 11.0 | 0.100 | 110 (100 to 120) | 2.2 |" in text
    assert "in 1 of 2 comparisons. Below: noise 64², encode (8×)" in text
    assert "2.2 † |" in section([measured("disc", [0.1, 0.1], rust_exact=False)], 2, "command")
