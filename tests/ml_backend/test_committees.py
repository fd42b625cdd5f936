"""What a deployment's settings make of a device's preset."""

from dataclasses import replace

from ml_backend.committees import training_settings
from ml_backend.learning.training import preset
from ml_backend.settings import Settings


def test_the_presets_steps_grow_with_the_labels_and_those_set_stay():
    chosen = replace(Settings(), device="cpu")
    grown = training_settings(chosen).for_labels(1000)
    assert grown.steps == 2500  # each of 1,000 slices ten times, four a step
    fixed = training_settings(replace(chosen, steps=30))
    assert fixed.for_labels(1000) == fixed
    assert training_settings(chosen).for_labels(8).steps == preset("cpu").steps
