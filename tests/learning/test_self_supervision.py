"""An encoder trained without labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml_backend.learning.committee import train_committee
from ml_backend.learning.self_supervision import describe, train_encoder, vicreg_loss
from ml_backend.learning.training import train_member

from .shapes import SMALL, coloured, discs, one_thread  # noqa: F401


def textures(count, seed):
    """Slices of three kinds that differ in texture, not in mean; (3 * count) and their kinds."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    images = []
    for kind in range(3):
        for _ in range(count):
            phase, level = generator.uniform(0, 6), generator.uniform(90, 160)
            wave = [np.sin(x * 1.2 + phase), np.sin(y * 1.2 + phase), np.sin((x + y) * 0.4 + phase)]
            noise = generator.normal(0, 10, (32, 32))
            images.append(np.clip(level + 60 * wave[kind] + noise, 0, 255).astype(np.uint8))
    return images, np.repeat(np.arange(3), count)


@pytest.fixture(scope="module")
def encoder():
    return train_encoder(textures(12, 0)[0], SMALL, 1, steps=40)


def test_slices_of_a_kind_lie_together(encoder):
    images, kinds = textures(8, 5)
    features = describe(encoder, images)
    assert features.shape == (24, 32) and features.dtype == np.float32
    apart = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (kinds[apart.argmin(axis=1)] == kinds).mean() > 0.9


def test_descriptors_do_not_depend_on_the_batch_and_no_slices_are_no_error(encoder):
    images, _ = textures(3, 2)
    assert describe(encoder, images, 2) == pytest.approx(describe(encoder, images, 9), abs=1e-3)
    assert describe(encoder, []).shape == (0, 32)


def test_a_seed_repeats_the_encoder_bit_for_bit_and_progress_is_told():
    told = []
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second, other = (
        train_encoder(discs(4)[0], SMALL, seed, lambda *at: told.append(at), steps=3)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(v, second.state_dict()[n]) for n, v in first.state_dict().items())
    assert not torch.equal(first.stem.weight, other.stem.weight)
    assert told[:3] == [(1, 3), (2, 3), (3, 3)]


def test_members_begin_from_the_encoder():
    settings = replace(SMALL, start="encoder", steps=1, learning_rate=1e-9, members=2)
    images, labels = discs(4)
    encoder = train_encoder(images, settings, 1, steps=2)
    weights = encoder.state_dict()
    committee = train_committee(images, labels, ["disc"], settings, 0, encoder=weights)
    a, b = committee.state()
    assert torch.allclose(a["stem.weight"], weights["stem.weight"], atol=1e-6)
    assert torch.allclose(a["encoder.2.0.shortcut.weight"], b["encoder.2.0.shortcut.weight"])
    assert not torch.allclose(a["join.2.weight"], b["join.2.weight"])


def test_an_encoder_is_trained_for_colour_if_the_labelled_slices_have_it():
    settings = replace(SMALL, start="encoder", steps=1, members=1, width=2, scales=2)
    committee = train_committee(*coloured(2), ["disc"], settings, 0, unlabelled=discs(2)[0])
    assert committee.in_channels == 3


def test_weights_of_another_encoder_are_refused():
    images, labels = (np.stack(part) for part in discs(2))
    wide = train_encoder(discs(2)[0], replace(SMALL, width=16), 0, steps=1).state_dict()
    for weights in (wide, {"nothing": torch.zeros(1)}, {}):
        with pytest.raises(ValueError, match="do not belong"):
            train_member(images, labels, 2, replace(SMALL, steps=1), 0, encoder=weights)
    with pytest.raises(ValueError, match="needs slices"):
        train_encoder([], SMALL, 0)


def test_the_loss_is_low_for_like_views_of_varied_uncorrelated_dimensions():
    generator = torch.Generator().manual_seed(0)
    z = 2 * torch.linalg.qr(torch.randn(64, 8, generator=generator))[0] * 8
    good = vicreg_loss(z, z)
    assert good < vicreg_loss(z, z[torch.randperm(64, generator=generator)])  # views unlike
    assert good < vicreg_loss(torch.ones(64, 8), torch.ones(64, 8))  # collapsed
    copied = z[:, :1].expand(64, 8)
    assert good < vicreg_loss(copied, copied)  # all dimensions say the same
