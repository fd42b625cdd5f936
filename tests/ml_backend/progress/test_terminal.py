"""What a terminal shows of a project."""

from typing import Any

import pytest

from ml_backend.progress.terminal import in_lines

from .sample_panels import first_day, under_way


def lines(panels: dict[str, Any], **now: Any) -> list[str]:
    return in_lines({**panels["now"], **now}, panels["quality"])


def line(name: str, found: list[str]) -> str:
    (one,) = [each for each in found if each.startswith(f"{name} ")]
    return one.removeprefix(name).strip()


def a_round(**changes: Any) -> dict[str, Any]:
    known = dict.fromkeys(("step", "done", "total", "error", "remedy", "did", "version"))
    return {**known, "job_status": "started", "waits": False, "held_back": False, **changes}


def test_the_first_day_has_its_lines_and_no_empty_ones() -> None:
    found = lines(first_day())
    assert line("slices", found) == "not read yet"
    assert line("round", found) == "none yet" and line("drafts", found) == "no version yet"
    assert "./quorum up" in line("workers", found)
    assert not any("None" in each or each.rstrip() != each for each in found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"step": "train", "done": 1240, "total": 5000, "version": "r0002-aa", "waits": True},
            "Training the committee: 1,240 of 5,000 (r0002-aa); another waits behind it",
        ),
        ({}, "Beginning"),
        ({"job_status": "queued"}, "waits for a worker"),
        (
            {"job_status": "finished", "did": "trained", "version": "r0002-aa"},
            "the last one trained r0002-aa",
        ),
        (
            {"job_status": "finished", "did": "nothing"},
            "the last one found nothing new to train on",
        ),
        ({"job_status": "canceled"}, "the last one was stopped"),
        ({"job_status": None}, "none yet"),
    ],
)
def test_a_round_is_told_as_it_stands(changes: dict[str, Any], said: str) -> None:
    found = lines(under_way(), round=a_round(**changes), paused=False)
    assert line("round", found) == said


def test_a_failure_is_told_with_its_remedy_and_so_is_trouble() -> None:
    failed = a_round(job_status="failed", error="the disk is full", remedy="make room")
    found = lines(under_way(), round=failed, trouble="no token", remedy="set one", paused=True)
    at = next(n for n, each in enumerate(found) if each.startswith("round"))
    assert found[at].endswith("the last one failed; paused: none begins by itself")
    assert [each.strip() for each in found[at + 1 : at + 5]] == [
        "the disk is full",
        "make room",
        "no token",
        "set one",
    ]


def test_what_drafts_is_told_with_its_interval_and_a_bare_order_as_one() -> None:
    panels = under_way()
    assert line("drafts", lines(panels)) == (
        "by r0004, trained on 120 slices; mean IoU 0.800 (0.700 to 0.900) on 40 held-out slices"
    )
    for row in panels["quality"]["versions"]:
        row.update(training=0)
    assert line("drafts", lines(panels)) == "none: r0004 is an order alone"


def test_complaints_are_told_but_no_flood_of_them() -> None:
    problems = [{"task_id": n, "reason": "no picture"} for n in range(8)]
    found = lines(under_way(), problems=problems, problems_left_out=90)
    assert sum("no picture" in each for each in found) == 5
    assert found[-1].strip() == "93 more complaints are on the progress page"
