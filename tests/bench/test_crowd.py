"""Each claim of bench crowd holds for a good recording, and fails when one thing is doctored."""

from dataclasses import replace

import numpy as np
import pytest

from bench.crowd import slices
from bench.crowd.checks import (
    all_checks,
    deleted_vanished,
    expected,
    late_joined,
    never_twice,
    never_without,
    no_trouble,
    nothing_lost,
    nothing_missing,
    order_kept,
    rounds_made,
    without_a_task_s,
)
from bench.crowd.read_back import made
from bench.crowd.recording import (
    DELETED,
    GONE,
    IMPORTED,
    REFUSED,
    SKIPPED,
    SUBMITTED,
    Answered,
    Asked,
    Changed,
    Published,
    Recording,
    Seen,
    Stored,
    load,
    save,
)
from bench.crowd.tables import report
from bench.crowd.timeline import Timeline, first_handouts

FIRST, SECOND = "r0000-aaaaaa", "r0001-bbbbbb"


@pytest.fixture
def good():
    """Two annotators, overlap 2: tasks 1 to 4 by the first order, then 7, 8, 5 by the second.

    Tasks 4 and 6 are held out, 9 is imported late and 10 is deleted. Each minute both ask for a
    task within the same second, and submit it half a minute later.
    """
    recording = Recording(overlap=2, rounds_wanted=1)
    recording.changed = [
        Changed(IMPORTED, [1, 2, 3, 4, 5, 6, 7, 8, 10], 0.0, 5.0),
        Changed(IMPORTED, [9], 300.0, 305.0),
        Changed(DELETED, [10], 310.0, 311.0),
    ]
    recording.joined_s = [20.0]
    for place, task in enumerate([1, 2, 3, 4, 7, 8, 5]):
        for who in (1, 2):
            begun = 100.0 + 60 * place + who / 10
            version = FIRST if place < 4 else SECOND
            recording.asked.append(Asked(who, begun, begun + 1, task, version))
            recording.answered.append(Answered(who, task, begun + 30, begun + 31, SUBMITTED))
            recording.stored.append(Stored(who, task, begun + 30.5))
    recording.seen = [
        Seen(FIRST, 90.0, 90.1),
        Seen(FIRST, 332.0, 332.1),
        Seen(SECOND, 334.0, 334.1),
    ]
    recording.published = [
        Published(FIRST, [1, 2, 3, 4, 5, 6, 7, 8, 10], 9, [1, 2], 10.0, [], [], []),
        Published(SECOND, [7, 8, 5, 6, 9], 4, [7, 8], 315.0, [1, 2, 3], [4], []),
    ]
    recording.held_out = [4, 6]
    return recording


def test_a_good_recording_holds(good):
    checks = all_checks(good)
    assert [check.broken for check in checks] == [[]] * len(checks)
    assert order_kept(good).looked_at == 7
    assert nothing_missing(good).looked_at == 3  # 1, 2, 3: task 4 is held out
    assert nothing_lost(good).looked_at == 14
    assert without_a_task_s(good) == 0


def doctored(recording, kind, index, **changes):
    entries = getattr(recording, kind)
    entries[index] = replace(entries[index], **changes)
    return recording


def swap(recording, one, other):
    """Both readers of two places get each other's tasks."""
    for who in (0, 1):
        a, b = 2 * one + who, 2 * other + who
        first, second = recording.asked[a].task, recording.asked[b].task
        doctored(recording, "asked", a, task=second)
        doctored(recording, "asked", b, task=first)
    return recording


def test_a_task_that_passes_over_another_is_seen(good):
    (fault,) = order_kept(swap(good, 0, 1)).broken
    assert "task 2" in fault and f"before task 1 of {FIRST}" in fault


def test_the_selected_batch_must_come_before_the_rest_of_the_new_order(good):
    assert len(order_kept(swap(good, 4, 6)).broken) == 2  # 5 before 7, then 8 before 7


def test_a_task_of_the_old_order_alone_is_no_answer_once_the_new_one_is_served(good):
    doctored(good, "published", 1, tasks=[7, 8, 6, 9])
    (fault,) = order_kept(good).broken
    assert f"not in the order of {SECOND}" in fault


