"""Training a committee, and what it says of slices."""

import numpy as np
import pytest
import torch

from ml_backend.learning.baselines import NETWORKS, build_network
from ml_backend.learning.committee import Committee, train_committee
from ml_backend.learning.fcn import FCN
from ml_backend.learning.geometry import IGNORE
from ml_backend.learning.metrics import confusion, dice
from ml_backend.learning.training import (
    TrainingSettings,
    class_weights,
    preset,
    segmentation_loss,
    train_member,
)

SMALL = TrainingSettings(
    members=3, width=8, scales=3, side_px=32, steps=60, batch_size=6, device="cpu"
)


def discs(count, seed=0, shape=(32, 32)):
    """Bright discs on noise, and where they are."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    images, labels = [], []
    for _ in range(count):
        cy, cx = generator.uniform(0.3, 0.7, 2) * shape
        inside = (y - cy) ** 2 + (x - cx) ** 2 < generator.uniform(4, 8) ** 2
        noise = generator.normal(60, 15, shape)
        images.append(np.clip(noise + inside * 110, 0, 255).astype(np.uint8))
        labels.append(inside.astype(np.uint8))
    return images, labels


@pytest.fixture(scope="module")
def committee():
    return train_committee(*discs(6), ["disc"], SMALL, seed=1)


def test_a_committee_learns_from_six_slices(committee):
    images, labels = discs(8, seed=9)
    counts = sum(
        confusion(label, scored.draft, 2)
        for label, scored in zip(labels, committee.score(images), strict=True)
    )
    assert dice(counts)[1] > 0.85


def test_uncertainty_is_the_mean_variance_of_the_members(committee):
    images, _ = discs(2, seed=3)
    with torch.no_grad():
        x = torch.from_numpy(np.stack(images)).float()[:, None] / 255
        probability = torch.stack([m(x)[0].softmax(1) for m in committee._members])
    expected = probability.var(dim=0, unbiased=False).mean(dim=(1, 2, 3))
    scored = [s.uncertainty for s in committee.score(images)]
    assert scored == pytest.approx(expected.tolist(), rel=1e-3)


def test_members_that_agree_are_not_uncertain(committee):
    same = Committee([committee._members[0]] * 3, ["disc"], SMALL)
    assert all(s.uncertainty < 1e-12 for s in same.score(discs(3)[0]))


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
    wider = TrainingSettings(width=16, scales=3, side_px=32, device="cpu")
    with pytest.raises(ValueError, match="do not fit"):
        Committee.from_state(committee.state(), ["disc"], wider)


def test_the_same_seed_trains_the_same_network_and_leaves_the_global_random_state_alone():
    images, labels = (np.stack(part) for part in discs(3))
    short = TrainingSettings(width=4, scales=2, side_px=32, steps=3, batch_size=2, device="cpu")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (train_member(images, labels, 2, short, seed) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.stem.weight, other.stem.weight)


def test_slices_without_any_foreground_are_learned_too():
    images, labels = discs(3)
    empty = [np.zeros_like(label) for label in labels]
    committee = train_committee(images, empty, ["disc"], SMALL, seed=2)
    assert sum(s.draft.sum() for s in committee.score(images)) == 0


def test_padding_is_no_part_of_the_loss():
    logits = torch.randn(2, 3, 8, 8)
    target = torch.randint(0, 3, (2, 8, 8))
    target[:, 4:] = IGNORE
    changed = logits.clone()
    changed[:, :, 4:] = 100 * torch.randn(2, 3, 4, 8)
    weight = torch.ones(3)
    assert segmentation_loss(logits, target, weight) == pytest.approx(
        segmentation_loss(changed, target, weight).item()
    )


def test_rare_classes_weigh_more():
    labels = np.zeros((1, 10, 10), np.uint8)
    labels[0, 0, :4] = 1
    background, rare, absent = class_weights(labels, 3).tolist()
    assert rare > background
    assert absent == 1.0


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_networks_share_shapes(name):
    network = build_network(name, 1, 4, 8, 4).eval()
    logits, descriptor = network(torch.zeros(2, 1, 40, 64))
    assert logits.shape == (2, 4, 40, 64)
    assert descriptor.shape == (2, 64)
    with pytest.raises(ValueError, match="multiples of 8"):
        network(torch.zeros(1, 1, 36, 64))


def test_the_papers_width_gives_its_descriptor():
    with torch.no_grad():
        _, descriptor = FCN(width=32, scales=6).eval()(torch.zeros(1, 1, 32, 32))
    assert descriptor.shape == (1, 1024)


def test_settings_and_names_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match="fcn"):
        build_network("resnet", 1, 2, 8, 3)
    with pytest.raises(ValueError, match="multiple of 16"):
        TrainingSettings(scales=5, side_px=100)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        TrainingSettings(steps=0)
    with pytest.raises(ValueError, match="no device"):
        preset("abacus")
    with pytest.raises(ValueError, match="need as many"):
        train_committee([], [], ["disc"], SMALL, seed=0)
