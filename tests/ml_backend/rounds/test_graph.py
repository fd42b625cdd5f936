"""Which steps of a round can run, from what the store holds."""

import numpy as np
import pytest

from ml_backend.rounds.graph import (
    ENCODER,
    GATHER,
    Plan,
    Step,
    descriptors_name,
    drafts_name,
    final_name,
    grouped,
    marked,
    member_name,
    problems_name,
    ready,
    shard_name,
    sharded,
)

PLAN = Plan("r0001-abcdef", [[0, 2], [1, 3]], [[5, 6], [7]])
MEMBERS = {member_name(index) for index in range(4)}


def scored(shard, plan=PLAN):
    return {name(plan, shard) for name in (shard_name, descriptors_name, drafts_name)}


def names(steps):
    return [step.name for step in steps]


def test_all_groups_of_members_train_at_the_same_time():
    assert names(ready(PLAN, set(), False)) == ["train-0", "train-1"]


def test_a_group_of_which_a_member_is_there_trains_for_the_others():
    assert names(ready(PLAN, {member_name(0), *map(member_name, (1, 3))}, False)) == ["train-0"]


def test_the_version_is_published_when_all_members_are_there():
    assert names(ready(PLAN, MEMBERS, False)) == ["publish"]


def test_shards_are_scored_together_and_then_ordered():
    assert names(ready(PLAN, MEMBERS, True)) == ["score-0", "score-1"]
    second = scored(1)
    assert names(ready(PLAN, second, True)) == ["score-0"]
    assert names(ready(PLAN, second | scored(0), True)) == ["order"]
    for lost in scored(0):
        assert names(ready(PLAN, (second | scored(0)) - {lost}, True)) == ["score-0"]


def test_what_was_scored_of_other_slices_is_no_part_of_a_plan():
    def planned(*shards):
        return Plan("r0001-abcdef", [[0]], shards, marks=marked(shards))

    first = planned([5, 6], [7])
    there = scored(0, first) | scored(1, first)
    assert names(ready(first, there, True)) == ["order"]
    assert names(ready(planned([5, 6], [7, 8]), there, True)) == ["score-1"]
    assert names(ready(planned([5, 56], [7]), there, True)) == ["score-0"]
    assert problems_name(first, 1) != problems_name(planned([5, 6], [7, 8]), 1)


def test_a_plan_of_an_earlier_release_goes_on_with_what_it_scored():
    values = {name: value for name, value in PLAN.as_json().items() if name != "marks"}
    plan = Plan.from_json(values)
    assert names(ready(plan, {"shard-0", "descriptors-0", "drafts-0"}, True)) == ["score-1"]


def test_nothing_of_a_published_version_is_trained_again_though_its_work_is_gone():
    assert names(ready(PLAN, set(), True)) == ["score-0", "score-1"]


def test_an_encoder_comes_first_and_the_second_stage_last():
    plan = Plan("r0001-abcdef", [[0], [1]], [], encoder=True, further=True)
    assert names(ready(plan, set(), False)) == ["encode"]
    assert names(ready(plan, {ENCODER}, False)) == ["train-0", "train-1"]
    first = {ENCODER, member_name(0), member_name(1)}
    assert names(ready(plan, first, False)) == ["further-0", "further-1"]
    assert names(ready(plan, {*first, final_name(0)}, False)) == ["further-1"]
    assert names(ready(plan, {*first, final_name(0), final_name(1)}, False)) == ["publish"]


def test_an_order_without_a_committee_is_published_and_ordered():
    plan = Plan("r0000-abcdef", [], [])
    assert names(ready(plan, set(), False)) == ["publish"]
    assert names(ready(plan, set(), True)) == ["order"]


def test_every_path_through_a_round_ends_whatever_is_lost_on_the_way():
    """Any artefact may vanish at any time; the steps named always make what lacks."""
    generator = np.random.default_rng(0)
    for encoder, further in [(False, False), (True, False), (False, True), (True, True)]:
        plan = Plan("r0001-abcdef", [[0, 2], [1]], [[1], [2], [3]], encoder, further)
        there, published, done = set(), False, False
        for turn in range(400):
            steps = ready(plan, there, published)
            step = steps[generator.integers(len(steps))]
            group = plan.groups[step.index] if step.kind in ("train", "further") else []
            made = {
                "encode": {ENCODER},
                "train": {member_name(m) for m in group},
                "further": {final_name(m) for m in group},
                "score": scored(step.index),
            }
            there |= made.get(step.kind, set())
            published |= step.kind == "publish"
            if step.kind == "order":
                done = True
                break
            if turn < 100 and there and generator.random() < 0.3:
                there.discard(sorted(there)[generator.integers(len(there))])
        assert done


def test_members_are_dealt_to_the_workers_there_are():
    assert grouped(4, 1) == [[0, 1, 2, 3]]
    assert grouped(4, 2) == [[0, 2], [1, 3]]
    assert grouped(3, 8) == [[0], [1], [2]]
    assert grouped(4, 0) == [[0, 1, 2, 3]]


def test_a_pool_is_cut_into_shards():
    assert sharded([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert sharded([], 2) == []


def test_steps_are_found_by_their_names():
    for step in (GATHER, Step("train", 3), Step("publish"), Step("score", 12), Step("order")):
        assert Step.named(step.name) == step
    for name in ("train", "publish-1", "rm -rf", "score-", "train-1x"):
        with pytest.raises(ValueError, match="no step"):
            Step.named(name)


def test_a_plan_survives_json():
    import json

    assert Plan.from_json(json.loads(json.dumps(PLAN.as_json()))) == PLAN
