"""Rounds with a network of a deployment's own, which takes more or less than ours do."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from ml_backend.committees import load
from ml_backend.learning.committee import Committee, member_state
from ml_backend.learning.networks import build_network
from ml_backend.learning.training import TrainingSettings
from ml_backend.rounds import run_round
from ml_backend.store import Store
from tests.ml_backend.projects import Project, blob, png, quick_settings, sides, slices


class Colour(nn.Module):
    """Its weights are the same for grey and colour: grey is repeated."""

    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.only = nn.Conv2d(3, classes, 1)
        self.times = 3 // in_channels

    def forward(self, x):
        return self.only(x.repeat(1, self.times, 1, 1)), x.mean(dim=(2, 3))


class ColourAlone(Colour):
    def __init__(self, in_channels, *shape):
        if in_channels != 3:
            raise ValueError("in_channels must be 3")
        super().__init__(in_channels, *shape)


class Standardised(Colour):
    """It divides by each picture's deviation, and has no number for a blank one."""

    def forward(self, x):
        deviation = x.std(dim=(1, 2, 3), keepdim=True)
        return super().forward((x - x.mean(dim=(1, 2, 3), keepdim=True)) / deviation)


class Undescribed(Colour):
    """It drafts a blank picture, but cannot describe it."""

    def forward(self, x):
        logits, descriptor = super().forward(x)
        return logits, descriptor / x.std(dim=(1, 2, 3))[:, None]


class Learning(Colour):
    """As Standardised, but it learns from blank ones."""

    def forward(self, x):
        deviation = x.std(dim=(1, 2, 3), keepdim=True) + 0.1 * self.training
        return super().forward((x - x.mean(dim=(1, 2, 3), keepdim=True)) / deviation)


def labelled(settings, data):
    """A project whose held-out slices and first three have labels, and its store."""
    project, store = Project(data), Store(settings.store_root, 1)
    store.keep_sides(sides(project))
    run_round(settings, project, 1)
    project.annotate([*project.data.test[:2], 0, 1, 2])
    return project, store


class Heads(Colour):
    """Where others leave the logits of deep supervision it has modules."""

    def __init__(self, *shape):
        super().__init__(*shape)
        self.auxiliary = nn.ModuleList([nn.Conv2d(3, 1, 1)])


@pytest.mark.parametrize("network", [Colour, Heads])
def test_a_network_that_does_not_follow_the_width_is_served(tmp_path, network):
    settings = quick_settings(tmp_path, network=f"{__name__}:{network.__name__}", width=64)
    project, store = labelled(settings, slices())
    version = run_round(settings, project, 1)["version"]
    assert load(store, version, ("disc",), "cpu", settings.network).in_channels == 1


@pytest.mark.parametrize("further", [False, True])
@pytest.mark.parametrize("network", [Colour, ColourAlone])
def test_a_committee_that_learnt_from_colour_is_served_in_colour(tmp_path, network, further):
    settings = quick_settings(
        tmp_path,
        network=f"{__name__}:{network.__name__}",
        width=1,
        semi_supervised=further,
        strategy="k-centre",  # which asks the committee about labelled slices, too
    )
    data = slices()
    data.slices[:] = [
        replace(piece, content=png(np.stack([blob(n)[0]] * 2 + [255 - blob(n)[0]], axis=2)))
        for n, piece in enumerate(data.slices)
    ]
    project, store = labelled(settings, data)
    outcome = run_round(settings, project, 1)
    assert outcome["did"] == "trained"
    version = outcome["version"]
    assert load(store, version, ("disc",), "cpu", settings.network).in_channels == 3


@pytest.mark.parametrize("network", ["Standardised", "Undescribed"])
def test_a_slice_without_a_number_is_told_and_spoils_no_order(tmp_path, network):
    settings = quick_settings(tmp_path, network=f"{__name__}:{network}", width=1)
    data = slices()
    data.slices[9] = replace(data.slices[9], content=png(np.zeros((16, 16), np.uint8)))
    project, store = labelled(settings, data)
    outcome = run_round(settings, project, 1)
    (problem,) = outcome["problems"]
    assert problem["task_id"] == 10 and "no number" in str(problem)
    order = json.dumps(store.noted(outcome["version"], "order"))
    assert "NaN" not in order and "Infinity" not in order
    scores = project.scores(outcome["version"])
    assert max(scores, key=scores.get) == 10  # served last
    assert all(math.isfinite(s) for s in scores.values())


def test_a_labelled_slice_without_a_number_ends_no_round(tmp_path):
    settings = quick_settings(
        tmp_path, network=f"{__name__}:Learning", width=1, strategy="k-centre"
    )
    data = slices()
    data.slices[1] = replace(data.slices[1], content=png(np.zeros((16, 16), np.uint8)))
    project, store = labelled(settings, data)
    outcome = run_round(settings, project, 1)
    assert outcome["did"] == "trained" and not outcome["problems"]
    assert len(store.noted(outcome["version"], "order")["selected"]) == settings.k


@pytest.mark.parametrize(("network", "in_channels"), [(Colour, 1), (ColourAlone, 3)])
def test_of_a_version_that_noted_no_colour_it_is_guessed(network, in_channels):
    settings = TrainingSettings(network=f"{__name__}:{network.__name__}", width=1, device="cpu")
    state = member_state(build_network(settings.network, in_channels, 2, 1, settings.scales))
    assert Committee.from_state([state], ["disc"], settings).in_channels == in_channels
