"""The simulated campaign: what waits, what does not, and what the figures rest on."""

import json
from dataclasses import replace

import pytest

from bench.campaign import main
from bench.campaign.loops import Campaign, Flowing, Handed, Waiting
from bench.campaign.tables import freshness, worth
from bench.campaign.times import PAPER, Times, TimesError

STEADY = Campaign(spread=1e-9)  # every slice takes five minutes
INSTANT = Times("none", [(1, 0.0)])


def test_the_papers_serial_loop_takes_about_seven_hours():
    course = Waiting(STEADY, PAPER).run()
    # 50 slices at 5 minutes, and after each full batch of 8 but the last few training and query.
    assert course.last_label_s == pytest.approx(50 * 300 + 6 * (1547 + 83), rel=1e-6)
    assert 6.5 < course.last_label_s / 3600 < 7.5
    assert course.waited_s == pytest.approx(6 * 1630, rel=1e-6)
    assert course.rounds == 7


@pytest.mark.parametrize("annotators", [1, 5, 20])
@pytest.mark.parametrize("lead", [False, True])
def test_nobody_waits_for_a_round_in_the_products_loop(annotators, lead):
    campaign = Campaign(annotators=annotators, seed=3)
    course = Flowing(campaign, PAPER, lead=lead).run()
    assert course.waited_s == 0.0
    assert len(course.handed) == 50
    assert course.finished_s > course.last_label_s


def test_twenty_annotators_share_the_work():
    alone, crowd = (
        Flowing(replace(STEADY, annotators=n, labels=100), PAPER).run() for n in (1, 20)
    )
    assert alone.last_label_s / crowd.last_label_s == pytest.approx(20, rel=1e-6)


def test_without_machine_time_both_loops_take_the_annotators_time():
    for loop in (Waiting, Flowing):
        course = loop(STEADY, INSTANT).run()
        assert course.finished_s == pytest.approx(50 * 300, rel=1e-6)


def test_a_round_starts_when_enough_labels_are_new_and_one_runs_at_a_time():
    quick = Times("quick", [(1, 60.0)])
    assert Flowing(STEADY, quick).run().rounds == 7  # at 8, 16, … 48, and the last two
    assert Flowing(replace(STEADY, due_after=50), quick).run().rounds == 1
    # 27 minutes are 5.4 slices: the 6th label after a start finds the round ended.
    assert Flowing(replace(STEADY, due_after=1), PAPER).run().rounds <= 50 / 5.4 + 2


def test_a_slice_knows_the_labels_that_its_order_was_made_from():
    handed = Flowing(STEADY, Times("quick", [(1, 60.0)])).run().handed
    assert [h.known for h in handed[:10]] == [0] * 9 + [8]  # the 9th was taken at once
    assert all(h.known <= h.existing for h in handed)
    assert [h.selected for h in handed[:10]] == [True] * 8 + [False, True]


def test_the_lead_rule_starts_earlier_where_the_batch_runs_out_before_the_round_is_due():
    late = replace(STEADY, due_after=16)
    plain, lead = (Flowing(late, PAPER, lead=rule).run() for rule in (False, True))
    assert freshness(lead) > freshness(plain)
    assert sum(h.selected for h in lead.handed) > sum(h.selected for h in plain.handed)


def test_fresh_is_the_share_of_existing_labels_that_were_known():
    assert Handed(0, 0, True).freshness == 1.0
    assert Handed(6, 8, True).freshness == 0.75
    course = Waiting(STEADY, PAPER).run()
    assert 25 < worth(course) < 50
    assert course.handed[8].freshness == 1.0  # it waited for the committee of all eight


def test_drafts_save_time_only_if_told_and_only_where_there_are_any():
    saving = Waiting(replace(STEADY, draft_saving=0.5), INSTANT).run()
    assert saving.last_label_s == pytest.approx(8 * 300 + 42 * 150, rel=1e-6)


def test_the_crowd_stops_when_enough_is_labelled():
    course = Flowing(STEADY, PAPER, lambda course: len(course.handed) >= 12).run()
    assert len(course.handed) == 12


def test_a_pool_that_does_not_suffice_is_said():
    with pytest.raises(RuntimeError, match="give more"):
        Flowing(replace(STEADY, pool=10), PAPER).run()


def test_times_are_kept_and_read_again(tmp_path):
    times = Times("here", [(8, 40.0), (48, 60.0)], 1.0, 0.05, 0.01)
    times.write(tmp_path / "times.json")
    again = Times.read(tmp_path / "times.json")
    assert again == times
    assert again.train_s(28) == 50.0 and again.train_s(100) == 60.0
    assert again.round_s(8, 100) == pytest.approx(47.0)


@pytest.mark.parametrize("text", ["", "{}", '{"source": "", "train": []}', '{"rounds": []}'])
def test_a_file_without_times_is_named(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(TimesError, match=r"t\.json"):
        Times.read(tmp_path / "t.json")


def test_the_page_says_hours_and_waiting_for_each_crowd(tmp_path, capsys):
    page = tmp_path / "page.md"
    times = tmp_path / "times.json"
    times.write_text(json.dumps({"source": "a test", "train": [[8, 40.0]]}))
    words = ["--seeds", "2", "--annotators", "1", "3", "--page", str(page), "--times", str(times)]
    assert main(words) == 0
    first = page.read_text()
    assert first.count("<!-- campaign -->") == 1 and "waits for each round | 3" in first
    assert "Source: a test" in first and "./quorum bench campaign" in first
    assert main(words) == 0
    assert page.read_text() == first  # the same seeds, the same section, once
    assert main(["--times", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
