"""The scratch of a round."""

import pytest

from ml_backend.store import Store

from .conftest import FIRST, SECOND

KEY = f"projects/7/work/{FIRST}/member-0"


@pytest.fixture
def work(root):
    return Store(root, 7).work(FIRST)


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 4000])
def test_an_artefact_is_read_back_exactly(work, content):
    work.put("member-0", content)
    assert work.get("member-0") == content


def test_what_is_not_there_is_none(work):
    assert work.get("member-0") is None
    assert work.names() == set()


def test_the_last_one_of_a_name_wins(work):
    for content in (b"one", b"two"):
        work.put("shard-0", content)
    assert work.get("shard-0") == b"two"
    assert work.names() == {"shard-0"}


@pytest.mark.parametrize("damage", ["a bit", "cut off", "empty"])
def test_a_damaged_artefact_counts_as_not_there_and_is_removed(work, objects, damage):
    work.put("member-0", b"weights")
    stored = objects.get(KEY)
    damaged = {"a bit": stored[:-1] + b"S", "cut off": stored[:-3], "empty": b""}[damage]
    objects.put(KEY, damaged)
    assert work.get("member-0") is None
    assert work.names() == set()


def test_a_work_area_is_its_version_s_own(root, work):
    work.put("gathered", b"1")
    other = Store(root, 7).work(SECOND)
    assert other.names() == set()
    other.put("gathered", b"2")
    work.clear()
    assert (work.names(), other.names()) == (set(), {"gathered"})


def test_an_empty_work_area_can_be_cleared(work):
    work.clear()
