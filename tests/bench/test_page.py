"""The progress page's bench: what it measures, what it says, and the project that it makes up."""

import json

from bench.page.cli import ADDRESSES, GOAL_SIZE, Measured, main, section
from bench.page.project import fill
from ml_backend.settings import Settings
from ml_backend.store import Store


def test_every_address_answers_for_a_small_project(tmp_path):
    page, figures = tmp_path / "page.md", tmp_path / "page.json"
    words = ["--sizes", "400", "--requests", "5", "--page", str(page), "--json", str(figures)]
    assert main(words) == 0
    rows = json.loads(figures.read_text())
    assert [(r["address"], r["anew"]) for r in rows] == [
        (address, anew) for anew in (False, True) for address in ADDRESSES
    ]
    assert all(0 < r["p50_ms"] <= r["p99_ms"] and r["bytes"] > 300 for r in rows)
    text = page.read_text()
    assert text.count("<!-- page -->") == 1 and "| 400 | `/progress/ID` |" in text


def test_the_goal_is_judged_by_the_page_alone_at_its_size():
    def rows(p99_ms):
        times = {address: p99_ms if address == ADDRESSES[0] else 900.0 for address in ADDRESSES}
        return [
            Measured(GOAL_SIZE, address, anew, 200, 5.0, times[address], 1000)
            for anew in (False, True)
            for address in ADDRESSES
        ]

    assert "at most 150 ms" in section(rows(150.0), "c")
    assert "**above**" not in section(rows(150.0), "c")
    assert "**above** the 200 ms" in section(rows(201.0), "c")


def test_what_is_made_up_is_the_same_every_time_and_adds_up(tmp_path):
    kept = []
    for name in ("a", "b"):
        settings = Settings(data_dir=tmp_path / name, target_mean_iou=0.82)
        store = Store(settings.store_root, 4)
        kept.append((fill(store, 4, settings, 600), store))
    (one, store), (other, _) = kept
    assert one.versions == other.versions and len(one.versions) == 12
    counts = store.figures("standing")["counts"]
    assert counts["labelled"] == len({record.task for record in one.records}) == 74
    assert counts["slices"] == counts["labelled"] + counts["waiting"] + counts["skipped"] == 600
    rows = store.figures("quality")["versions"]
    assert [row["labels"] for row in rows][-1] == 74
    scores = [row["mean_iou"]["mean"] for row in rows[1:]]
    assert scores[-1] > scores[0]
    assert len(store.picture_names()) == settings.k == len(store.figures("next")["next"])
    people = store.figures("people")["people"]
    assert sum(person["slices"] for person in people) == len(one.records)
