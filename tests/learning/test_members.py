"""Members trained one by one, in groups, in processes: the same as all at once."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load, load_file, save, save_file
from torch import nn

from ml_backend.learning.committee import (
    Committee,
    TrainingSet,
    member_from_state,
    member_state,
    train_committee,
    train_members,
    train_members_further,
)
from ml_backend.learning.self_supervision import train_encoder

from .shapes import SMALL, coloured, discs, one_thread  # noqa: F401

SHORT = replace(SMALL, members=3, width=4, steps=6, dropout=0.2)
UNLABELLED = discs(6, 7)[0]


def same(states, others):
    assert len(states) == len(others)
    return all(
        set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(states, others, strict=True)
    )


def kept(member, settings):
    """Through the bytes of a file."""
    return member_from_state(load(save(member_state(member))), ["disc"], settings)


@pytest.mark.parametrize("in_channels", [0, 2, 10**9, "3"])
def test_channels_that_no_image_has_are_refused(in_channels):
    (state,) = train_committee(*discs(2), ["disc"], replace(SHORT, members=1, steps=1), 0).state()
    with pytest.raises(ValueError, match="1 or 3 channels"):
        member_from_state(state, ["disc"], SHORT, in_channels)


@pytest.mark.parametrize("data", [discs(5), coloured(4)], ids=["grey", "rgb"])
def test_a_member_is_the_same_alone_in_a_group_and_in_the_whole_committee(data):
    expected = train_committee(*data, ["disc"], SHORT, 5).state()
    fitted = TrainingSet.of(*data, ["disc"], SHORT)
    training = TrainingSet.from_arrays(fitted.arrays(), ["disc"])
    cores = torch.get_num_threads()
    try:
        for threads, indices in ((1, [1]), (3, [1]), (3, [2, 0]), (2, [0, 1, 2]), (1, [])):
            torch.set_num_threads(threads)
            told = {}
            members = train_members(training, indices, SHORT, 5, on_trained=told.__setitem__)
            assert same([member_state(m) for m in members], [expected[i] for i in indices])
            assert [told[i] for i in indices] == members and len(told) == len(members)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(cores)


def test_members_that_start_from_an_encoder_are_the_same_apart():
    settings = replace(SHORT, start="encoder", scales=2, side_px=16)
    images, labels = discs(4)
    expected = train_committee(images, labels, ["disc"], settings, 2, unlabelled=UNLABELLED)
    training = TrainingSet.of(images, labels, ["disc"], settings)
    encoder = train_encoder([*training.squares, *UNLABELLED], settings, 2, in_channels=1)
    weights = load(save(member_state(encoder)))
    members = [train_members(training, [i], settings, 2, encoder=weights)[0] for i in range(3)]
    assert same([member_state(member) for member in members], expected.state())


def test_members_trained_further_are_the_same_apart_and_those_given_stay_as_they_are():
    settings = replace(SMALL, members=3, semi_supervised=True, confidence=0.6)
    images, labels = discs(4)
    expected = train_committee(images, labels, ["disc"], settings, 1, unlabelled=UNLABELLED).state()
    training = TrainingSet.of(images, labels, ["disc"], settings)
    first = [kept(train_members(training, [i], settings, 1)[0], settings) for i in range(3)]
    before = [member_state(member) for member in first]
    second = [
        train_members_further(training, first, indices, UNLABELLED, settings, 1)
        for indices in ([2], [0, 1])
    ]
    found = [member_state(member) for member in [*second[1], *second[0]]]
    assert same(found, expected)
    assert same([member_state(member) for member in first], before)
    assert not any(same([a], [b]) for a, b in zip(before, expected, strict=True))


def test_members_that_agree_on_nothing_stay_as_they_are_and_progress_is_told_to_the_end():
    training = TrainingSet.of(*discs(3), ["disc"], SHORT)
    members = train_members(training, range(3), SHORT, 1)
    told, ready = [], {}
    settings = replace(SHORT, confidence=1.0)
    further = train_members_further(
        *(training, members, [0, 2], UNLABELLED, settings, 1),
        lambda *at: told.append(at),
        ready.__setitem__,
    )
    assert list(ready) == [0, 2] and list(ready.values()) == further
    expected = [member_state(members[0]), member_state(members[2])]
    assert same([member_state(member) for member in further], expected)
    assert told == [(2 * 3, 2 * 3)]


IN_A_PROCESS = """
import json, sys, torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from ml_backend.learning.committee import TrainingSet, member_state, train_members
from ml_backend.learning.training import TrainingSettings
training = TrainingSet.from_arrays(load_file(sys.argv[1]), ["disc"])
settings = TrainingSettings(**json.loads(sys.argv[2]))
(member,) = train_members(training, [1], settings, 5)
assert torch.get_num_threads() == 2
save_file(member_state(member), sys.argv[3])
"""


def test_a_member_is_the_same_from_another_process_with_other_threads(tmp_path):
    settings = replace(SHORT, bootstrap_over="patients")
    groups = list("abbca")
    expected = train_committee(*discs(5), ["disc"], settings, 5, groups=groups).state()
    training = TrainingSet.of(*discs(5), ["disc"], settings, groups)
    arrays = {name: torch.from_numpy(np.array(a)) for name, a in training.arrays().items()}
    save_file(arrays, tmp_path / "training")
    values = json.dumps(asdict(settings))
    subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, tmp_path / "training", values, tmp_path / "member"],
        check=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert same([load_file(tmp_path / "member")], [expected[1]])


class Watched(nn.Module):
    """A network that notes which threads train it."""

    threads: ClassVar[list[set[int]]] = []

    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.only = nn.Conv2d(in_channels, classes, 1)

    def forward(self, x):
        if len(x) == SMALL.batch_size:
            self.threads[-1].add(threading.get_ident())
            assert torch.get_num_threads() == 1
        return self.only(x), x.mean(dim=(2, 3))


def test_as_many_members_train_at_once_as_torch_has_threads_and_each_on_one():
    # Long enough that none is done before the last has begun.
    settings = replace(SMALL, members=3, steps=60, network=f"{__name__}:Watched")
    training = TrainingSet.of(*discs(3), ["disc"], settings)
    cores = torch.get_num_threads()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            Watched.threads.append(set())
            train_members(training, range(3), settings, 0)
    finally:
        torch.set_num_threads(cores)
    assert [len(used) for used in Watched.threads] == [1, 2, 3]


class Waiting(nn.Module):
    """A network of which the second waits until the first is handed over, and the third fails."""

    trained: ClassVar[list[nn.Module]] = []
    handed_over = threading.Event()

    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.only = nn.Conv2d(in_channels, classes, 1)

    def forward(self, x):
        if self not in self.trained:
            self.trained.append(self)
            if len(self.trained) == 2:
                assert self.handed_over.wait(20), "the first member was ready, and nobody told"
            if len(self.trained) == 3:
                raise ZeroDivisionError
        return self.only(x), x.mean(dim=(2, 3))


def test_a_member_is_handed_over_while_others_train_and_kept_if_one_of_them_fails():
    settings = replace(SMALL, members=3, steps=2, network=f"{__name__}:Waiting")
    training = TrainingSet.of(*discs(3), ["disc"], settings)
    ready = {}

    def on_trained(index, member):
        assert threading.current_thread() is threading.main_thread()
        ready[index] = member.training
        Waiting.handed_over.set()

    with pytest.raises(ZeroDivisionError):
        train_members(training, range(3), settings, 0, on_trained=on_trained)
    assert ready == {0: False, 1: False}


def test_a_caller_that_gives_up_ends_the_members():
    training = TrainingSet.of(*discs(3), ["disc"], SHORT)
    settings = replace(SHORT, steps=100_000)

    def give_up(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_members(training, range(3), settings, 0, give_up)


def test_a_restored_member_leaves_the_global_random_state_alone():
    member = train_members(TrainingSet.of(*discs(2), ["disc"], SHORT), [0], SHORT, 0)[0]
    torch.manual_seed(4)
    before = torch.get_rng_state()
    copy = kept(member, SHORT)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in copy.modules())
    assert same([member_state(copy)], [member_state(member)])
    assert Committee.from_state([member_state(member)] * 2, ["disc"], SHORT).in_channels == 1


def test_what_is_lacking_or_strange_is_named():
    training = TrainingSet.of(*discs(2), ["disc"], SHORT)
    with pytest.raises(ValueError, match="0 to 2"):
        train_members(training, [3], SHORT, 0)
    with pytest.raises(ValueError, match="must be different"):
        train_members(training, [1, 1], SHORT, 0)
    with pytest.raises(ValueError, match="32 pixels wide, side_px is 64"):
        train_members(training, [0], replace(SHORT, side_px=64), 0)
    with pytest.raises(ValueError, match="train one"):
        train_members(training, [0], replace(SHORT, start="encoder"), 0)
    with pytest.raises(ValueError, match="all 3 members: there are 1"):
        member = train_members(training, [0], SHORT, 0)
        train_members_further(training, member, [0], UNLABELLED, SHORT, 0)
    with pytest.raises(ValueError, match="do not fit"):
        member_from_state({"nothing": torch.zeros(1)}, ["disc"], SHORT)