def test_requests_that_overlap_in_time_may_be_answered_either_way_round(good):
    swap(good, 0, 1)
    for index in (2, 3):  # asked before the others were answered
        doctored(good, "asked", index, begun=101.0)
    assert order_kept(good).broken == []


def test_a_request_in_flight_while_the_version_switches_may_belong_to_either(good):
    # Task 5 is the next of the old order, and in the new one it passes over 7 and 8.
    for who in (1, 2):
        good.asked.append(Asked(who, 332.5, 333.5, 5))
    good.asked = [asked for asked in good.asked if asked.task != 5 or not asked.version]
    good.asked.sort(key=lambda asked: asked.begun)
    assert order_kept(good).broken == []
    assert [v.version for v in Timeline(good).possible(good.asked[8])] == [FIRST, SECOND]
    later = [replace(a, begun=335.0, ended=336.0) if a.task == 5 else a for a in good.asked]
    good.asked = sorted(later, key=lambda asked: asked.begun)
    assert len(order_kept(good).broken) == 1


def test_a_late_task_may_come_anywhere_behind_the_selected_batch(good):
    good.asked.append(Asked(3, 420.0, 421.0, 9, SECOND))  # 8 is out only at 400.1
    assert order_kept(good).broken == []
    good.asked[-1] = Asked(3, 345.0, 346.0, 9, SECOND)
    (fault,) = order_kept(good).broken
    assert f"before task 8 of {SECOND}" in fault


def test_deleted_tasks_are_not_waited_for(good):
    doctored(good, "published", 0, tasks=[10, 1, 2, 3, 4, 5, 6, 7, 8])
    assert len(order_kept(good).broken) == 4  # while it was there it was passed over
    doctored(good, "changed", 2, begun=50.0)
    assert order_kept(good).broken == []


def test_a_task_twice_to_one_person_is_seen(good):
    doctored(good, "asked", 4, task=1)
    (fault,) = never_twice(good).broken
    assert fault == "annotator 1 got task 1 2 times"


def test_a_task_that_could_not_be_submitted_may_be_opened_again(good):
    good.asked.append(Asked(1, 600.0, 601.0, 1))
    good.answered.append(Answered(1, 1, 599.0, 599.5, REFUSED))
    assert never_twice(good).broken == []


def test_no_tasks_is_a_fault_while_one_is_free(good):
    good.asked.append(Asked(1, 540.0, 541.0, None))
    (fault,) = never_without(good).broken
    assert "task 6 was free" in fault
    assert without_a_task_s(good) == 1.0


def test_no_tasks_is_right_where_all_are_done_locked_deleted_or_not_yet_there(good):
    good.changed[0] = Changed(IMPORTED, [1, 2, 3, 4, 5, 7, 8, 10], 0.0, 5.0)
    good.asked.append(Asked(3, 299.0, 304.0, None))  # others read all, but for 5, 7, 8 and 10
    assert len(never_without(good).broken) == 1
    good.asked[-1] = Asked(3, 500.0, 501.0, None)  # task 9 is free by now
    assert "task 9" in never_without(good).broken[0]
    good.asked += [Asked(who, 490.0, 491.0, 9) for who in (1, 2)]
    assert never_without(good).broken == []


def test_a_skipped_task_is_free_for_others_and_not_for_who_skipped_it(good):
    doctored(good, "answered", 0, how=SKIPPED)  # annotator 1 skipped task 1
    good.changed[0] = Changed(IMPORTED, [1], 0.0, 5.0)
    good.changed[1] = Changed(IMPORTED, [], 300.0, 305.0)
    good.asked.append(Asked(3, 500.0, 501.0, None))
    assert "task 1 was free" in never_without(good).broken[0]
    good.asked[-1] = Asked(1, 500.0, 501.0, None)
    assert never_without(good).broken == []


def test_an_annotation_missing_from_the_next_training_set_is_seen(good):
    doctored(good, "published", 1, training_tasks=[1, 3])
    (fault,) = nothing_missing(good).broken
    assert fault == f"task 2 is not in {SECOND}'s training set"


def test_what_came_after_the_round_gathered_is_not_missed(good):
    doctored(good, "published", 1, training_tasks=[1, 2], gathered_at=240.0)  # 3 was answered later
    assert nothing_missing(good).broken == []
    assert expected(good, good.published[1]) == {1, 2}


