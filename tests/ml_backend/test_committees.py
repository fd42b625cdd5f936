"""What a deployment's settings make of a device's preset."""

import sys
import types
from dataclasses import asdict, replace

import pytest
import torch

from ml_backend.committees import load, training_settings
from ml_backend.learning.committee import Committee
from ml_backend.learning.memory import TooLittleMemory
from ml_backend.learning.networks import build_network
from ml_backend.learning.training import preset
from ml_backend.settings import Settings, SettingsError
from ml_backend.store import Store, StoreError


def test_the_presets_steps_grow_with_the_labels_and_those_set_stay():
    chosen = replace(Settings(), device="cpu")
    grown = training_settings(chosen).for_labels(1000)
    assert grown.steps == 2500  # each of 1,000 slices ten times, four a step
    fixed = training_settings(replace(chosen, steps=30))
    assert fixed.for_labels(1000) == fixed
    assert training_settings(chosen).for_labels(8).steps == preset("cpu").steps


def broken(*_arguments):
    raise RuntimeError("words that may hold anything")


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"scales": 9}, "side_px must be a multiple of 256 for 9 scales: it is 128"),
        ({"network": "monai:UNETTT"}, "'UNETTT'"),
        ({"network": "own_module:Missing"}, "'own_module' has no class 'Missing'"),
        ({"network": "own_module:broken"}, "'own_module:broken' cannot be built: RuntimeError$"),
        ({"side_px": 16, "batch_size": 1}, "batch_size be at least 2, or side_px larger"),
        ({"device": "cuda:77"}, "'cuda:77'"),
    ],
)
def test_what_cannot_be_trained_here_is_told_in_words(monkeypatch, chosen, words):
    own = types.ModuleType("own_module")
    own.broken = broken
    monkeypatch.setitem(sys.modules, "own_module", own)
    with pytest.raises(SettingsError, match=words):
        training_settings(replace(Settings(device="cpu"), **chosen))


@pytest.mark.parametrize("network", ["fcn", "unet", "cumednet"])
def test_no_network_that_comes_along_learns_from_one_value_a_channel(network):
    from ml_backend.learning.networks import build_network

    with pytest.raises(SettingsError, match="batch norm"):
        training_settings(Settings(device="cpu", network=network, side_px=16, batch_size=1))
    for count, side_px in ((2, 16), (1, 32)):
        built = build_network(network, 1, 2, 4, 5).train()
        built(torch.zeros(count, 1, side_px, side_px))
    with pytest.raises(ValueError, match="more than 1 value"):
        built(torch.zeros(1, 1, 16, 16))


def test_trying_a_network_draws_nothing_from_what_is_random_elsewhere(monkeypatch):
    monkeypatch.setitem(sys.modules, "own_module", types.ModuleType("own_module"))
    sys.modules["own_module"].Ours = lambda *shape: build(*shape)
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    assert training_settings(Settings(device="cpu", network="own_module:Ours")).width == 8
    assert torch.equal(torch.rand(1), wanted)


def test_a_network_of_one_s_own_may_take_colour_alone(monkeypatch):
    def of_colour(in_channels, *shape):
        if in_channels != 3:
            raise ValueError("in_channels must be 3")
        return build(in_channels, *shape)

    own = types.ModuleType("own_module")
    own.OfColour = of_colour
    monkeypatch.setitem(sys.modules, "own_module", own)
    settings = Settings(device="cpu", network="own_module:OfColour")
    assert training_settings(settings).network == "own_module:OfColour"


def build(in_channels, classes, width, scales):
    from ml_backend.learning.baselines import UNet

    return UNet(in_channels, classes, width, scales)


@pytest.fixture
def published(tmp_path):
    """A store and the version in it, of a network as small as there is."""
    settings = replace(preset("cpu"), members=2, width=2, scales=2, side_px=16, network="fcn")
    members = [build_network("fcn", 1, 2, 2, 2) for _ in range(2)]
    store = Store(tmp_path, 1)
    version = store.name_for("ab" * 32)
    metadata = {"version": version, "labels": ["a"], "training": asdict(settings), "quality": None}
    store.publish(version, Committee(members, ["a"], settings).state(), metadata)
    return store, version


@pytest.mark.parametrize("device", ["gpu", "cuda:77"])
def test_a_device_that_is_not_there_is_no_fault_of_the_version(published, device):
    store, version = published
    assert len(load(store, version, ("a",), "cpu").members) == 2
    with pytest.raises(SettingsError, match=f"QUORUM_DEVICE: .*'{device}'.* use auto|CUDA_VIS"):
        load(store, version, ("a",), device)


def test_a_device_that_others_fill_is_no_fault_of_the_version(published, monkeypatch):
    def full(*_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Committee, "from_state", full)
    with pytest.raises(TooLittleMemory, match="others use it"):
        load(*published, ("a",), "cpu")


def test_weights_of_another_network_are_told(published, tmp_path):
    store, version = published
    metadata = {**store.metadata(version)}
    other = store.name_for("cd" * 32)
    metadata["training"] = {**metadata["training"], "network": "unet"}
    store.publish(other, store.states(version), {**metadata, "version": other})
    with pytest.raises(StoreError, match="do not fit its network"):
        load(store, other, ("a",), "cpu")
