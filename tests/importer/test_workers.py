"""Workers that hostile objects hang, kill or fill."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

import importer.workers
from importer.decode import frames
from importer.limits import Limits, LimitsError
from importer.objects import Outcome
from importer.recipe import Recipe
from importer.sources import SourceObject, iter_objects
from importer.workers import outcomes

from .files import CT, KEY, MR


def hostile(content, path, recipe, released):
    """Stands in for a decoder that a corrupt frame drives mad."""
    kind = Path(path).name
    if kind == "hang":
        time.sleep(60)
    elif kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind == "fill":
        bytearray(8 * 2**30)
    elif kind == "talk":
        os.write(2, b"Smith^John")
    elif kind in ("cine", "stuck"):
        for _ in range(6):  # in all, longer than an object may take that decodes nothing
            list(frames(dcmread(MR), recipe.limits))
            time.sleep(0.25)
        time.sleep(60 if kind == "stuck" else 0)
    return Outcome("slices")


def hostile_batch(objects, recipe, released):
    """In the worker: the batch as always, by the hostile decoder."""
    importer.workers.process = hostile
    return importer.workers.process_batch(objects, recipe, released)


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "images").mkdir()
    limits = Limits(seconds=1.0, memory_bytes=2**30)
    return Recipe(key=KEY, images=tmp_path / "images", limits=limits)


def test_a_hanging_a_crashing_and_a_greedy_decoder_cost_their_object_alone(
    recipe, monkeypatch, capfd
):
    monkeypatch.setattr(importer.workers, "process_batch", hostile_batch)
    names = ["fine", "crash", "fine", "hang", "fill", "talk", "fine"]
    objects = [SourceObject(n, name, b"x") for n, name in enumerate(names)]
    found = [(s.path, o.reason or o.kind) for s, o in outcomes(objects, recipe, workers=2)]
    assert found == [
        ("fine", "slices"),
        ("crash", "decoder-crashed"),
        ("fine", "slices"),
        ("hang", "too-slow"),
        ("fill", "too-much-memory"),
        ("talk", "slices"),
        ("fine", "slices"),
    ]
    assert "Smith" not in "".join(capfd.readouterr())


def test_frames_that_are_decoded_earn_time_and_a_hang_after_them_is_killed(recipe, monkeypatch):
    monkeypatch.setattr(importer.workers, "process_batch", hostile_batch)
    limits = replace(recipe.limits, seconds_per_megabyte=1e-6, seconds_per_megapixel=1.0)
    patient = replace(recipe, limits=limits)
    large = 2**25  # each goes to its worker alone
    objects = [SourceObject(n, name, b"x", large) for n, name in enumerate(["cine", "stuck"])]
    found = [(s.path, o.reason or o.kind) for s, o in outcomes(objects, patient, workers=2)]
    assert found == [("cine", "slices"), ("stuck", "too-slow")]


def test_results_come_in_the_order_of_the_objects(recipe):
    relaxed = replace(recipe, limits=Limits())
    objects = iter_objects([Path(CT), Path("/nowhere"), Path(MR)] * 3)
    kinds = [outcome.kind for _, outcome in outcomes(objects, relaxed, workers=2)]
    assert kinds == ["slices", "unreadable", "slices"] * 3


def test_limits_are_settings_that_are_checked():
    assert Limits.from_environment({"QUORUM_IMPORT_SECONDS": "5"}).seconds == 5
    assert Limits.from_environment({}).frames == 20_000
    longer = Limits.from_environment({"QUORUM_IMPORT_SECONDS_PER_MEGAPIXEL": "20"})
    assert (longer.frame_s(64 * 64), longer.frame_s(3_000_000)) == (20, 60)
    for value in ("0", "-1", "many"):
        with pytest.raises(LimitsError, match="QUORUM_IMPORT_FRAMES"):
            Limits.from_environment({"QUORUM_IMPORT_FRAMES": value})