def test_an_answer_in_flight_while_the_round_gathers_may_belong_to_either(good):
    doctored(good, "published", 1, training_tasks=[1, 2], gathered_at=250.8)
    assert good.stored[4].created_at < 250.8 < good.answered[4].ended
    assert nothing_missing(good).broken == []


def test_a_lost_and_a_doubled_annotation_are_seen(good):
    lost = good.stored.pop()
    (fault,) = nothing_lost(good).broken
    assert "0 stored, 1 submitted" in fault
    good.stored += [lost, lost]
    (fault,) = nothing_lost(good).broken
    assert "2 stored, 1 submitted" in fault


def test_a_late_task_that_never_joins_is_seen(good):
    doctored(good, "published", 1, tasks=[7, 8, 5, 6])
    assert late_joined(good).broken == ["task 9 was never queued"]


def test_a_round_still_under_way_at_the_end_has_no_order_to_join(good):
    good.published.append(Published("r0002-cccccc", [], 0, [], 330.0, [1, 2, 3], [4], []))
    assert late_joined(good).broken == []


def test_late_tasks_that_were_not_queued_in_time_are_seen(good):
    good.joined_s = []
    assert late_joined(good).broken == ["not all imported tasks were queued before the end"]


def test_a_deleted_task_that_is_served_or_ordered_is_seen(good):
    good.asked.append(Asked(1, 400.0, 401.0, 10))
    doctored(good, "published", 1, tasks=[7, 8, 5, 6, 9, 10])
    served, ordered = deleted_vanished(good).broken
    assert "got the deleted task 10" in served and ordered == f"10 is in {SECOND}"


def test_errors_are_seen_but_not_the_submit_of_a_deleted_task(good):
    good.answered.append(Answered(1, 10, 309.0, 312.0, GONE))
    assert no_trouble(good).broken == []
    good.asked.append(Asked(1, 500.0, 501.0, None, error="HTTP 500"))
    good.answered.append(Answered(1, 5, 500.0, 501.0, REFUSED))
    good.troubles.append("a round failed: the disk is full")
    assert len(no_trouble(good).broken) == 3


def test_a_round_that_was_never_served_does_not_count(good):
    good.rounds_wanted = 2
    assert rounds_made(good).broken == ["1 rounds did not come"]
    good.rounds_wanted = 1
    good.seen = [seen for seen in good.seen if seen.version == FIRST]
    good.asked = [replace(asked, version="") for asked in good.asked]
    assert rounds_made(good).broken == ["1 rounds did not come"]


def test_the_first_hand_out_of_a_task_is_the_one_answered_first(good):
    assert [asked.task for asked in first_handouts(good)] == [1, 2, 3, 4, 7, 8, 5]
    assert {asked.who for asked in first_handouts(good)} == {1}


def test_an_order_without_those_that_joined_later_is_as_long_as_its_scores_say():
    order = {"tasks": [9, 1, 2, 3, 4, 5], "selected": [1, 2], "first_free_score": 3 / 4}
    assert made(order) == 4
    assert made({"tasks": [1, 2], "selected": [], "first_free_score": 0.0}) == 2


def test_a_recording_survives_its_file(good, tmp_path):
    save(good, tmp_path / "run.json", checks=[])
    assert load(tmp_path / "run.json") == good
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="no recording"):
        load(tmp_path / "run.json")


def test_the_report_names_what_did_not_hold(good):
    assert "NOT HELD" not in report(good, all_checks(good))
    good.stored.pop()
    text = report(good, all_checks(good))
    assert "| every annotation is in Label Studio | 14 submitted | 1 | NOT HELD |" in text
    assert "must not pass over another" in text


def test_slices_of_a_patient_look_alike_and_a_large_hand_draws_more():
    drawn = slices.label_map(3)
    assert drawn.shape == (slices.SIDE_PX, slices.SIDE_PX)
    assert np.array_equal(drawn, slices.label_map(3))
    large = slices.label_map(3, slices.Hand(scale=1.2))
    assert np.count_nonzero(large) > 1.3 * np.count_nonzero(drawn)
    assert {1, 2} <= set(np.unique([slices.label_map(n) for n in range(10)]))
    assert slices.number_in(slices.task_data(123, "x")) == 123
    same, other = slices.task_data(49, "x")["patient"], slices.task_data(50, "x")["patient"]
    assert same == slices.task_data(0, "x")["patient"] != other
