"""A tab's filters."""

from ml_backend.label_studio.connecting import _only


def found_by(items):
    """What Label Studio's "equal" and "is between" find, both ends included."""
    found = []
    for item in items:
        value = item["value"]
        if item["operator"] == "equal":
            found.append(value)
        else:
            assert item["operator"] == "in"
            found += range(value["min"], value["max"] + 1)
    return found


def test_a_tabs_filters_find_exactly_its_tasks_and_runs_need_one_each():
    ids = [7, 3, 4, 5, 9, 10, 4]
    items = _only(ids)
    assert found_by(items) == [3, 4, 5, 7, 9, 10]
    assert len(items) == 3


def test_no_tasks_need_a_filter_that_finds_none():
    assert found_by(_only([])) == [0]
