"""One member's training: settings, devices, repetition."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml_backend.learning import training
from ml_backend.learning.augment import augment
from ml_backend.learning.training import (
    TrainingSettings,
    fit_network,
    new_network,
    preset,
    torch_device,
    train_member,
)

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


@pytest.mark.parametrize("change", [{"augmentation": "all"}, {"mirror": True}, {"steps": 60}])
def test_slices_are_changed_as_the_settings_say(change, monkeypatch):
    asked = []

    def augmented(batch, target, generator, *, share, mirror):
        asked.append((share, mirror))
        return augment(batch, target, generator, share=share, mirror=mirror)

    monkeypatch.setattr(training, "augment", augmented)
    train_member(*stacked(3), 2, SHORT, 0)  # six views of three slices: all as they are
    assert not asked
    train_member(*stacked(3), 2, replace(SHORT, **change), 0)
    share = {"augmentation": 1.0, "mirror": 0.0, "steps": 1 - 32 * 3 / 120}[next(iter(change))]
    assert asked and all(one == (pytest.approx(share), "mirror" in change) for one in asked)


@pytest.mark.parametrize(
    ("able", "dtype"), [({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)]
)
def test_convolutions_are_trained_in_half_precision_only_where_the_hardware_multiplies_in_it(
    able, dtype, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    network, seen = new_network(SHORT, 1, 2, 0), set()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: seen.add(output.dtype))
    images, label_maps = (torch.from_numpy(part) for part in stacked(2))
    fit_network(network, lambda _: (images, label_maps), torch.ones(2), SHORT, 0, slices=2)
    assert seen == {dtype}
    assert all(weight.dtype == torch.float32 for weight in network.parameters())


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
        ({"bootstrap_over": "pixels"}, "slices, patients or none"),
        ({"start": "warm"}, "scratch or encoder"),
        ({"augmentation": "some"}, "repeats, all or none"),
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


def test_a_gpu_that_is_not_there_is_named_with_those_that_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda:3' was asked for, but no GPU is usable here"):
        torch_device("cuda:3")
    assert torch_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for count, there in ((1, "only cuda:0"), (2, "cuda:0 to cuda:1")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        with pytest.raises(ValueError, match=f"no device 'cuda:3'.* sees {there} .*VISIBLE"):
            torch_device("cuda:3")
        assert torch_device(f"cuda:{count - 1}").index == count - 1
        assert torch_device("cuda") == torch_device("auto") == torch.device("cuda")


def test_a_device_of_a_kind_that_this_torch_does_not_drive_is_named():
    with pytest.raises(ValueError, match="'xpu' was asked for, but it is not usable here"):
        torch_device("xpu")
