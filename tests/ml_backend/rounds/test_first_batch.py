"""The first batch, from a project in memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from ml_backend.images import read_image
from ml_backend.learning.geometry import thumbnails
from ml_backend.learning.strategies import cold_start
from ml_backend.rounds import Context, first_batch
from ml_backend.rounds.first_batch import choose_first_batch
from ml_backend.settings import Settings
from tests.ml_backend.projects import Project, png, slices


class Counted(Project):
    """Counts which pictures are read."""

    def __init__(self, data=None):
        super().__init__(data)
        self.read = []

    def image(self, url, task_id=None):
        self.read.append(task_id)
        return super().image(url, task_id)


def context(tmp_path, project, **more):
    small = {"width": 4, "scales": 2, "side_px": 16, "device": "cpu", "k": 3, "K": 6}
    return Context.of(Settings(data_dir=tmp_path, **small, **more), project, 1)


def with_pictures(images):
    data = slices(len(images), 0)
    made = [replace(s, content=png(i)) for s, i in zip(data.slices, images, strict=True)]
    return Counted(replace(data, slices=made))


def test_slices_read_one_by_one_are_chosen_as_if_all_were_there(tmp_path):
    generator = np.random.default_rng(0)
    shapes = [(20, 20)] * 10 + [(33, 50, 3)] * 2
    images = [generator.integers(0, 255, shape, dtype=np.uint8) for shape in shapes]
    project = with_pictures(images)
    tasks = list(project.tasks(1))
    here = context(tmp_path, project)
    selected, readable = choose_first_batch(here, tasks, project.config, [], {})
    assert readable == list(range(1, 13))
    assert selected == [index + 1 for index in cold_start(thumbnails(images), 3)]


def test_of_volumes_each_depth_has_a_slice_in_the_first_batch(tmp_path):
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 255, (20, 20), dtype=np.uint8) for _ in range(12)]
    project = with_pictures(images)
    tasks = list(project.tasks(1))
    depths = dict(zip((task.id for task in tasks), [0.5, 0.0, 1.0, np.nan] * 3, strict=True))
    here = context(tmp_path, project, cold_start="thumbnails")
    selected, _ = choose_first_batch(here, tasks[:11], project.config, [], depths)
    places = np.array([depths[task.id] for task in tasks[:11]])
    expected = cold_start(thumbnails(images[:11]), 3, 0, places)
    assert selected == [index + 1 for index in expected]
    assert [np.isnan(depths[task_id]) for task_id in selected] == [False, False, True]


@pytest.mark.parametrize("by", ["thumbnails", "encoder"])
def test_the_pool_is_never_in_memory_at_its_own_size(tmp_path, monkeypatch, by):
    monkeypatch.setattr("ml_backend.learning.self_supervision.STEPS", 1)
    project = with_pictures([np.full((256, 256), n, np.uint8) for n in range(60)])
    here = context(tmp_path, project, cold_start=by)
    tasks = list(project.tasks(1))
    choose_first_batch(here, tasks[:2], project.config, [], {})  # what is loaded once
    tracemalloc.start()
    try:
        choose_first_batch(here, tasks, project.config, [], {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * 256 * 256 / 2  # bytes


def test_an_encoder_learns_from_some_and_describes_all(tmp_path, monkeypatch):
    learnt_from, train = [], first_batch.train_encoder

    def seen(images, settings):
        learnt_from.extend(images)
        return train(images, settings, steps=2)

    monkeypatch.setattr(first_batch, "train_encoder", seen)
    monkeypatch.setattr(first_batch, "MOST_LOOKED_AT", 5)
    data = slices(13, 0)
    data.slices[4] = replace(data.slices[4], content=b"no picture")
    project, problems = Counted(data), []
    here = context(tmp_path, project, cold_start="encoder")
    tasks = list(project.tasks(1))
    selected, readable = choose_first_batch(here, tasks, project.config, problems, {})
    expected = [read_image(data.slices[index].content) for index in (0, 3, 6, 9, 12)]
    assert np.array_equal(learnt_from, expected)
    assert sorted(project.read) == list(range(1, 14))  # each once
    assert sorted(readable) == [n for n in range(1, 14) if n != 5]
    assert [problem.task_id for problem in problems] == [5]
    assert len(set(selected)) == 3 and set(selected) <= set(readable)


def test_where_no_picture_can_be_read_nothing_is_chosen(tmp_path):
    data = slices(2, 0)
    unreadable = [replace(each, content=b"no picture") for each in data.slices]
    project = Counted(replace(data, slices=unreadable))
    for by in ("thumbnails", "encoder"):
        problems = []
        here = context(tmp_path, project, cold_start=by)
        tasks = list(project.tasks(1))
        assert choose_first_batch(here, tasks, project.config, problems, {}) == ([], [])
        assert len(problems) == 2
