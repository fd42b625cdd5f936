"""Training a committee, and what it says of slices."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml_backend.learning.committee import Committee, train_committee
from ml_backend.learning.dropout import dropout_layers
from ml_backend.learning.metrics import confusion, dice

from .shapes import SMALL, coloured, discs, one_thread  # noqa: F401

SHORT = replace(SMALL, steps=4)


@pytest.fixture(scope="module")
def committee():
    return train_committee(*discs(6), ["disc"], SMALL, seed=1)


@pytest.fixture(scope="module")
def dropping():
    return train_committee(*discs(3), ["disc"], replace(SHORT, dropout=0.3, passes=6), seed=1)


def dice_of(committee, images, labels):
    counts = sum(
        confusion(label, scored.draft, 2)
        for label, scored in zip(labels, committee.score(images), strict=True)
    )
    return dice(counts)[1]


def probabilities(committee, images):
    x = torch.from_numpy(np.stack(images)).float()[:, None] / 255
    with torch.no_grad():
        return torch.stack([m(x)[0].softmax(1) for m in committee.members])  # (M, N, C, S, S)


def test_a_committee_learns_from_six_slices(committee):
    assert dice_of(committee, *discs(8, seed=9)) > 0.85


def test_scores_are_their_definitions(committee):
    images, _ = discs(2, seed=3)
    p = probabilities(committee, images).double()
    mean = p.mean(dim=0)
    entropy = -(mean * mean.log()).sum(dim=1)
    each = -(p * p.log()).sum(dim=2).mean(dim=0)
    for index, scored in enumerate(committee.score(images)):
        variance = p.var(dim=0, unbiased=False)[index].mean().item()
        assert scored.uncertainty == pytest.approx(variance, rel=1e-3)
        assert scored.entropy == pytest.approx(entropy[index].mean().item(), rel=1e-3)
        assert scored.bald == pytest.approx((entropy - each)[index].mean().item(), rel=1e-3)
        assert scored.shares == pytest.approx([(scored.draft == c).mean() for c in (0, 1)])
        assert np.isnan(scored.mc_dropout)


def test_without_entropies_all_else_is_the_same(committee):
    images, _ = discs(3, seed=3)
    both = zip(committee.score(images), committee.score(images, entropies=False), strict=True)
    for whole, quick in both:
        assert np.isnan(quick.entropy) and np.isnan(quick.bald)
        assert quick.uncertainty == whole.uncertainty
        assert np.array_equal(quick.draft, whole.draft)
        assert np.array_equal(quick.descriptor, whole.descriptor)


def test_padding_counts_nowhere(committee):
    (image,), _ = discs(1, seed=3)
    (whole,) = committee.score([image])
    strip = np.concatenate([image[:16]] * 2, axis=1)  # 16 x 64: three quarters are padding
    (scored,) = committee.score([strip])
    assert scored.shares.sum() == pytest.approx(1)
    assert scored.draft.shape == (16, 64)
    x = torch.zeros(1, 1, 32, 32)
    x[0, 0, :8] = torch.from_numpy(strip[::2, ::2].copy()).float() / 255
    assert whole.shares.shape == (2,)
    variance = torch.stack([m(x)[0].softmax(1) for m in committee.members]).var(0, unbiased=False)
    # Shrunk with and without smoothing: near, while the mean over the padding too is far.
    assert scored.uncertainty == pytest.approx(variance[0, :, :8].mean().item(), rel=0.5)


def test_members_that_agree_are_not_uncertain(committee):
    same = Committee([committee.members[0]] * 2, ["disc"], SMALL)
    assert all(s.uncertainty < 1e-12 and s.bald < 1e-6 for s in same.score(discs(3)[0]))


def test_dropout_passes_are_the_first_members_with_only_dropout_at_work(dropping):
    images, _ = discs(2, seed=3)
    state = dropping.state()
    first = list(dropping.score(images))
    assert all(s.mc_dropout > 0 for s in first)
    # Other members do not matter, nothing is learned from scoring, and it repeats itself.
    alone = Committee([dropping.members[0]], ["disc"], dropping.settings)
    for a, b in zip(first, alone.score(images), strict=True):
        assert a.mc_dropout == b.mc_dropout
        assert b.uncertainty == 0
    assert all(
        torch.equal(a[n], b[n]) for a, b in zip(state, dropping.state(), strict=True) for n in a
    )
    assert not any(m.training for member in dropping.members for m in member.modules())


def test_dropout_passes_do_not_depend_on_the_batch(dropping):
    images, _ = discs(5, seed=4)
    together = [s.mc_dropout for s in dropping.score(images, batch_size=5)]
    apart = [s.mc_dropout for s in dropping.score(images, batch_size=2)]
    assert together == pytest.approx(apart, rel=1e-4)


def test_slices_of_any_size_are_scored_in_batches_as_one_by_one(committee):
    images = [discs(1, seed=n, shape=s)[0][0] for n, s in enumerate([(32, 32), (50, 21), (90, 90)])]
    together = list(committee.score(images, batch_size=2))
    for image, scored in zip(images, together, strict=True):
        (alone,) = committee.score([image])
        assert scored.draft.shape == image.shape
        assert scored.uncertainty == pytest.approx(alone.uncertainty, rel=1e-3)
        assert (scored.draft == alone.draft).mean() > 0.999
        assert scored.descriptor == pytest.approx(alone.descriptor, rel=1e-2, abs=1e-4)


def test_scoring_streams(committee):
    taken = []

    def images():
        for image in discs(40)[0]:
            taken.append(1)
            yield image

    next(committee.score(images(), batch_size=4))
    assert len(taken) <= 8


def test_a_committee_survives_its_state_exactly(committee):
    copy = Committee.from_state(committee.state(), committee.class_names, SMALL)
    images, _ = discs(3, seed=4)
    for a, b in zip(committee.score(images), copy.score(images), strict=True):
        assert a.uncertainty == b.uncertainty
        assert np.array_equal(a.draft, b.draft)


def test_weights_of_another_network_are_refused(committee):
    wider = replace(SMALL, width=16)
    with pytest.raises(ValueError, match="do not fit"):
        Committee.from_state(committee.state(), ["disc"], wider)


def test_colour_alone_is_learned_kept_in_the_state_and_scored_with_grey_slices_too():
    committee = train_committee(*coloured(6), ["disc"], SMALL, seed=3)
    copy = Committee.from_state(committee.state(), ["disc"], committee.settings)
    assert copy.in_channels == 3
    assert dice_of(copy, *coloured(6, seed=8)) > 0.8
    assert len(list(copy.score(discs(2)[0] + coloured(1)[0]))) == 3


def test_a_grey_committee_takes_colour_slices_by_their_luma(committee):
    images, _ = discs(2, seed=5)
    for image, scored in zip(images, committee.score(images), strict=True):
        (of_colour,) = committee.score([np.repeat(image[:, :, None], 3, axis=2)])
        assert of_colour.uncertainty == pytest.approx(scored.uncertainty, rel=1e-3)


@pytest.mark.parametrize("network", ["fcn", "unet", "cumednet"])
def test_a_seed_repeats_a_committee_and_its_scores_bit_for_bit_whatever_the_threads(network):
    settings = replace(SHORT, network=network, dropout=0.2, passes=3, members=3)
    cores = torch.get_num_threads()
    try:
        torch.set_num_threads(3)  # three members at once
        first, second = (train_committee(*discs(4), ["disc"], settings, seed=5) for _ in range(2))
        torch.set_num_threads(1)  # one after the other
        third = train_committee(*discs(4), ["disc"], settings, seed=5)
    finally:
        torch.set_num_threads(cores)
    images, _ = discs(3, seed=6)
    expected = list(first.score(images))
    for other in (second, third):
        for a, b in zip(first.state(), other.state(), strict=True):
            assert all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(expected, other.score(images), strict=True):
            assert (a.uncertainty, a.entropy, a.bald, a.mc_dropout) == (
                b.uncertainty,
                b.entropy,
                b.bald,
                b.mc_dropout,
            )
            assert np.array_equal(a.descriptor, b.descriptor)
            assert np.array_equal(a.draft, b.draft)


def test_members_differ(committee):
    a, b = committee.state()
    assert not torch.equal(a["stem.weight"], b["stem.weight"])


def test_slices_without_any_foreground_are_learned_too():
    images, labels = discs(3)
    empty = [np.zeros_like(label) for label in labels]
    committee = train_committee(images, empty, ["disc"], SMALL, seed=2)
    assert sum(s.draft.sum() for s in committee.score(images)) == 0


def test_a_second_stage_trains_on_and_its_progress_is_told_to_the_end():
    images, labels = discs(4)
    told = []
    settings = replace(SHORT, steps=60, semi_supervised=True, confidence=0.6)
    plain = train_committee(images, labels, ["disc"], replace(settings, semi_supervised=False), 1)
    more = train_committee(
        images,
        labels,
        ["disc"],
        settings,
        1,
        lambda *at: told.append(at),
        unlabelled=discs(9, 7)[0],
    )
    assert not torch.equal(plain.state()[0]["stem.weight"], more.state()[0]["stem.weight"])
    assert told[-1] == (2 * 90, 2 * 90)
    assert told == sorted(told)


def test_steps_grow_until_each_slice_is_seen_as_often_as_asked():
    told = []
    settings = replace(SHORT, steps=2, batch_size=2, epochs=3)
    train_committee(*discs(5), ["disc"], settings, 1, lambda *at: told.append(at))
    each = 8  # five slices three times, two a step
    assert told[-1] == (settings.members * each, settings.members * each)
    fixed = replace(settings, epochs=0)
    train_committee(*discs(5), ["disc"], fixed, 1, lambda *at: told.append(at))
    assert told[-1] == (2 * settings.members, 2 * settings.members)


def test_without_slices_to_learn_from_there_is_no_second_stage():
    settings = replace(SHORT, semi_supervised=True)
    plain, second = (train_committee(*discs(3), ["disc"], s, 1) for s in (SHORT, settings))
    assert torch.equal(plain.state()[0]["stem.weight"], second.state()[0]["stem.weight"])


def test_what_is_lacking_is_named():
    with pytest.raises(ValueError, match="need as many"):
        train_committee([], [], ["disc"], SMALL, seed=0)
    with pytest.raises(ValueError, match="give groups"):
        train_committee(*discs(2), ["disc"], replace(SMALL, bootstrap_over="patients"), seed=0)
    with pytest.raises(ValueError, match="set dropout above 0"):
        train_committee(*discs(2), ["disc"], replace(SHORT, passes=2), seed=0)
    with pytest.raises(ValueError, match="its shape is"):
        train_committee([np.zeros((8, 8, 4), np.uint8)], [np.zeros((8, 8))], ["disc"], SMALL, 0)
    assert not dropout_layers(train_committee(*discs(2), ["disc"], SHORT, 0).members[0])
