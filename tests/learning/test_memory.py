"""Memory that runs out: half the batch, and the same result."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from ml_backend.learning.committee import train_committee
from ml_backend.learning.losses import segmentation_loss
from ml_backend.learning.memory import (
    BatchSize,
    TooLittleMemory,
    computed_again,
    in_parts,
    told_when_too_small,
)
from ml_backend.learning.pseudo_labels import pseudo_labels
from ml_backend.learning.self_supervision import Encoder, describe, train_encoder
from ml_backend.learning.training import train_member

from .shapes import SMALL, discs, one_thread  # noqa: F401
from .test_self_supervision import textures

CPU = torch.device("cpu")


class Limited(nn.Module):
    """A network without batch norm, with deep supervision, that holds `most` slices at once."""

    most = 100
    sizes: ClassVar[list[int]] = []  # of the batches of slices that it was given

    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.deep = nn.Conv2d(in_channels, width, 3, padding=1, stride=2)
        self.head = nn.Sequential(
            nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, classes, 1)
        )
        self.early = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, classes, 1))
        self.auxiliary = ()

    def forward(self, x):
        deep = self.deep(x)
        self.auxiliary = (self.early(deep),) if self.training else ()
        if x.shape[-1] == SMALL.side_px:  # building it takes a look at smaller ones
            Limited.sizes.append(len(x))
            if len(x) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.head(deep), deep.mean(dim=(2, 3))


LIMITED = replace(SMALL, network=f"{__name__}:Limited", steps=5, batch_size=5, learning_rate=1e-3)


@pytest.fixture
def hold(monkeypatch):
    """Let the network hold so many slices at once; returns the sizes that it is given from now."""

    def limit(most):
        monkeypatch.setattr(Limited, "most", most)
        monkeypatch.setattr(Limited, "sizes", [])
        return Limited.sizes

    return limit


def squares(count):
    return tuple(np.stack(part) for part in discs(count))


def test_the_gradient_in_parts_is_that_of_the_whole_batchs_loss():
    network = Limited(1, 3, 8, 3).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, 1, 16, 16, generator=generator, dtype=torch.double)
    target = torch.randint(3, (5, 16, 16), generator=generator)
    found = {}
    for at_once in (5, 2, 1):
        network.zero_grad()
        logits, _ = in_parts(network, network, x, at_once, 0)
        segmentation_loss(logits, target, torch.ones(3).double()).backward()
        found[at_once] = torch.cat([p.grad.flatten() for p in network.head.parameters()])
    assert found[5].abs().max() > 1e-3
    for at_once in (2, 1):
        assert torch.allclose(found[at_once], found[5], rtol=1e-12, atol=1e-14)


def test_a_member_learns_the_same_in_parts_and_only_the_step_that_failed_is_done_again(
    hold, monkeypatch
):
    # In half precision what is summed in another order differs more.
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    images, labels = squares(6)
    sizes = hold(100)
    whole = train_member(images, labels, 2, LIMITED, 3)
    assert set(sizes) == {5}
    sizes, told = hold(2), []
    parts = train_member(images, labels, 2, LIMITED, 3, told.append)
    assert told == [1, 2, 3, 4, 5]
    assert sizes.count(5) == 1 and sizes[1:7] == [2, 2, 1, 1, 2, 2]
    start = train_member(images, labels, 2, replace(LIMITED, learning_rate=0.0), 3)
    for name, value in whole.state_dict().items():
        moved = (value - start.state_dict()[name]).abs().max()
        assert (parts.state_dict()[name] - value).abs().max() < 1e-3 * moved


def test_a_batch_is_halved_as_often_as_it_must_be(hold):
    sizes = hold(1)
    train_member(*squares(3), 2, replace(LIMITED, batch_size=8, steps=1), 0)
    assert sizes == [8, 4, 2] + [1] * 16


def test_parts_with_dropout_and_batch_norm_repeat_themselves_and_count_each_part_once():
    settings = replace(SMALL, dropout=0.3, batch_size=5, steps=1)
    images, labels = squares(4)
    network = train_member(images, labels, 2, settings, 0).train()
    x = torch.rand(5, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    before = network.join[0].num_batches_tracked.item()
    found = []
    for _ in range(2):
        network.zero_grad()
        logits, _ = in_parts(network, network, x, 2, 9)
        with computed_again(network):
            logits.square().mean().backward()
        found.append(network.stem.weight.grad.clone())
    assert torch.equal(*found)
    assert network.join[0].num_batches_tracked.item() == before + 6


def test_scores_are_the_same_when_memory_holds_fewer_slices(hold):
    images, labels = discs(7)
    hold(100)
    committee = train_committee(images, labels, ["disc"], LIMITED, 1)
    expected = list(committee.score(images, batch_size=5))
    sizes = hold(2)
    found = list(committee.score(iter(images), batch_size=5))
    assert sizes.count(5) == 2  # both members' first; then no more than fit
    assert len(found) == 7
    for a, b in zip(expected, found, strict=True):
        assert b.uncertainty == pytest.approx(a.uncertainty, rel=1e-4)
        assert b.descriptor == pytest.approx(a.descriptor, rel=1e-4)
        assert np.array_equal(a.draft, b.draft)


def test_pseudo_labels_are_the_same_when_memory_holds_fewer_slices(hold):
    images, labels = discs(5)
    hold(100)
    # A network this small rarely agrees with another: one alone, sure from half on, always does.
    settings = replace(LIMITED, members=1, steps=40, learning_rate=1e-2, confidence=0.5)
    committee = train_committee(images, labels, ["disc"], settings, 1)
    expected = pseudo_labels(committee.members, discs(9, 2)[0], 1, settings)
    hold(2)
    found = pseudo_labels(committee.members, discs(9, 2)[0], 1, settings)
    assert len(found[0]) > 0
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_an_encoder_is_trained_and_describes_when_memory_holds_fewer_views(monkeypatch):
    plain, sizes = Encoder.forward, []

    def limited(self, x):
        sizes.append(len(x))
        if len(x) > 15:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, x)

    monkeypatch.setattr(Encoder, "forward", limited)
    encoder = train_encoder(textures(12, 0)[0], SMALL, 1, steps=40)
    assert sizes.count(48) == sizes.count(24) == 1
    images, kinds = textures(8, 5)
    features = describe(encoder, images)
    apart = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (kinds[apart.argmin(axis=1)] == kinds).mean() > 0.9


def test_when_not_even_one_slice_fits_the_remedy_is_named(hold):
    hold(100)
    committee = train_committee(*discs(2), ["disc"], LIMITED, 1)
    hold(0)
    remedy = r"smaller side_px \(it is 32\) or width \(it is 8\)"
    with pytest.raises(TooLittleMemory, match=remedy):
        list(committee.score(discs(2)[0]))
    with pytest.raises(TooLittleMemory, match=remedy):
        train_member(*squares(2), 2, LIMITED, 0)


@pytest.mark.parametrize(
    "words",
    [
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: out of memory",
    ],
)
def test_libraries_that_run_out_in_words_of_their_own_are_understood(words):
    def attempt(at_once):
        if at_once > 3:
            raise RuntimeError(words)
        return at_once

    assert BatchSize(12, CPU, SMALL).run(attempt, 12) == 3
    with pytest.raises(TooLittleMemory), told_when_too_small(CPU, SMALL):
        raise RuntimeError(words)


def test_other_errors_are_not_taken_for_it():
    def attempt(at_once):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"), told_when_too_small(CPU, SMALL):
        BatchSize(4, CPU, SMALL).run(attempt, 4)
