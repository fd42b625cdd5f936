"""Networks by name, under one interface."""

import builtins
import sys
import types

import pytest
import torch
from torch import nn

from ml_backend.learning.baselines import NETWORKS
from ml_backend.learning.dropout import SeededDropout, dropout_layers, reseed
from ml_backend.learning.fcn import FCN
from ml_backend.learning.networks import build_network


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("channels", [1, 3])
def test_networks_share_shapes(name, channels):
    network = build_network(name, channels, 4, 8, 4, 0.2).eval()
    logits, descriptor = network(torch.zeros(2, channels, 40, 64))
    assert logits.shape == (2, 4, 40, 64)
    assert descriptor.shape == (2, 64)
    assert dropout_layers(network) and not dropout_layers(build_network(name, 1, 4, 8, 4))
    with pytest.raises(ValueError, match="multiples of 8"):
        network(torch.zeros(1, channels, 36, 64))
    with pytest.raises(ValueError, match="classes >= 2"):
        build_network(name, 1, 1, 8, 4)


def test_the_papers_width_gives_its_descriptor():
    with torch.no_grad():
        _, descriptor = FCN(width=32, scales=6).eval()(torch.zeros(1, 1, 32, 32))
    assert descriptor.shape == (1, 1024)


MONAI = ["SegResNet", "AttentionUnet", "BasicUNet", "UNet", "FlexibleUNet"]


@pytest.mark.parametrize("name", MONAI)
def test_monais_networks_take_any_size_and_describe_by_their_deepest_features(name):
    pytest.importorskip("monai")
    network = build_network(f"monai:{name}", 3, 4, 8, 3, 0.2).eval()
    x = torch.rand(2, 3, 40, 52)
    with torch.no_grad():
        logits, descriptor = network(x)
        again, _ = network(x)
    assert logits.shape == (2, 4, 40, 52)
    assert descriptor.shape[0] == 2 and descriptor.shape[1] >= 32
    assert not torch.allclose(descriptor[0], descriptor[1])
    assert torch.equal(logits, again)
    assert not any(isinstance(m, nn.Dropout | nn.Dropout2d) for m in network.modules())


def test_what_monai_cannot_give_is_said(monkeypatch):
    pytest.importorskip("monai")
    for name, words in (("Nix", "no network 'Nix'"), ("UNETR", "class of your own")):
        with pytest.raises(ValueError, match=words):
            build_network(f"monai:{name}", 1, 3, 8, 3)
    for name in [n for n in sys.modules if n.partition(".")[0] == "monai"]:
        monkeypatch.delitem(sys.modules, name)
    plain = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "monai":
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(ValueError, match="pip install --no-deps monai"):
        build_network("monai:UNet", 1, 3, 8, 3)


class Own(nn.Module):
    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.deep = nn.Conv2d(in_channels, width, 3, padding=1, stride=2)
        self.head = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(width, classes, 1))

    def forward(self, x):
        return self.head(self.deep(x))


class Described(Own):
    def forward(self, x):
        deep = self.deep(x)
        return self.head(deep), deep.mean(dim=(2, 3))


class Twice(Described):
    """One dropout layer in two places, and a stride that is not ours."""

    stride = 3

    def __init__(self, in_channels, classes, width, scales):
        super().__init__(in_channels, classes, width, scales)
        drop = nn.Dropout2d(0.3)
        layers = [nn.Conv2d(in_channels, width, 3, stride=3), drop, nn.ReLU(), drop]
        self.deep = nn.Sequential(*layers)
        self.head[0] = nn.Upsample(scale_factor=3)


class Within(Described):
    """Its deepest part is called as the part of whatever is put around it might be."""

    def __init__(self, in_channels, classes, width, scales):
        super().__init__(in_channels, classes, width, scales)
        self.network = self.deep
        del self.deep

    def forward(self, x):
        deep = self.network(x)
        return self.head(deep), deep.mean(dim=(2, 3))


class Cropping(Own):
    def forward(self, x):
        return super().forward(x)[:, :, 1:]


@pytest.fixture
def own(monkeypatch):
    module = types.ModuleType("ward_networks")
    for found in (Own, Described, Twice, Within, Cropping):
        setattr(module, found.__name__, found)
    module.Text = str.format
    module.NoModule = lambda in_channels, classes, width, scales: None
    monkeypatch.setitem(sys.modules, "ward_networks", module)


@pytest.mark.parametrize("name", ["Own", "Described"])
def test_a_class_of_ones_own_is_taken_with_or_without_a_descriptor(own, name):
    network = build_network(f"ward_networks:{name}", 1, 3, 8, 3).eval()
    logits, descriptor = network(torch.rand(2, 1, 24, 24))
    assert logits.shape == (2, 3, 24, 24)
    assert descriptor.shape == (2, 8)


def test_a_network_with_a_descriptor_is_padded_to_its_stride(own):
    network = build_network("ward_networks:Twice", 1, 3, 8, 3).eval()
    image = torch.rand(2, 1, 32, 20)
    logits, descriptor = network(image)
    assert logits.shape == (2, 3, 32, 20) and descriptor.shape == (2, 8)
    padded = torch.nn.functional.pad(image, (0, 1, 0, 1))
    assert torch.equal(logits, network(padded)[0][..., :32, :20])


@pytest.mark.parametrize("made", [Described, Within])
def test_weights_of_a_network_that_was_not_padded_yet_fit(own, made):
    earlier = made(1, 3, 8, 3)
    network = build_network(f"ward_networks:{made.__name__}", 1, 3, 8, 3).eval()
    assert list(network.state_dict()) == list(earlier.state_dict())
    network.load_state_dict(earlier.state_dict())
    image = torch.rand(2, 1, 24, 24)
    assert torch.equal(network(image)[0], earlier.eval()(image)[0])
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_state_dict({"head.1.weight": earlier.head[1].weight})


def test_a_dropout_layer_that_stands_in_two_places_repeats_itself_in_both(own):
    network = build_network("ward_networks:Twice", 1, 3, 8, 3)
    assert not [m for m in network.modules() if type(m) is nn.Dropout2d]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ward_networks:Nix", "has no class 'Nix'"),
        ("no_such_package:Net", "cannot be imported"),
        ("ward_networks:NoModule", "torch.nn.Module"),
        ("ward_networks:Cropping", "must give logits"),
        ("torch.nn:ReLU6", "must be callable as ReLU6"),
        ("resnet", "choose one of fcn, unet, cumednet"),
        ("monai:", "choose one of"),
    ],
)
def test_names_and_classes_that_do_not_fit_are_refused(own, name, words):
    with pytest.raises(ValueError, match=words):
        build_network(name, 1, 3, 8, 3)


def test_dropout_for_a_network_without_is_refused(own):
    with pytest.raises(ValueError, match="has no dropout"):
        build_network("ward_networks:Own", 1, 3, 8, 3, 0.2)


def test_seeded_dropout_keeps_the_mean_drops_whole_channels_and_repeats_itself():
    SeededDropout(0.25, channels=True, seed=2**60)(torch.ones(1, 2, 4, 4))  # fits torch's 64 bits
    layer = SeededDropout(0.25, channels=True, seed=3)
    x = torch.ones(40, 100, 4, 4)
    first, second = layer(x), layer(x)
    assert first.mean() == pytest.approx(1, abs=0.05)
    assert all(len(channel.unique()) == 1 for channel in first.flatten(0, 1))
    assert not torch.equal(first, second)
    reseed(layer, 0)
    third = layer(x)
    reseed(layer, 0)
    assert torch.equal(third, layer(x))
    assert torch.equal(layer.eval()(x), x)
