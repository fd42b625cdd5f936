"""Votes of a committee against hand-computed values and the definitions."""

import math

import pytest
import torch

from ml_backend.learning.uncertainty import Votes


def votes_of(members):
    votes = Votes()
    for member in members:
        votes.add(member)
    return votes


def pixel(*shares):
    """One member's probabilities of one pixel, (1, C, 1, 1)."""
    return torch.tensor(shares).reshape(1, -1, 1, 1)


def random_members(count, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((count, 2, 3, 5, 4), generator=generator, dtype=dtype)
    return logits.softmax(dim=2)


def test_two_members_that_disagree_by_hand():
    votes = votes_of([pixel(0.9, 0.1), pixel(0.5, 0.5)])
    assert votes.count == 2
    assert votes.mean().flatten().tolist() == pytest.approx([0.7, 0.3])
    assert votes.variance().flatten().tolist() == pytest.approx([0.04, 0.04])
    # -0.7 ln 0.7 - 0.3 ln 0.3 = 0.24967 + 0.36119
    assert votes.entropy().item() == pytest.approx(0.610864, abs=1e-5)
    # less the mean of 0.325083 (0.9, 0.1) and 0.693147 (0.5, 0.5)
    assert votes.mutual_information().item() == pytest.approx(0.101749, abs=1e-5)


def test_members_sure_of_different_classes_carry_all_the_information_there_is():
    votes = votes_of([pixel(1.0, 0, 0), pixel(0.0, 1, 0), pixel(0.0, 0, 1)])
    assert votes.entropy().item() == pytest.approx(math.log(3))
    assert votes.mutual_information().item() == pytest.approx(math.log(3))
    assert votes.variance().flatten().tolist() == pytest.approx([2 / 9] * 3)


def test_members_that_are_unsure_alike_have_entropy_but_no_mutual_information():
    votes = votes_of([pixel(0.5, 0.5)] * 4)
    assert votes.entropy().item() == pytest.approx(math.log(2))
    assert votes.mutual_information().item() == 0
    assert votes.variance().abs().max() == 0


@pytest.mark.parametrize("count", [1, 2, 7])
def test_running_sums_are_the_definitions(count):
    members = random_members(count, dtype=torch.float64)
    votes = votes_of(members.float())
    mean = members.mean(dim=0)

    def entropy(p):
        return -(p * p.log()).sum(dim=-3)

    torch.testing.assert_close(votes.mean().double(), mean, atol=1e-6, rtol=1e-5)
    variance = members.var(dim=0, unbiased=False)
    torch.testing.assert_close(votes.variance().double(), variance, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(votes.entropy().double(), entropy(mean), atol=1e-5, rtol=1e-5)
    expected = entropy(mean) - entropy(members).mean(dim=0)
    torch.testing.assert_close(votes.mutual_information().double(), expected, atol=1e-6, rtol=1e-4)


def test_a_small_variance_of_large_probabilities_survives_single_precision():
    members = [pixel(0.999 + d, 0.001 - d) for d in (-1e-5, 0.0, 1e-5)]
    exact = 2 / 3 * 1e-10
    # Mean of squares less square of the mean would be lost in 1e-7 of rounding.
    assert votes_of(members).variance().flatten().tolist() == pytest.approx([exact] * 2, rel=0.05)


def test_nothing_is_negative_or_nan_at_the_ends():
    sure, tiny = pixel(1.0, 0.0), pixel(1 - 1e-7, 1e-7)
    votes = votes_of([sure, tiny, sure])
    for figure in (votes.variance(), votes.entropy(), votes.mutual_information()):
        assert torch.isfinite(figure).all() and (figure >= 0).all()


def test_no_member_or_another_shape_is_refused():
    votes = Votes()
    for figure in (votes.mean, votes.variance, votes.entropy, votes.mutual_information):
        with pytest.raises(ValueError, match="no member"):
            figure()
    with pytest.raises(ValueError, match=r"\(N, C, S, S\)"):
        votes.add(torch.ones(2, 2))
    votes.add(torch.full((1, 2, 4, 4), 0.5))
    with pytest.raises(ValueError, match="first one's shape"):
        votes.add(torch.full((1, 2, 4, 1), 0.5))


def test_votes_without_entropies_have_the_rest():
    votes, whole = Votes(entropies=False), Votes()
    for member in (pixel(0.7, 0.3), pixel(0.2, 0.8)):
        votes.add(member)
        whole.add(member)
    assert torch.equal(votes.variance(), whole.variance())
    assert torch.equal(votes.mean(), whole.mean()) and torch.equal(votes.entropy(), whole.entropy())
    with pytest.raises(ValueError, match="with entropies"):
        votes.mutual_information()
