"""Rounds with a network of a deployment's own, which takes more or less than ours do."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from ml_backend.committees import load
from ml_backend.rounds import run_round
from ml_backend.store import Store
from tests.ml_backend.projects import Project, blob, png, quick_settings, sides, slices


class Colour(nn.Module):
    """Its weights are the same for grey and colour: grey is repeated."""

    def __init__(self, in_channels, classes, width, scales):
        super().__init__()
        self.only = nn.Conv2d(3, classes, 1)

    def forward(self, x):
        three = x.expand(-1, 3, -1, -1)
        return self.only(three), x.mean(dim=(2, 3))


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


def labelled(settings, data):
    """A project whose held-out slices and first three have labels, and its store."""
    project, store = Project(data), Store(settings.store_root, 1)
    store.keep_sides(sides(project))
    run_round(settings, project, 1)
    project.annotate([*project.data.test[:2], 0, 1, 2])
    return project, store


@pytest.mark.parametrize("network", [Colour, ColourAlone])
def test_a_committee_that_learnt_from_colour_is_served_in_colour(tmp_path, network):
    settings = quick_settings(tmp_path, network=f"{__name__}:{network.__name__}", width=1)
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


def test_a_slice_that_the_network_has_no_number_for_is_told_and_spoils_no_order(tmp_path):
    settings = quick_settings(tmp_path, network=f"{__name__}:Standardised", width=1)
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
