"""The latency bench: what it measures over HTTP, what it says of it, and where the time goes."""

import json
import threading
import time

import pytest

from bench.latency import main
from bench.latency.load import Measured
from bench.latency.section import section
from bench.parts import Parts
from ml_backend.learning.training import preset


def rows(*shares):
    return [Measured(512, 1, 1, 10, 20.0, 30.0, 17.0, [share], 12.0) for share in shares]


def test_every_kind_of_request_is_answered_with_drafts(tmp_path):
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    words = ["--sides", "64", "--tasks", "1,2", "--clients", "3", "--requests", "6", "--runs", "1"]
    assert main([*words, "--steps", "2", "--page", str(page), "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    kinds = [(r["side"], r["clients"], r["tasks"]) for r in found["requests"]]
    assert kinds == [(64, 1, 1), (64, 1, 2), (64, 3, 1)]
    assert all(0 < r["p50_ms"] <= r["p99_ms"] and r["forward_ms"] > 0 for r in found["requests"])
    parts = found["parts"]["2 tasks, 64²"]
    # Not the brush code: after two steps there may be nothing to draw.
    assert {"forward passes", "PNG", "JSON", "pictures fetched"} <= set(parts)
    assert all(milliseconds >= 0 for milliseconds in parts.values())
    text = page.read_text()
    assert text.count("<!-- latency -->") == 1 and "| 64² | 3 | 1 |" in text


def test_the_goal_is_judged_by_the_share_outside_the_passes():
    settings = preset("cpu")
    assert "held everywhere" in section(rows(0.1, 0.2), {}, settings, "c")
    text = section(rows(0.1, 0.21), {}, settings, "c")
    assert "held in 1 of 2 rows" in text and "**Above**: 1 × 1 at 512² (21%)" in text


class Work:
    def outer(self):
        time.sleep(0.02)
        return self.inner()

    def inner(self):
        time.sleep(0.04)
        return "done"


class Inherited(Work):
    pass


def test_a_part_inside_another_counts_once_and_all_is_put_back():
    parts, before = Parts(), vars(Work).copy()
    with parts.timed([("outer", Work, "outer"), ("inner", Inherited, "inner")]):
        assert Inherited().outer() == "done"
    assert 0.02 <= parts.seconds["outer"] < 0.04 <= parts.seconds["inner"]
    assert vars(Work) == before and "inner" not in vars(Inherited)


def test_parts_of_threads_at_once_are_summed():
    parts = Parts()
    with parts.timed([("inner", Work, "inner")]):
        threads = [threading.Thread(target=Work().inner) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert parts.seconds["inner"] >= 3 * 0.04


def test_a_function_that_fails_is_put_back(monkeypatch):
    monkeypatch.setattr(Work, "inner", lambda self: 1 / 0)
    before, parts = Work.inner, Parts()
    with pytest.raises(ZeroDivisionError), parts.timed([("inner", Work, "inner")]):
        Work().inner()
    assert Work.inner is before and parts.seconds["inner"] >= 0
