"""Labelled slices as arrays: what is kept of them, and how large it is."""

import tracemalloc
from dataclasses import replace

import numpy as np

from bench.active_learning.data import LabelledData, Slice
from ml_backend.gathering import gather, reduced
from ml_backend.label_studio import Annotation, LabelStudio
from ml_backend.learning.training_set import TrainingSet
from ml_backend.learning.training_settings import TrainingSettings

from .caches.test_labels import CONFIG, Server
from .projects import Project, png

SMALL = TrainingSettings(side_px=16, scales=2)


def project_of(shapes):
    """A project whose slices have these shapes, all annotated."""
    generator = np.random.default_rng(0)
    made = []
    for number, shape in enumerate(shapes):
        label_map = np.zeros(shape[:2], np.uint8)
        label_map[2:-3, 1 : shape[1] // 2] = 1
        made.append(
            Slice(
                name=f"s{number}",
                content=png(generator.integers(0, 255, shape, dtype=np.uint8)),
                label_map=label_map,
                patient=f"p{number}",
                position_mm=None,
                test=False,
            )
        )
    project = Project(LabelledData("shapes", ("disc",), made))
    project.annotate(range(len(made)))
    return project


def gathered(project, **more):
    problems = []
    found = gather(project, 1, list(project.tasks(1)), project.config, problems, **more)
    assert problems == []
    return found


def test_slices_that_are_kept_reduced_give_the_same_training_set():
    project = project_of([(40, 24), (24, 41), (16, 16), (10, 7), (33, 32, 3)])
    whole, small = gathered(project), gathered(project, side_px=16)
    assert small.task_ids == whole.task_ids and small.fingerprint == whole.fingerprint
    assert [max(image.shape) for image in small.images] == [16] * 5
    one, other = (
        TrainingSet.of(found.images, found.label_maps, ["disc"], SMALL, found.groups).arrays()
        for found in (whole, small)
    )
    assert set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def test_a_reduced_slice_is_left_as_it_is_when_it_is_reduced_again():
    image = np.random.default_rng(1).integers(0, 255, (77, 130, 3), dtype=np.uint8)
    once = reduced(image, 32)
    assert once.shape == (19, 32, 3) and np.array_equal(reduced(once, 32), once)


def test_what_is_trained_on_is_never_in_memory_at_its_own_size():
    project = project_of([(256, 256)] * 60)
    tracemalloc.start()
    try:
        gathered(project, side_px=16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * 256 * 256 / 2  # bytes


def test_how_far_annotators_agree_is_known_without_their_masks():
    server = Server(3)
    second = server.square(2, 2, 6)
    drawn = {**server.drawn}

    def annotations(project_id, task_ids):
        for task_id in task_ids:
            yield drawn[task_id]
            if task_id == 2:
                yield Annotation(20, 2, second.updated_at, 8, second.regions)

    server.annotations = annotations
    found = gather(server, 1, server.tasks, CONFIG, [], side_px=16)
    assert list(found.disagreement) == [2]
    assert round(found.disagreement[2], 3) == round(1 - 2 * 9 / (9 + 16), 3)
    assert [reading.annotator for reading in found.readings[2]] == [7, 8]
    assert found.readings[1] == [] and found.task_ids == [1, 2, 3]


def test_a_task_without_an_address_that_can_be_asked_for_is_a_problem_of_its_own():
    server = Server(4)
    for number, address in enumerate([None, "", "s3://bucket/\ud83d.png"]):
        server.tasks[number] = replace(server.tasks[number], data={"image": address})
    server.image = LabelStudio("http://127.0.0.1:9", "token").image
    server.tasks[3:] = []
    problems = []
    assert gather(server, 1, server.tasks, CONFIG, problems).task_ids == []
    assert [problem.task_id for problem in problems] == [1, 2, 3]
    assert all("import" in problem.reason for problem in problems)
