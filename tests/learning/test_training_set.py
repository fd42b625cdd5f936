"""What members are trained on: fitted once, carried anywhere, resampled by seed."""

import io
from dataclasses import replace

import numpy as np
import pytest

from ml_backend.learning.geometry import IGNORE
from ml_backend.learning.training_set import TrainingSet, bootstrap

from .shapes import SMALL, coloured, discs

PATIENTS = replace(SMALL, bootstrap_over="patients")


def carried(training):
    """Through a file that holds arrays alone, as artefacts do."""
    file = io.BytesIO()
    np.savez(file, **training.arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return TrainingSet.from_arrays(dict(arrays), training.class_names)


def test_slices_of_any_size_become_squares_with_padding_that_is_not_learned():
    (wide,), (label,) = discs(1, shape=(32, 64))
    training = TrainingSet.of([wide, wide[:, :32]], [label, label[:, :32]], ["disc"], SMALL)
    assert training.squares.shape == training.label_maps.shape == (2, 32, 32)
    assert (training.label_maps[0, 16:] == IGNORE).all()
    assert (training.label_maps[0, :16] != IGNORE).all()
    assert (training.in_channels, training.classes) == (1, 2)


def test_one_colour_slice_makes_all_of_them_rgb():
    images, labels = (a + b for a, b in zip(discs(1), coloured(1), strict=True))
    training = TrainingSet.of(images, labels, ["disc"], SMALL)
    assert training.squares.shape == (2, 32, 32, 3) and training.in_channels == 3


@pytest.mark.parametrize("groups", [None, ["Ä 1", "b", "Ä 1"]])
def test_a_set_survives_its_arrays(groups):
    training = TrainingSet.of(*discs(3), ["disc"], SMALL, groups)
    copy = carried(training)
    assert np.array_equal(copy.squares, training.squares)
    assert np.array_equal(copy.label_maps, training.label_maps)
    assert copy.groups == training.groups == (None if groups is None else tuple(groups))
    assert copy.class_names == ("disc",)
    assert all(array.dtype == np.uint8 for array in training.arrays().values())


def test_a_seed_gives_the_same_resample_of_whole_patients_after_the_arrays_too():
    training = TrainingSet.of(*discs(6), ["disc"], PATIENTS, list("abbbca"))
    seen = set()
    for seed in range(8):
        mine, theirs = training.resample(PATIENTS, seed), carried(training).resample(PATIENTS, seed)
        assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
        times = [sum(np.array_equal(s, own) for s in mine[0]) for own in training.squares]
        assert times[1] == times[2] == times[3] and times[0] == times[5]
        seen.add(tuple(times))
    assert len(seen) > 2


def test_what_does_not_belong_together_is_refused():
    images, labels = discs(2)
    with pytest.raises(ValueError, match="need as many of both"):
        TrainingSet.of(images, labels[:1], ["disc"], SMALL)
    with pytest.raises(ValueError, match="as many groups"):
        TrainingSet.of(images, labels, ["disc"], SMALL, ["a"])
    with pytest.raises(ValueError, match="give groups"):
        TrainingSet.of(images, labels, ["disc"], PATIENTS)
    with pytest.raises(ValueError, match="give groups"):
        TrainingSet.of(images, labels, ["disc"], SMALL).resample(PATIENTS, 0)
    with pytest.raises(ValueError, match="class 2, but there are 2"):
        TrainingSet.of(images, [label * 2 for label in labels], ["disc"], SMALL)
    arrays = TrainingSet.of(images, labels, ["disc"], SMALL).arrays()
    with pytest.raises(ValueError, match="no label_maps"):
        TrainingSet.from_arrays({"squares": arrays["squares"]}, ["disc"])
    with pytest.raises(ValueError, match="N >= 1"):
        TrainingSet.from_arrays({name: array[:0] for name, array in arrays.items()}, ["disc"])
    with pytest.raises(ValueError, match="must be uint8"):
        TrainingSet.from_arrays({**arrays, "squares": arrays["squares"] / 2}, ["disc"])


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


def test_without_a_bootstrap_every_member_learns_from_each_label_once():
    settings = replace(SMALL, bootstrap_over="none")
    pieces = TrainingSet.of(*discs(5), ["disc"], settings)
    for seed in (0, 1):
        squares, label_maps = pieces.resample(settings, seed)
        assert np.array_equal(squares, pieces.squares)
        assert np.array_equal(label_maps, pieces.label_maps)


def test_a_single_patient_is_resampled_by_slices():
    drawn = bootstrap(50, np.random.default_rng(0), ["only"] * 50)
    assert len(drawn) == 50 and len(set(drawn.tolist())) < 50
    with pytest.raises(ValueError, match="as many groups"):
        bootstrap(3, np.random.default_rng(0), ["a"])
