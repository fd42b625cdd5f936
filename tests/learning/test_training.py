"""One member's training: settings, resampling, repetition."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml_backend.learning.training import TrainingSettings, bootstrap, preset, train_member

from .shapes import SMALL, discs, one_thread  # noqa: F401

SHORT = TrainingSettings(width=4, scales=2, side_px=32, steps=3, batch_size=2, device="cpu")


def stacked(count):
    return tuple(np.stack(part) for part in discs(count))


def same(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_same_seed_trains_the_same_network_and_leaves_the_global_random_state_alone(dropout):
    settings = replace(SHORT, dropout=dropout)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (train_member(*stacked(3), 2, settings, seed) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(first, second)
    assert not torch.equal(first.stem.weight, other.stem.weight)


def test_a_bootstrap_over_slices_draws_with_replacement():
    drawn = bootstrap(200, np.random.default_rng(0))
    assert len(drawn) == 200
    assert 0.5 < len(set(drawn.tolist())) / 200 < 0.75  # 1 - 1/e on average


def test_a_bootstrap_over_patients_draws_them_whole():
    groups = ["a"] * 3 + ["b"] * 5 + ["c"] + ["d"] * 2
    seen = set()
    for seed in range(20):
        drawn = bootstrap(11, np.random.default_rng(seed), groups)
        counts = np.bincount(drawn, minlength=11)
        times = [counts[[i for i in range(11) if groups[i] == name]] for name in "abcd"]
        assert all(len(set(t.tolist())) == 1 for t in times)
        assert sum(t[0] for t in times) == 4
        seen.add(tuple(counts.tolist()))
    assert len(seen) > 10


def test_a_single_patient_is_resampled_by_slices():
    drawn = bootstrap(50, np.random.default_rng(0), ["only"] * 50)
    assert len(drawn) == 50 and len(set(drawn.tolist())) < 50
    with pytest.raises(ValueError, match="as many groups"):
        bootstrap(3, np.random.default_rng(0), ["a"])


def test_deep_supervision_reaches_every_head():
    settings = replace(SHORT, network="cumednet", scales=3, steps=1)
    network = train_member(*stacked(2), 2, settings, 0)
    assert network.auxiliary == ()  # a trained member holds no graph
    assert len(network.train()(torch.rand(1, 1, 32, 32))[0]) == 1
    assert len(network.auxiliary) == 2
    network.eval()(torch.rand(1, 1, 32, 32))
    assert network.auxiliary == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scales": 5, "side_px": 100}, "multiple of 16"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"passes": -1}, "passes must be at least 0"),
        ({"dropout": 1.0}, "below 1"),
        ({"confidence": 0}, "above 0"),
        ({"bootstrap_over": "pixels"}, "slices or patients"),
        ({"start": "warm"}, "scratch or encoder"),
        ({"start": "encoder", "network": "unet"}, "only the fcn"),
    ],
)
def test_settings_out_of_bounds_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changes)


def test_devices_and_shapes_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="no device"):
        preset("abacus")
    with pytest.raises(ValueError, match="N >= 1"):
        train_member(np.zeros((2, 8, 8), np.uint8), np.zeros((1, 8, 8), np.uint8), 2, SHORT, 0)
