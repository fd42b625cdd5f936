"""A round's time line: made of a recording, without the servers that it was taken from."""

import json
from pathlib import Path

import pytest

from bench.round.cli import main
from bench.round.timeline import WAIT, bars_of, served_after_s

RECORDED = Path(__file__).with_name("round-recorded.json")


@pytest.fixture
def recorded():
    return json.loads(RECORDED.read_text())


def names(bars):
    return [bar.name for bar in bars if bar.kind != WAIT]


def test_the_table_and_the_picture_of_a_recording(tmp_path, capsys):
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("# Measured\n\n<!-- other -->\nkept\n<!-- /other -->\n")
    for _ in range(2):
        assert main(["--recording", str(RECORDED), "--page", str(page)]) == 0
    text = page.read_text()
    assert "kept" in text and text.count("<!-- round -->") == 1
    assert "round 2 (16 labels) 295.5 s" in text
    assert "| train-0 | 4.28 | 257.70 | 87.2% |" in text
    assert "| – pushes the first predictions | 292.33 |" in text
    picture = page.parent / "images" / "round-timeline.png"
    assert "](images/round-timeline.png)" in text and picture.stat().st_size > 10_000
    assert "| order |" in capsys.readouterr().out


def test_steps_come_in_their_order_and_parts_lie_within_them(recorded):
    (made,) = recorded["rounds"]
    bars = bars_of(made, recorded["seen"])
    steps = ["gather", "train-0", "publish", "score-0", "order", "first task handed out"]
    assert [name for name in names(bars) if name in steps] == steps
    for bar in bars:
        edges = [bar.begins_s, *(part.ends_s for part in bar.parts), bar.ends_s]
        assert edges == sorted(edges)
    assert min(bar.begins_s for bar in bars) == 0
    (order,) = [bar for bar in bars if bar.name == "order"]
    assert [part.name for part in order.parts] == [
        "selects",
        "pushes the first predictions",
        "pushes the rest",
        "looks for new tasks",
        "switches",
        "tabs, clears its work",
    ]


def test_what_no_step_covers_is_told_as_a_wait(recorded):
    (made,) = recorded["rounds"]
    bars = bars_of(made, recorded["seen"])
    waits = [bar for bar in bars if bar.kind == WAIT]
    assert next(bar.name for bar in waits) == "between train-0 and publish"
    assert sum(bar.takes_s for bar in waits) == pytest.approx(0.88, abs=0.05)
    # Each moment until the switch is either a step's or a wait's, but for gaps too short to tell.
    reached = 0.0
    for bar in bars:
        assert bar.begins_s - reached < 0.1
        reached = max(reached, bar.ends_s)
    assert reached > served_after_s(made)


def test_several_workers_are_told_apart(recorded):
    (made,) = recorded["rounds"]
    jobs = recorded["seen"]["jobs"]
    one = next(job_id for job_id in jobs if "-train-0-" in job_id)
    other = {**jobs[one], "what": jobs[one]["what"].replace("train-0", "train-1"), "worker": "zz"}
    jobs[one.replace("train-0", "train-1")] = other
    told = names(bars_of(made, recorded["seen"]))
    assert {"train-0 (worker 1)", "train-1 (worker 2)"} <= set(told)


def test_a_recording_without_a_rounds_steps_is_refused(recorded, tmp_path, capsys):
    jobs = recorded["seen"]["jobs"]
    recorded["seen"]["jobs"] = {name: job for name, job in jobs.items() if "publish" not in name}
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps(recorded))
    assert main(["--recording", str(path)]) == 2
    assert "lacks steps of round r0002" in capsys.readouterr().err
    path.write_text("[]")
    assert main(["--recording", str(path)]) == 2


def test_an_order_that_was_not_served_fails_the_bench(recorded, tmp_path):
    recorded["rounds"][0]["in_order"] = False
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps(recorded))
    assert main(["--recording", str(path)]) == 1
