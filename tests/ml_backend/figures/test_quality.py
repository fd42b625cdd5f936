"""The quality of each version as the page shows it."""

import pytest

from ml_backend.figures.quality import quality, refresh_quality, version_row
from ml_backend.learning.stopping import decide
from ml_backend.store import Store


def metadata(version, training=8, values=(0.6, 0.7, 0.8, 0.7, 0.7), target=None, budget=None):
    labels = training + len(values)
    return {
        "version": version,
        "published_at": "2026-01-01T00:00:00+00:00",
        "labels": ["A", "B"],
        "training": {"steps": 1},
        "training_tasks": list(range(training)),
        "evaluation_tasks": list(range(len(values))),
        "held_out_unit": "patient",
        "quality": {
            "mean_iou": 0.72,
            "dice": 0.83,
            "classes": {"A": {"iou": 0.7, "dice": 0.8}, "B": {"iou": None, "dice": None}},
        },
        "stopping": decide(values, labels, target=target, budget=budget).figures(),
    }


ORDER = {
    "version": "r0000-000000",
    "published_at": "2026-01-01T00:00:00+00:00",
    "training_tasks": [],
    "evaluation_tasks": [],
    "held_out_unit": "patient",
    "quality": None,
}


def figures(*rows):
    return {"versions": [version_row(row) for row in rows]}


def test_a_version_is_shown_with_its_labels_interval_and_classes():
    row = version_row(metadata("r0001-aaaaaa"))
    assert (row["labels"], row["training"], row["evaluation"]) == (13, 8, 5)
    interval = row["mean_iou"]
    assert interval["low"] < interval["mean"] < interval["high"]
    assert interval["mean"] == pytest.approx(0.7)
    assert row["classes"] == [
        {"name": "A", "iou": 0.7, "dice": 0.8},
        {"name": "B", "iou": None, "dice": None},
    ]


def test_an_order_without_a_committee_has_no_quality():
    row = version_row(ORDER)
    assert row["mean_iou"] == {"mean": None, "low": None, "high": None}
    assert row["dice"] is None and row["classes"] == [] and row["labels"] == 0


def test_with_too_few_patients_there_is_a_mean_and_no_interval():
    row = version_row(metadata("r0001-aaaaaa", values=(0.5, 0.7)))
    assert row["mean_iou"] == {"mean": pytest.approx(0.6), "low": None, "high": None}
    assert (
        quality(figures(metadata("r0001-aaaaaa", values=(0.5,))), "r0001-aaaaaa", target=0.9)[
            "distance"
        ]
        is None
    )


def test_the_distance_is_from_the_current_versions_lower_bound():
    panel = quality(
        figures(metadata("r0001-aaaaaa"), metadata("r0002-bbbbbb", values=(0.9,) * 5)),
        "r0001-aaaaaa",
        target=0.8,
    )
    low = panel["versions"][0]["mean_iou"]["low"]
    assert panel["distance"] == pytest.approx(0.8 - low)
    assert [v["current"] for v in panel["versions"]] == [True, False]


def test_a_target_or_budget_set_since_decides_anew():
    kept = figures(metadata("r0001-aaaaaa", target=0.99))
    as_it_was = quality(kept, "r0001-aaaaaa", target=0.99)["stopping"]
    assert not as_it_was["stop"] and "0.990" in as_it_was["reason"]
    lower = quality(kept, "r0001-aaaaaa", target=0.1)["stopping"]
    assert lower["stop"] and lower["target_reached"] and "is reached" in lower["reason"]
    spent = quality(kept, "r0001-aaaaaa", budget=13)["stopping"]
    assert spent["budget_spent"] and spent["reason"].endswith("13 of 13 labels")


def test_nothing_is_known_before_the_first_version():
    assert quality({}, None, target=0.8) == {
        "versions": [],
        "target": 0.8,
        "budget": None,
        "distance": None,
        "stopping": None,
        "random": None,
    }


def test_only_new_versions_are_read_and_removed_ones_are_forgotten(tmp_path, monkeypatch):
    store = Store(tmp_path, 1)
    names = ["r0001-aaaaaa", "r0002-bbbbbb", "r0003-cccccc"]
    for name in names[:2]:
        store.publish(name, [], metadata(name))
    assert [row["version"] for row in refresh_quality(store)["versions"]] == names[:2]
    read = []
    whole = Store.metadata

    def reading(self, name):
        read.append(name)
        return whole(self, name)

    monkeypatch.setattr(Store, "metadata", reading)
    store.publish(names[2], [], metadata(names[2]))
    store.point_to(names[2])
    store.retain(2)
    assert [row["version"] for row in refresh_quality(store)["versions"]] == names[1:]
    assert read == names[2:]
    assert store.figures("quality") == refresh_quality(store)


def test_a_damaged_version_is_left_out_and_the_others_are_shown(tmp_path):
    store = Store(tmp_path, 1)
    for name in ("r0001-aaaaaa", "r0002-bbbbbb"):
        store.publish(name, [], metadata(name))
    damaged = next(tmp_path.rglob("r0001-aaaaaa/version-*.json"))
    damaged.write_text("{")
    assert [row["version"] for row in refresh_quality(store)["versions"]] == ["r0002-bbbbbb"]
